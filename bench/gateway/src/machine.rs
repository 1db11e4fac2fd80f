//! Says on what machine, and with which versions, figures were measured.

use std::{fs, path::Path, process::Command};

use crate::{process, stages::Options};

/// Prints a list.
pub fn print(options: &Options) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("- machine: {cores} cores, {}, {} GB of memory", cpu(), memory_gb());
    println!("- kernel: Linux {}", first_line("/proc/sys/kernel/osrelease"));
    println!("- compiler: {}", said("rustc".as_ref(), &["--version"]));
    println!("- Bartizan: {}", said(&options.bartizan, &["--version"]));
    if let Some(nginx) = &options.nginx {
        println!("- {}", said(nginx, &["-v"]));
    }
    if let Some(litellm) = &options.litellm {
        // Not by its own command, which asks the internet for prices before it answers.
        let ask = "from importlib.metadata import version; print(version('litellm'))";
        println!("- LiteLLM: {}", said(&litellm.with_file_name("python"), &["-c", ask]));
    }
    println!();
}

/// The share of the machine that others may take while it measures.
const OTHERS_MAX: f64 = 0.15;

/// CPU time since the machine started, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    all: f64,
    idle: f64,
    /// By the benchmark and everything that it started.
    own: f64,
}

impl Spent {
    pub fn now() -> Self {
        let (all, idle) = ticks(&first_line("/proc/stat"));
        let ms = |ticks: u64| ticks as f64 * process::TICK_MS;
        Self { all: ms(all), idle: ms(idle), own: process::cpu_ms(std::process::id()) }
    }

    /// Says how noisy the machine was since then.
    pub fn print_noise(self) {
        let now = Self::now();
        let all = (now.all - self.all).max(1.0);
        let (idle, own) = (now.idle - self.idle, now.own - self.own);
        let others = (all - idle - own).max(0.0) / all;
        println!(
            "Of the machine's CPU time meanwhile, {:.0} % was idle and {:.0} % went to its host and to others.{}\n",
            100.0 * idle / all,
            100.0 * others,
            if others > OTHERS_MAX {
                " **That is too much: these figures say little.**"
            } else {
                ""
            }
        );
    }
}

/// All ticks and idle ones, from the first line of `/proc/stat`.
fn ticks(line: &str) -> (u64, u64) {
    let fields: Vec<u64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    let field = |place: usize| fields.get(place).copied().unwrap_or(0);
    // What follows the first eight, time of guests, is counted in them already.
    (fields.iter().take(8).sum(), field(3) + field(4))
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    model
        .and_then(|line| line.split_once(':'))
        .map_or("unknown CPU", |(_, name)| name.trim())
        .to_owned()
}

fn memory_gb() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    kb.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_000_000
}

fn first_line(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// The last line that a command says, on either output.
fn said(program: &Path, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("unknown").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_ticks_of_all_cores() {
        assert_eq!(ticks("cpu  1 2 3 40 5 6 7 8 9 10"), (72, 45));
    }
}
