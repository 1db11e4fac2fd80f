//! The database: there, of a known version, under the right master key, undamaged.

use std::fs;

use bartizan_store::{DATABASE_FILE, Error};

use super::{Found, KEY_FILE, Site};

const WHAT: &str = "database";
/// How many places that are damaged are named.
const SHOWN_MAX: usize = 3;
const ADVICE: &str =
    "keep a copy of it as it is; `bartizan db restore BACKUP` puts a backup in its place";

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
            Err(error) => Found::bad(
                WHAT,
                format!("the server cannot tell: {error:#}"),
                "its log says more; look again when it is stopped",
            ),
        },
        (None, Some(holder), _) => {
            Found::note(WHAT, format!("in use by {holder}, so it was not looked into"))
        }
        (None, None, _) => in_place(site).await,
    }]
}

/// Where no server runs: in its place, and read-only.
async fn in_place(site: &Site<'_>) -> Found {
    let config = &site.loaded.config;
    let key = match (&config.store.master_key_env, &config.store.master_key_file) {
        (Some(_), _) => None,
        (None, Some(file)) => Some(file.clone()),
        (None, None) => Some(config.data_dir.join(KEY_FILE)),
    };
    if key.as_ref().is_some_and(|file| !file.exists()) {
        return Found::note(WHAT, "it cannot be looked into without the master key");
    }
    match bartizan_store::look_in(&config.store, &config.data_dir).await {
        Ok(problems) => damage(problems),
        Err(error) => Found::bad(WHAT, error.to_string(), advice(&error)),
    }
}

/// What helps depends on the cause: a backup in the place of a whole database loses data.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Corrupt { .. } | Error::AlteredKey { .. } => ADVICE,
        Error::MasterKey { .. } | Error::OtherMasterKey { .. } => {
            "put the right master key back from where you keep a copy; the database needs nothing"
        }
        Error::Newer { .. } => "use the version of bartizan that wrote it",
        Error::Foreign { .. } => "name another directory with `data_dir`",
        Error::Busy { .. } => "stop the process that has it open, and look again",
        _ => "see that this user may read it; the database itself may need nothing",
    }
}

fn damage(problems: Vec<String>) -> Found {
    match problems.as_slice() {
        [] => Found::good(WHAT, "whole, and its master key fits"),
        some => {
            let more = some.len().saturating_sub(SHOWN_MAX);
            let mut said = some.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
            if more > 0 {
                said.push_str(&format!("; and {more} more"));
            }
            Found::bad(WHAT, said, ADVICE)
        }
    }
}
