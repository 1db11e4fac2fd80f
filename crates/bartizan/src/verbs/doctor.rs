//! `bartizan doctor`: explains the state of an installation, and changes nothing.

use std::{
    fs,
    net::ToSocketAddrs,
    path::{Path, PathBuf},
};

use bartizan_core::Cx;
use bartizan_ledger::{VerifierKey, verify};
use bartizan_store::Store;
use serde::Serialize;
use tokio::net::{TcpListener, UnixStream};

use super::Call;
use crate::{
    config::{Config, Effective, Loaded},
    lock,
    output::Outcome,
    wiring,
};

/// Explain the state of an installation; nothing is changed.
///
/// Exit code 1 when something needs attention.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print each value in force, and where it comes from.
    #[arg(long)]
    effective: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    /// Worth knowing.
    Note,
    /// Needs attention.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Check {
    fn new(what: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { what, state, found: found.into(), advice: None }
    }

    fn bad(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, state: State::Bad, found: found.into(), advice: Some(advice.into()) }
    }
}

pub(super) async fn run(call: &Call<'_>, args: &Args) -> anyhow::Result<Outcome> {
    let loaded = call.sources.load()?;
    if args.effective {
        let row =
            |one: &Effective| vec![one.key.clone(), one.value.to_string(), one.origin.clone()];
        call.out().many(&loaded.effective(), &["key", "value", "from"], row, "")?;
        return Ok(Outcome::Clean);
    }
    let checks = checks(&loaded, call.cx).await;
    let row = |check: &Check| {
        let state = match check.state {
            State::Good => "ok",
            State::Note => "note",
            State::Bad => "BAD",
        };
        let advice = check.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        vec![state.to_owned(), check.what.to_owned(), format!("{}{advice}", check.found)]
    };
    call.out().many(&checks, &["state", "what", "found"], row, "")?;
    let bad = checks.iter().any(|check| check.state == State::Bad);
    Ok(if bad { Outcome::Findings } else { Outcome::Clean })
}

async fn checks(loaded: &Loaded, cx: &Cx) -> Vec<Check> {
    let config = &loaded.config;
    let mut checks = vec![match &loaded.file {
        Some(file) => {
            Check::new("configuration", State::Good, format!("read from `{}`", file.display()))
        }
        None => Check::new("configuration", State::Note, "no file: defaults and environment alone"),
    }];
    if config.routes.is_empty() {
        checks.push(Check::new(
            "routes",
            State::Note,
            "none: the gateway answers no model; add `[routes.NAME]`",
        ));
    }
    let dir = &config.data_dir;
    if !dir.exists() {
        checks.push(Check::new(
            "data directory",
            State::Note,
            format!("`{}` is not there yet; the first start makes it", dir.display()),
        ));
    } else {
        checks.push(directory(dir));
        checks.push(server(dir).await);
        checks.extend(files(config));
        checks.push(database(config, cx).await);
        checks.push(ledger(config));
    }
    let running = UnixStream::connect(lock::socket(dir)).await.is_ok();
    for (what, address) in
        [("data plane", &config.data.listen), ("administration", &config.admin.listen)]
    {
        checks.push(port(what, address, running).await);
    }
    checks.extend(targets(config));
    checks
}

fn directory(dir: &Path) -> Check {
    const WHAT: &str = "data directory";
    match fs::metadata(dir) {
        Err(error) => Check::bad(
            WHAT,
            format!("`{}`: {error}", dir.display()),
            "name another with `data_dir`",
        ),
        Ok(meta) if !meta.is_dir() => Check::bad(
            WHAT,
            format!("`{}` is no folder", dir.display()),
            "name another with `data_dir`",
        ),
        Ok(meta) if meta.permissions().readonly() => Check::bad(
            WHAT,
            format!("`{}` is read-only", dir.display()),
            "make it writable, or name another with `data_dir`",
        ),
        Ok(meta) => mode(WHAT, dir, &meta, 0o077),
    }
}

fn mode(what: &'static str, path: &Path, meta: &fs::Metadata, forbidden: u32) -> Check {
    use std::os::unix::fs::PermissionsExt;
    let mode = meta.permissions().mode() & 0o777;
    if mode & forbidden != 0 {
        return Check::bad(
            what,
            format!("`{}` has mode {mode:o}: others may look into it", path.display()),
            format!("chmod go-rwx {}", path.display()),
        );
    }
    Check::new(what, State::Good, format!("`{}`, its owner's alone", path.display()))
}

