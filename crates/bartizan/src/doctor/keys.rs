//! The keys of the installation: there, and its owner's alone.

use super::{Found, KEY_FILE, Site, private};

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    let config = &site.loaded.config;
    if !config.data_dir.is_dir() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let in_dir = || config.data_dir.join(KEY_FILE);
    match &config.store.master_key_env {
        Some(name) if std::env::var_os(name).is_some() => {
            found.push(Found::good("master key", format!("from the environment, `{name}`")));
        }
        Some(name) if site.server.is_some() => found.push(Found::note(
            "master key",
            format!("`{name}` is not set here; the server that runs has it"),
        )),
        Some(name) => found.push(Found::bad(
            "master key",
            format!("the environment variable `{name}` is not set"),
            "`store.master_key_env` names it: set it to the key that you keep",
        )),
        None => {
            let path = config.store.master_key_file.clone().unwrap_or_else(in_dir);
            found.push(present("master key", &path, "nothing that rests can be read without it"));
        }
    }
    let path = config.ledger_dir().join("ledger.key");
    found.push(present("ledger key", &path, "nothing can be added to the ledger without it"));
    found
}

fn present(what: &'static str, path: &std::path::Path, without: &str) -> Found {
    if path.exists() {
        return private(what, path);
    }
    let advice = format!("put it back from where you keep a copy: {without}");
    Found::bad(what, format!("`{}` is not there", path.display()), advice)
}
