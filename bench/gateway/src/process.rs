//! What the kernel says of a process and all its descendants: CPU time and memory.

use std::{collections::HashMap, fs};

/// The kernel's clock for these figures ticks a hundred times a second on every Linux.
pub const TICK_MS: f64 = 10.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

/// CPU time (user and system) of a tree of processes since they started, in milliseconds.
pub fn cpu_ms(root: u32) -> f64 {
    let stats = stats();
    let ticks: u64 =
        tree(root, &stats).iter().filter_map(|pid| stats.get(pid)).map(|s| s.ticks).sum();
    ticks as f64 * TICK_MS
}

/// Resident memory of a tree of processes, in kB. What they share counts for each.
pub fn rss_kb(root: u32) -> f64 {
    tree(root, &stats()).into_iter().filter_map(rss_of).sum()
}

/// A process and its descendants.
fn tree(root: u32, stats: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(stats.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

fn stats() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse(&line)?))
        })
        .collect()
}

/// Reads a line of `/proc/PID/stat`. The name, in brackets, may contain anything.
fn parse(line: &str) -> Option<Stat> {
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}

fn rss_of(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_a_process_with_an_odd_name() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 3 0 100 1000 200";
        assert_eq!(parse(line), Some(Stat { parent: 7, ticks: 42 }));
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn finds_descendants() {
        let stat = |parent| Stat { parent, ticks: 1 };
        let stats = HashMap::from([(2, stat(1)), (3, stat(2)), (4, stat(3)), (9, stat(1))]);
        let mut found = tree(2, &stats);
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4]);
    }

    #[test]
    fn sees_itself() {
        assert!(rss_kb(std::process::id()) > 100.0);
    }
}