async fn server(dir: &Path) -> Check {
    const WHAT: &str = "server";
    let answers = UnixStream::connect(lock::socket(dir)).await.is_ok();
    match lock::holder(dir) {
        Ok(Some(holder)) if answers => Check::new(WHAT, State::Good, format!("runs: {holder}")),
        Ok(Some(holder)) => Check::new(
            WHAT,
            State::Note,
            format!("the directory is held by {holder}, which does not answer on its socket"),
        ),
        Ok(None) => Check::new(WHAT, State::Note, "none runs on this directory"),
        Err(error) => Check::bad(WHAT, error.to_string(), "the lock must be readable"),
    }
}

fn files(config: &Config) -> Vec<Check> {
    let dir = &config.data_dir;
    let master = config.store.master_key_file.clone().unwrap_or_else(|| dir.join("master.key"));
    let mut out = Vec::new();
    let keys: [(&'static str, PathBuf, bool); 2] = [
        ("master key", master, config.store.master_key_env.is_none()),
        ("ledger key", config.ledger_dir().join("ledger.key"), true),
    ];
    for (what, path, expected) in keys {
        match fs::metadata(&path) {
            Ok(meta) => out.push(mode(what, &path, &meta, 0o077)),
            Err(_) if !expected => {}
            Err(error) => out.push(Check::bad(
                what,
                format!("`{}`: {error}", path.display()),
                "put it back from where you keep it; without it nothing can be read or signed",
            )),
        }
    }
    out
}

/// Looks into the database as a start would; a running server has looked already.
async fn database(config: &Config, cx: &Cx) -> Check {
    const WHAT: &str = "database";
    const ADVICE: &str = "`bartizan db restore BACKUP` puts a backup in its place";
    let dir = &config.data_dir;
    if !matches!(lock::holder(dir), Ok(None)) {
        return Check::new(
            WHAT,
            State::Note,
            "in use, so it was not looked into; `bartizan routes` shows whether the server answers",
        );
    }
    if !dir.join(bartizan_store::DATABASE_FILE).exists() {
        return Check::bad(WHAT, "it is not there, although the directory is", ADVICE);
    }
    let looked = async {
        let store = Store::open(&config.store, dir, wiring::classes(), cx).await?;
        let problems = store.check().await;
        store.close().await?;
        problems
    };
    match looked.await {
        Ok(problems) if problems.is_empty() => Check::new(WHAT, State::Good, "whole"),
        Ok(problems) => Check::bad(WHAT, problems.join("; "), ADVICE),
        Err(error) => Check::bad(WHAT, error.to_string(), ADVICE),
    }
}

fn ledger(config: &Config) -> Check {
    const WHAT: &str = "ledger";
    const ADVICE: &str = "keep the folder as it is, and compare it with a backup or a witness";
    let dir = config.ledger_dir();
    let public = match fs::read_to_string(dir.join("ledger.pub")) {
        Ok(text) => text,
        Err(error) => {
            return Check::bad(
                WHAT,
                format!("`{}`: {error}", dir.join("ledger.pub").display()),
                ADVICE,
            );
        }
    };
    let verified = VerifierKey::parse(public.trim())
        .and_then(|key| verify::directory(&dir, &key, &verify::Options::default()));
    match verified {
        Err(error) => Check::bad(WHAT, error.to_string(), ADVICE),
        Ok(report) if !report.is_intact() => Check::bad(WHAT, report.problems.join("; "), ADVICE),
        Ok(report) => Check::new(
            WHAT,
            State::Good,
            format!("intact, {} entries", report.head.map_or(0, |head| head.size)),
        ),
    }
}

async fn port(what: &'static str, address: &str, running: bool) -> Check {
    match TcpListener::bind(address).await {
        Ok(_) => Check::new(what, State::Good, format!("`{address}` is free")),
        Err(_) if running => Check::new(what, State::Good, format!("`{address}` is served")),
        Err(error) => Check::bad(
            what,
            format!("`{address}`: {error}"),
            "stop what listens there, or choose another address",
        ),
    }
}

/// Whether the names of the targets resolve; nothing is sent to them.
fn targets(config: &Config) -> Vec<Check> {
    let mut out = Vec::new();
    for (name, route) in &config.routes {
        for target in &route.targets {
            let Ok(url) = target.url.parse::<http::Uri>() else {
                out.push(Check::bad(
                    "target",
                    format!("route `{name}`: `{}` is no URL", target.url),
                    "write it as `https://host/`",
                ));
                continue;
            };
            let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
            let port =
                url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
            out.push(match (host, port).to_socket_addrs() {
                Ok(_) => {
                    Check::new("target", State::Good, format!("route `{name}`: `{host}` resolves"))
                }
                Err(error) => Check::bad(
                    "target",
                    format!("route `{name}`: `{host}` does not resolve: {error}"),
                    "check the name and this machine's DNS",
                ),
            });
        }
    }
    out
}
