//! What the doctor looks at: a file a subject, all of them listed in `catalog.rs`.
//!
//! Invariant: looking changes nothing in the installation, and copies nothing out of it: key
//! material and records stay where the operator put them.

mod catalog;
mod configuration;
mod database;
mod directory;
mod keys;
mod ledger;
mod listeners;
mod routes;
mod server;

use std::{fs, path::Path, pin::Pin};

use serde::Serialize;

use crate::{api::Api, config::Loaded, lock};

/// The master key's file in the data directory, where the configuration names no other.
const KEY_FILE: &str = "master.key";

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Good,
    /// Worth knowing.
    Note,
    /// Needs attention.
    Bad,
}

/// What was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    pub(crate) what: &'static str,
    pub(crate) state: State,
    pub(crate) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl Found {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, state: State::Good, found: found.into(), advice: None }
    }

    fn note(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, state: State::Note, found: found.into(), advice: None }
    }

    fn bad(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, state: State::Bad, found: found.into(), advice: Some(advice.into()) }
    }
}

/// What there is to look at.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    loaded: &'a Loaded,
    /// Who holds the data directory.
    holder: Option<String>,
    /// The running server, where it answers.
    server: Option<Api>,
}

/// One subject.
type Look = for<'a> fn(&'a Site<'a>) -> Pin<Box<dyn Future<Output = Vec<Found>> + 'a>>;

/// What is to be said when the configuration cannot be used: nothing else can be looked at.
pub(crate) fn unusable(error: &anyhow::Error) -> Vec<Found> {
    let advice = "mend it; `docs/reference/configuration.md` lists every key";
    vec![Found::bad("configuration", format!("{error:#}"), advice)]
}

/// Looks at everything.
pub(crate) async fn look(loaded: &Loaded) -> Vec<Found> {
    let dir = &loaded.config.data_dir;
    let site = Site {
        loaded,
        holder: lock::holder(dir).unwrap_or_default(),
        server: Api::running(&loaded.config).await,
    };
    let mut found = Vec::new();
    for look in catalog::ALL {
        found.extend(look(&site).await);
    }
    found
}

/// Whether a file or folder is its owner's alone.
fn private(what: &'static str, path: &Path) -> Found {
    use std::os::unix::fs::PermissionsExt;
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => {
            let advice = "make it readable for the user who runs bartizan";
            return Found::bad(what, format!("`{}`: {error}", path.display()), advice);
        }
    };
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Found::bad(
            what,
            format!("`{}` has mode {mode:o}: others may look into it", path.display()),
            format!("chmod go-rwx {}", path.display()),
        );
    }
    Found::good(what, format!("`{}`, its owner's alone", path.display()))
}
