//! The ledger: verified from its files, and whether its key goes on with it.

use std::{fs, path::Path};

use bartizan_ledger::{Checkpoint, Error, SigningKey, VerifierKey, verify};

use super::{Found, Site};

const WHAT: &str = "ledger";
const ADVICE: &str = "keep the folder as it is, and compare it with a backup or a witness";

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    if !site.loaded.config.data_dir.is_dir() {
        return Vec::new();
    }
    let dir = site.loaded.config.ledger_dir();
    let mut found = vec![verified(&dir)];
    found.extend(key(&dir));
    found
}

fn verified(dir: &Path) -> Found {
    let public = dir.join("ledger.pub");
    let looked = fs::read_to_string(&public)
        .map_err(|error| format!("`{}`: {error}", public.display()))
        .and_then(|text| VerifierKey::parse(text.trim()).map_err(|error| error.to_string()))
        .and_then(|key| report(dir, &key).map_err(|error| error.to_string()));
    match looked {
        Err(problem) => Found::bad(WHAT, problem, ADVICE),
        Ok(report) if !report.is_intact() => Found::bad(WHAT, report.problems.join("; "), ADVICE),
        Ok(report) => {
            let size = report.head.map_or(0, |head| head.size);
            let torn = match report.torn {
                0 => String::new(),
                torn => format!("; a crash cut off {torn} that were never acknowledged"),
            };
            Found::good(WHAT, format!("intact, {size} entries{torn}"))
        }
    }
}

fn report(dir: &Path, key: &VerifierKey) -> Result<verify::Report, Error> {
    verify::directory(dir, key, &verify::Options::default())
}

/// Whether the private key is one that this ledger was signed with.
fn key(dir: &Path) -> Option<Found> {
    const WHAT: &str = "ledger key";
    const ADVICE: &str = "put the key of this ledger back from where you keep a copy";
    let path = dir.join("ledger.key");
    // That it is missing is said among the keys.
    let text = fs::read_to_string(&path).ok()?;
    let shown = path.display();
    Some(match SigningKey::parse(&text) {
        Err(error) => Found::bad(WHAT, format!("`{shown}`: {error}"), ADVICE),
        Ok(key) => match report(dir, &key.verifier()) {
            Ok(report) if report.is_intact() || signed(dir, &key) => {
                Found::good(WHAT, "it is the key of this ledger")
            }
            _ => Found::bad(WHAT, format!("`{shown}` did not sign this ledger"), ADVICE),
        },
    })
}

/// Whether the key signed the newest checkpoint that was settled, whatever else is damaged.
fn signed(dir: &Path, key: &SigningKey) -> bool {
    fs::read_to_string(dir.join("checkpoint"))
        .ok()
        .and_then(|note| Checkpoint::parse(&note).ok())
        .is_some_and(|checkpoint| checkpoint.is_signed_by(&key.verifier()))
}
