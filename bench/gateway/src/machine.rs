//! Says on what machine, and with which versions, figures were measured.

use std::{fs, path::Path, process::Command};

use crate::stages::Options;

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
