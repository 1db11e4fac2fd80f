//! What a company asks of a release: what it is made of and by whom, that it runs as a
//! service, that it opens what the version before it wrote, and that it is silent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

mod materials;
mod service;
mod silence;
mod upgrade;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A shell script in a folder; it stops at the first command that fails.
fn shell(dir: &Path, script: &str) -> Output {
    Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(dir).output().unwrap()
}

/// A script that must succeed; its standard output.
#[track_caller]
fn succeeds(dir: &Path, script: &str) -> String {
    let output = shell(dir, script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a tool is here. A test that needs one that is not says so, and proves nothing.
fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
    if !found.status.success() {
        skipped(&format!("`{tool}` is not installed"));
    }
    found.status.success()
}

fn skipped(why: &str) {
    println!("!! SKIPPED: {why}");
}
