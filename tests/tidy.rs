//! The house keeps its shape: rooms import only what they may, catalogues list
//! what their folders hold, every file says what it is for, and the generated
//! pages are current.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Which rooms a room may import. Everyone may use core, and every capability
/// room the ledger.
const MAY_USE: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("ledger", &["core"]),
    ("policy", &["core", "ledger"]),
    ("net", &["core"]),
    ("store", &["core", "ledger"]),
    ("ml", &["core"]),
    ("guard", &["core", "ml"]),
    ("gateway", &["core", "ledger", "guard", "policy", "store", "net"]),
    ("console", &["core", "ledger", "guard", "policy", "net", "store", "gateway"]),
    ("bartizan", &["core", "ledger", "guard", "policy", "net", "store", "gateway", "console"]),
];

/// Crates that only some rooms may compile, and which.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("cedar-policy", &["policy"]),
    ("sqlx", &["store"]),
    ("async-nats", &["store"]),
    ("redis", &["store"]),
    ("axum", &["gateway", "console", "bartizan"]),
    ("clap", &["bartizan"]),
    ("hyper-rustls", &["net"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn room(package: &str) -> Option<&str> {
    match package {
        "bartizan" => Some("bartizan"),
        other => other.strip_prefix("bartizan-"),
    }
}

/// Room -> the packages that it depends on outside its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut rooms = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let normal =
            package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"] != "dev");
        let names = normal.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        rooms.insert(room(package["name"].as_str().unwrap()).expect("a room").to_owned(), names);
    }
    rooms
}

#[test]
fn rooms_import_only_what_they_may() {
    let may: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (from, packages) in dependencies() {
        let Some(allowed) = may.get(from.as_str()) else {
            wrong.push(format!("the room `{from}` is not listed in MAY_USE"));
            continue;
        };
        for package in packages {
            if let Some(to) = room(&package)
                && !allowed.contains(&to)
            {
                wrong.push(format!("{from} -> {to}"));
            }
            if let Some((_, rooms)) = ONLY_IN.iter().find(|(name, _)| *name == package)
                && !rooms.contains(&from.as_str())
            {
                wrong.push(format!("{from} -> {package} (only in {})", rooms.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that must not be:\n{}", wrong.join("\n"));
}

/// Every file of ours that git knows or would add.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().map(|line| root().join(line)).filter(|path| path.is_file()).collect()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

#[test]
fn every_catalogue_lists_what_its_folder_holds() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for catalog in files().iter().filter(|path| path.ends_with("catalog.rs")) {
        seen += 1;
        let text = fs::read_to_string(catalog).unwrap();
        let folder = catalog.parent().unwrap();
        let module = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if !has_extension(&path, "rs") || ["mod", "catalog"].contains(&name.as_str()) {
                continue;
            }
            // A file is a thing of the catalogue, or a part that `mod.rs` names as shared.
            let shared = module.contains(&format!("// shared: {name}"));
            if !shared && !text.contains(&format!("{name}::")) {
                wrong.push(format!("{} does not list `{name}`", catalog.display()));
            }
        }
    }
    assert!(seen >= 3, "only {seen} catalogues were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for path in files() {
        if !has_extension(&path, "rs") || path.components().any(|part| part.as_os_str() == "forge")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//! ") {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "these begin without a `//!` comment:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_stands_nowhere_and_every_room_takes_the_workspace_lints() {
    let mut wrong = Vec::new();
    for path in files() {
        if path.ends_with("Cargo.toml")
            && path.parent().unwrap().parent().is_some_and(|p| p.ends_with("crates"))
        {
            let text = fs::read_to_string(&path).unwrap();
            if !text.contains("[lints]\nworkspace = true") {
                wrong.push(path.display().to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "these do not take the workspace's lints:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_page() {
    for (room, _) in MAY_USE {
        let page = root().join("crates").join(room).join("README.md");
        assert!(page.is_file(), "{} is missing", page.display());
    }
}

#[test]
fn generated_pages_are_current() {
    let output = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["reference", "--check", "--out", "docs/reference"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "run `cargo run -- reference --out docs/reference` and commit what it changes:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in files().iter().filter(|path| has_extension(path, "md")) {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("//") || target.contains(' ') {
                continue;
            }
            if !page.parent().unwrap().join(target).exists() {
                wrong.push(format!("{} -> {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

/// A page that says what a test shows names the test, and links the file that it is in.
#[test]
fn every_test_that_a_page_names_is_there() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in files().iter().filter(|path| has_extension(path, "md")) {
        let text = fs::read_to_string(page).unwrap();
        for reference in text.split("[`").skip(1) {
            let Some((name, rest)) = reference.split_once("`](") else { continue };
            let file = page.parent().unwrap().join(rest.split(')').next().unwrap());
            if !has_extension(&file, "rs") || !name.chars().all(|c| c == '_' || c.is_alphanumeric())
            {
                continue;
            }
            seen += 1;
            let code = fs::read_to_string(&file).unwrap_or_default();
            if !code.contains(&format!("fn {name}(")) {
                wrong.push(format!("{}: `{name}` is not in {}", page.display(), file.display()));
            }
        }
    }
    assert!(seen > 20, "only {seen} tests are named");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
