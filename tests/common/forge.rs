//! Programs that must not compile: each tries a way around a check. A file `NAME.stderr`
//! beside each has the errors, a line each; `UPDATE_EXPECT=1` writes them anew.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the workspace was built into, for a compiler that is called by hand: no crate is
/// compiled again.
fn externs(cargo: &Path) -> Vec<String> {
    let mut command = Command::new(cargo);
    // What cargo tells a test about its crate would have build scripts run again.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["build", "--workspace", "--locked", "--quiet", "--message-format=json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut externs = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let built: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = built
            .pointer("/target/name")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .replace('-', "_");
        if !(name.starts_with("bartizan_") || name == "serde_json") {
            continue;
        }
        let files = built.get("filenames").and_then(|f| f.as_array()).into_iter().flatten();
        if let Some(file) = files.filter_map(|f| f.as_str()).find(|f| f.ends_with(".rlib")) {
            let folder = Path::new(file).parent().unwrap();
            let deps = if folder.ends_with("deps") { folder.into() } else { folder.join("deps") };
            externs.push("-L".to_owned());
            externs.push(format!("dependency={}", deps.display()));
            externs.push("--extern".to_owned());
            externs.push(format!("{name}={file}"));
        }
    }
    externs
}

/// The compiler's errors, without places.
fn errors(rustc: &Path, externs: &[String], file: &Path, out: &Path) -> Option<String> {
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--error-format=short"])
        .arg("--out-dir")
        .arg(out)
        .args(externs)
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = said.lines().filter_map(|line| {
        let at = line.find(": error")?;
        line.get(at + 2..)
    });
    (!output.status.success()).then(|| lines.map(|line| format!("{line}\n")).collect())
}

/// Compiles every file of a folder of a crate; one that compiles, or fails otherwise than it
/// is known to, fails the test.
#[track_caller]
pub(crate) fn none_compiles(folder: &Path) {
    let cargo = PathBuf::from(std::env::var_os("CARGO").expect("run by cargo"));
    let (rustc, externs) = (cargo.with_file_name("rustc"), externs(&cargo));
    let out = tempfile::tempdir().unwrap();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files {
        count += 1;
        let kept = file.with_extension("stderr");
        match errors(&rustc, &externs, &file, out.path()) {
            None => wrong.push(format!("{} compiles", file.display())),
            Some(said) if std::env::var_os("UPDATE_EXPECT").is_some() => {
                fs::write(kept, said).unwrap();
            }
            Some(said) => {
                let known = fs::read_to_string(&kept).unwrap_or_default();
                if said != known {
                    wrong.push(format!("{}: expected\n{known}and got\n{said}", file.display()));
                }
            }
        }
    }
    assert!(count > 0, "no program in {}", folder.display());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
