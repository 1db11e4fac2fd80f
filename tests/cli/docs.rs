//! Every command in the documentation is run: the `sh` blocks of a page, in
//! order, as one script, in an empty directory, with the real binary.
//!
//! A model answers on Ollama's usual port, which the guides name. Pages run one
//! after another, since they use the default ports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::model::{Model, say};

/// Where the guides say that a model listens.
const MODEL_PORT: u16 = 11434;
/// A page's script may take so long; the demo is the longest.
const PAGE_MAX: Duration = Duration::from_secs(240);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The pages with commands: the front page and everything under `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The `sh` blocks of a page, joined.
fn script(page: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match (inside, line.trim()) {
            (false, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, _) => {
                script += line;
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

/// Stand-ins for what cannot run inside a test: cargo builds what is built
/// already, and the test command is what runs this.
fn shims(dir: &Path) {
    let bartizan = common::BINARY;
    let cargo = format!(
        "#!/bin/sh\ncase \"$*\" in\n  \"run --release -- \"*) shift 3; exec {bartizan} \"$@\";;\n  \"run -- \"*) shift 2; exec {bartizan} \"$@\";;\n  \"build --release\"|\"install --path crates/bartizan\") ;;\n  \"nextest run\"*|\"test \"*|\"clippy\"*|\"fmt\"*|\"fuzz \"*) ;;\n  *) echo \"the docs test knows no 'cargo $*'\" >&2; exit 1;;\nesac\n"
    );
    write_script(&dir.join("cargo"), &cargo);
    write_script(&dir.join("bartizan"), &format!("#!/bin/sh\nexec {bartizan} \"$@\"\n"));
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(page: &Path, script: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    let work = dir.path().join("work");
    for folder in [&bin, &work, &work.join("tests"), &work.join("packaging")] {
        fs::create_dir(folder).unwrap();
    }
    shims(&bin);
    fs::write(work.join("tests/run.sh"), "exit 0\n").unwrap();
    // The release script itself, with the binary that is built already.
    let release = root().join("packaging/release.sh");
    write_script(
        &work.join("packaging/release.sh"),
        &format!(
            "#!/bin/sh\nCARGO={} exec bash {} --binary {} \"$@\"\n",
            env!("CARGO"),
            release.display(),
            common::BINARY
        ),
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let log = dir.path().join("log");
    let file = fs::File::create(&log).unwrap();
    let mut command = common::own_environment(Command::new("bash"));
    let mut child = command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(&work)
        .env("PATH", path)
        .env("HOME", &work)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .process_group(0)
        .spawn()
        .unwrap();
    let until = Instant::now() + PAGE_MAX;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > until {
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    // Servers that the page started end with it.
    let _ended = Command::new("kill")
        .args(["-9", "--", &format!("-{}", child.id())])
        .stderr(Stdio::null())
        .status();
    let _reaped = child.wait();
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    let how =
        status.map_or_else(|| format!("not done in {PAGE_MAX:?}"), |status| status.to_string());
    Err(format!("{}: {how}\n{said}", page.display()))
}

#[test]
fn every_command_in_the_documentation_runs() {
    let _model = Model::on(MODEL_PORT, |_, body| say("Mix flour, water, salt and yeast.", body));
    let mut failed = Vec::new();
    let mut ran = 0;
    for page in pages() {
        let script = script(&fs::read_to_string(&page).unwrap());
        if script.trim().is_empty() {
            continue;
        }
        ran += 1;
        println!("{}", page.display());
        if let Err(error) = run(&page, &script) {
            failed.push(error);
        }
    }
    assert!(ran >= 4, "only {ran} pages have commands");
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn every_shell_block_is_one_that_the_test_finds() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for line in text.lines().filter(|line| line.trim_start().starts_with("```")) {
            if ["```bash", "```shell", "```console", "```zsh"]
                .iter()
                .any(|other| line.trim().starts_with(other))
            {
                wrong.push(format!("{}: {line}: write ```sh, so that it is run", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
