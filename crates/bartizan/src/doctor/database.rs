//! The database: there, of a known version, under the right master key, undamaged.

use std::{fs, io, path::Path};

use bartizan_store::{DATABASE_FILE, Store, StoreSettings};

use super::{Found, KEY_FILE, Site};
use crate::{system::Scratch, wiring};

const WHAT: &str = "database";
const ADVICE: &str =
    "keep a copy of it as it is; `bartizan db restore BACKUP` puts a backup in its place";
/// The largest database that is copied to be looked into, in bytes: a minute's work.
const COPY_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    let dir = &site.loaded.config.data_dir;
    if !dir.is_dir() {
        return Vec::new();
    }
    if site.server.is_none()
        && let Some(found) = bartizan_store::look(&site.loaded.config.store).await.transpose()
    {
        return vec![match found {
            Ok(found) => Found::good(WHAT, found),
            Err(error) => Found::bad(WHAT, error.to_string(), "every node needs it to serve"),
        }];
    }
    let file = dir.join(DATABASE_FILE);
    vec![match (&site.server, &site.holder, fs::metadata(&file)) {
        (_, _, Err(error)) if site.loaded.config.store.database_url.is_none() => {
            let found = format!("`{}`, although the directory is there: {error}", file.display());
            Found::bad(WHAT, found, ADVICE)
        }
        (Some(api), ..) => match api.get("/api/v1/status?check=true").await {
            Ok(status) => {
                damage(status.get("database").and_then(|list| list.as_array()).map_or(
                    Vec::new(),
                    |list| {
                        list.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
                    },
                ))
            }
            Err(error) => Found::bad(WHAT, format!("the server cannot tell: {error:#}"), ADVICE),
        },
        (None, Some(holder), _) => {
            Found::note(WHAT, format!("in use by {holder}, so it was not looked into"))
        }
        (None, None, Ok(meta)) if meta.len() > COPY_BYTES_MAX => {
            let found = format!("of {} bytes, too large to be looked into from a copy", meta.len());
            Found::note(WHAT, found)
        }
        (None, None, _) => from_a_copy(site).await,
    }]
}

/// Opening a database may finish what a crash left undone, there and in the key's
/// file, so copies of both are opened.
async fn from_a_copy(site: &Site<'_>) -> Found {
    let config = &site.loaded.config;
    let key = match (&config.store.master_key_env, &config.store.master_key_file) {
        (Some(_), _) => None,
        (None, Some(file)) => Some(file.clone()),
        (None, None) => Some(config.data_dir.join(KEY_FILE)),
    };
    if key.as_ref().is_some_and(|file| !file.exists()) {
        return Found::note(WHAT, "it cannot be looked into without the master key");
    }
    let looked = async {
        let scratch = Scratch::new(site.cx)?;
        copy(&config.data_dir, scratch.path())?;
        if let Some(file) = key {
            fs::copy(file, scratch.path().join(KEY_FILE))?;
        }
        let settings = StoreSettings { master_key_file: None, ..config.store.clone() };
        let store = Store::open(&settings, scratch.path(), wiring::classes(), site.cx).await?;
        let problems = store.check().await;
        store.close().await?;
        anyhow::Ok(problems?)
    };
    match looked.await {
        Ok(problems) => damage(problems),
        Err(error) => Found::bad(WHAT, format!("{error:#}"), ADVICE),
    }
}

/// The file with what has not been merged into it yet.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for suffix in ["", "-wal"] {
        let name = format!("{DATABASE_FILE}{suffix}");
        match fs::copy(from.join(&name), to.join(&name)) {
            Err(error) if suffix.is_empty() || error.kind() != io::ErrorKind::NotFound => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

fn damage(problems: Vec<String>) -> Found {
    match problems.as_slice() {
        [] => Found::good(WHAT, "whole, and its master key fits"),
        some => Found::bad(WHAT, some.join("; "), ADVICE),
    }
}
