//! The ledger and the database are witnesses of one another: the database remembers the
//! newest head of the ledger that was durable, and a ledger with entries tells of a database.
//! So that one of them is gone, emptied, or put back from an older copy is refused at the next
//! start, and going on without it is an act of its own, which the new ledger's entries name.
//!
//! Whoever can write both can still set both back: against that stands a witness elsewhere.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bartizan_core::Cx;
use bartizan_ledger::{Entry, Head, Ledger, Settings};
use bartizan_store::{DATABASE_FILE, LogHead, Store};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use crate::{
    config::Config,
    lock::DirectoryLock,
    restore,
    trouble::{Hint, trouble},
    wiring,
};

/// Refuses a database that is gone or empty beside a ledger that has entries, before anything
/// is made in its place.
pub(crate) fn database_is_there(config: &Config) -> anyhow::Result<()> {
    match missing(config) {
        Some(what) if Ledger::is_there(&config.ledger_dir()) => Err(lost_database(config, what)),
        _ => Ok(()),
    }
}

/// What is wrong with the database's file, where the database is a file.
fn missing(config: &Config) -> Option<&'static str> {
    if config.store.database_url.is_some() {
        return None;
    }
    match fs::metadata(config.data_dir.join(DATABASE_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("gone"),
        Ok(file) if file.len() == 0 => Some("empty"),
        _ => None,
    }
}

fn lost_database(config: &Config, what: &str) -> anyhow::Error {
    let database = match &config.store.database_url {
        Some(_) => "the database of `store.database_url`".to_owned(),
        None => format!("the database `{}`", config.data_dir.join(DATABASE_FILE).display()),
    };
    trouble(
        format!(
            "{database} is {what}, although the ledger `{}` has entries: all keys, records and the administrator's token would be missing",
            config.ledger_dir().display()
        ),
        "`bartizan db restore BACKUP` puts a backup in its place; where there is none, `bartizan db begin-anew --yes` makes an empty database, and the ledger says so",
    )
}

/// Refuses a ledger that is gone although the database remembers it, before another is begun.
pub(crate) async fn ledger_is_there(config: &Config, store: &Store) -> anyhow::Result<()> {
    if Ledger::is_there(&config.ledger_dir()) {
        return Ok(());
    }
    let known = store.log_heads().await?;
    match lost(config, store, &known, None)? {
        Some(lost) => Err(lost.refusal(config)),
        None => {
            // Another node's, or this one's before its folder was lost: nobody here can tell.
            if let Some(other) = known.iter().find(|one| one.origin == config.ledger.origin) {
                tracing::warn!(
                    origin = other.origin,
                    entries = other.size,
                    "the database knows another ledger of this name: give each node a `ledger.origin` of its own, and if this node's folder was lost, run `bartizan ledger accept-loss`"
                );
            }
            Ok(())
        }
    }
}

/// Refuses a ledger that does not go on from what the database remembers, and a database that
/// knows nothing beside a ledger that has entries; remembers the head otherwise. Returns the
/// log's name among those that the database remembers.
pub(crate) async fn agree(
    config: &Config,
    store: &Store,
    ledger: &Ledger,
) -> anyhow::Result<[u8; 32]> {
    let known = store.log_heads().await?;
    if let Some(lost) = lost(config, store, &known, Some(ledger))? {
        return Err(lost.refusal(config));
    }
    // The second entry of any ledger was made with a tenant's key at hand.
    if known.is_empty() && ledger.head().size > 1 && store.tenants().await?.is_empty() {
        return Err(lost_database(config, "empty"));
    }
    adopt(store, ledger, &known).await
}

/// Remembers the ledger; where the database is this node's alone, none but it.
async fn adopt(store: &Store, ledger: &Ledger, known: &[LogHead]) -> anyhow::Result<[u8; 32]> {
    let log = name(ledger)?;
    remember(store, ledger, log).await?;
    if !store.shared() {
        for other in known.iter().filter(|one| one.log != log) {
            store.forget_log_head(&other.log).await?;
        }
    }
    Ok(log)
}

/// Remembers the newest head, which is durable.
pub(crate) async fn remember(store: &Store, ledger: &Ledger, log: [u8; 32]) -> anyhow::Result<()> {
    let Head { origin, size, root } = ledger.head();
    Ok(store.remember_log_head(&LogHead { log, origin, size, root }).await?)
}

fn name(ledger: &Ledger) -> anyhow::Result<[u8; 32]> {
    ledger.root_at(1)?.context("the ledger has no entry")
}

/// A ledger that is not there as it is remembered.
#[derive(Debug)]
struct Lost {
    known: LogHead,
    found: Found,
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Older { size: u64 },
    Another { size: u64 },
}

/// What of the remembered is lost. `ledger` is the one that is there.
fn lost(
    config: &Config,
    store: &Store,
    known: &[LogHead],
    ledger: Option<&Ledger>,
) -> anyhow::Result<Option<Lost>> {
    let Some(ledger) = ledger else {
        // Of a shared database, any of them may be another node's.
        let gone = known.iter().max_by_key(|one| one.size).filter(|_| !store.shared());
        return Ok(gone.map(|known| Lost { known: known.clone(), found: Found::Nothing }));
    };
    let (log, size) = (name(ledger)?, ledger.head().size);
    let (known, found) = match known.iter().find(|one| one.log == log) {
        Some(mine) => match ledger.root_at(mine.size)? {
            Some(root) if root == mine.root => return Ok(None),
            Some(_) => (mine, Found::Another { size }),
            None => (mine, Found::Older { size }),
        },
        None if store.shared() => return Ok(None),
        None => match known.iter().max_by_key(|one| one.size) {
            Some(other) if !goes_on_from(ledger, other)? => (other, Found::Another { size }),
            _ => return Ok(None),
        },
    };
    tracing::debug!(dir = %config.ledger_dir().display(), ?found, "a ledger was lost");
    Ok(Some(Lost { known: known.clone(), found }))
}

/// Whether the ledger's first entry names this very head: [`accept_loss`] was cut short.
fn goes_on_from(ledger: &Ledger, known: &LogHead) -> anyhow::Result<bool> {
    let first = ledger.entry(0)?;
    let of = |name: &str| first.pointer(&format!("/body/previous/{name}")).cloned();
    Ok(of("origin") == Some(known.origin.as_str().into())
        && of("size") == Some(known.size.into())
        && of("root") == Some(STANDARD.encode(known.root).into()))
}

impl Lost {
    fn refusal(&self, config: &Config) -> anyhow::Error {
        let LogHead { origin, size, .. } = &self.known;
        let dir = config.ledger_dir();
        let remembers = format!("the database remembers {size} entries of `{origin}`");
        let said = match self.found {
            Found::Nothing => format!("the ledger `{}` is gone: {remembers}", dir.display()),
            Found::Older { size } => format!(
                "the ledger `{}` has {size} entries, and {remembers}: it was cut, or put back from an older copy",
                dir.display()
            ),
            Found::Another { size } => format!(
                "the ledger `{}`, of {size} entries, is not the one that was there: {remembers} that lead to another root",
                dir.display()
            ),
        };
        trouble(
            said,
            "put the folder back from your newest copy, whole; where it is lost, find out why, keep what is there, and `bartizan ledger accept-loss --yes` begins another ledger, whose first entry names the lost one",
        )
    }
}

/// What [`accept_loss`] did.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    /// The ledger that was remembered.
    pub(crate) lost: String,
    pub(crate) lost_size: u64,
    pub(crate) lost_root: String,
    /// Where what was there in its place is now.
    pub(crate) kept: Option<PathBuf>,
    /// The name under which the ledger goes on, and its key.
    pub(crate) ledger: String,
    pub(crate) key: String,
}

/// Begins another ledger in the place of one that is lost. Nothing is added to what is there:
/// under the old name, that would be a second history.
pub(crate) async fn accept_loss(config: &Config, cx: &Cx) -> anyhow::Result<Accepted> {
    let _lock = DirectoryLock::take(&config.data_dir, "ledger accept-loss")?;
    database_is_there(config)?;
    let store = Store::open(&config.store, &config.data_dir, wiring::classes(), cx).await?;
    restore::finish(config)?;
    let known = store.log_heads().await?;
    let lost = match what_is_there(config, cx)? {
        Some(ledger) => lost(config, &store, &known, Some(&ledger))?,
        // Of a shared database, the operator's word counts that the one of this name is ours.
        None => known
            .iter()
            .filter(|one| !store.shared() || one.origin == config.ledger.origin)
            .max_by_key(|one| one.size)
            .map(|known| Lost { known: known.clone(), found: Found::Nothing }),
    };
    let Some(Lost { known: lost, .. }) = lost else {
        return Err(trouble(
            "no ledger is lost: what is there goes on from what the database remembers",
            "start the server",
        ));
    };
    let head = Head { origin: lost.origin.clone(), size: lost.size, root: lost.root };
    let (ledger, kept) = begin(config, &head, cx)?;
    let lost_root = STANDARD.encode(lost.root);
    let entry = Entry::new("admin.ledger.accept_loss")
        .actor("administrator:local")
        .subject("ledger")
        .with("lost", lost.origin.as_str())
        .with("lost_size", lost.size)
        .with("lost_root", lost_root.as_str());
    let _sealed = ledger.append(entry)?.await?;
    let log = adopt(&store, &ledger, &known).await?;
    if lost.log != log {
        store.forget_log_head(&lost.log).await?;
    }
    store.close().await?;
    let (ledger, key) = (ledger.head().origin, ledger.verifier().to_string());
    Ok(Accepted { lost: lost.origin, lost_size: lost.size, lost_root, kept, ledger, key })
}

fn what_is_there(config: &Config, cx: &Cx) -> anyhow::Result<Option<Ledger>> {
    let dir = config.ledger_dir();
    if !Ledger::is_there(&dir) {
        return Ok(None);
    }
    let opened = restore::open(&dir, &config.ledger.origin, cx).hint(
        "a ledger that does not verify stays as it is: move its folder elsewhere by hand, and accept the loss again",
    );
    opened.map(Some)
}

/// As after a restore: made beside the old one, which is then moved aside.
fn begin(config: &Config, lost: &Head, cx: &Cx) -> anyhow::Result<(Ledger, Option<PathBuf>)> {
    let (dir, next) = (config.ledger_dir(), config.data_dir.join(restore::NEXT));
    restore::remove(&next)?;
    let settings = Settings {
        origin: restore::next_origin(lost, cx),
        previous: Some(lost.clone()),
        key: None,
    };
    drop(Ledger::open(&next, &settings, cx)?);
    let aside = config.data_dir.join(format!("ledger.replaced-{}", cx.now().millis()));
    let kept = move_aside(&dir, &aside)?;
    restore::finish(config)?;
    Ok((restore::open(&dir, &settings.origin, cx)?, kept))
}

fn move_aside(from: &Path, to: &Path) -> anyhow::Result<Option<PathBuf>> {
    match fs::rename(from, to) {
        Ok(()) => Ok(Some(to.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error)
            .with_context(|| format!("cannot move `{}` to `{}`", from.display(), to.display())),
    }
}

/// What [`begin_anew`] did.
#[derive(Debug, Serialize)]
pub(crate) struct BegunAnew {
    /// The entry of the ledger that says so.
    pub(crate) entry: u64,
}

/// Makes an empty database where it is gone, and says so in the ledger.
pub(crate) async fn begin_anew(config: &Config, cx: &Cx) -> anyhow::Result<BegunAnew> {
    let _lock = DirectoryLock::take(&config.data_dir, "db begin-anew")?;
    let whole = || {
        trouble(
            "there is a database: nothing is begun anew beside it",
            "`bartizan doctor` looks into it",
        )
    };
    let dir = config.ledger_dir();
    if !Ledger::is_there(&dir) {
        return Err(trouble("there is no ledger yet, so nothing was lost", "start the server"));
    }
    if config.store.database_url.is_none() {
        if missing(config).is_none() {
            return Err(whole());
        }
        // Without its database a log means nothing to SQLite, which removes it.
        for part in ["-wal", "-shm"] {
            let name = format!("{DATABASE_FILE}{part}");
            let aside = format!("{DATABASE_FILE}.lost-{}{part}", cx.now().millis());
            move_aside(&config.data_dir.join(name), &config.data_dir.join(aside))?;
        }
    }
    let store = Store::open(&config.store, &config.data_dir, wiring::classes(), cx).await?;
    let known = store.log_heads().await?;
    if !known.is_empty() || !store.tenants().await?.is_empty() {
        return Err(whole());
    }
    let ledger = restore::open(&dir, &config.ledger.origin, cx)?;
    let entry =
        Entry::new("admin.database.begin_anew").actor("administrator:local").subject("database");
    let sealed = ledger.append(entry)?.await?;
    adopt(&store, &ledger, &known).await?;
    store.close().await?;
    Ok(BegunAnew { entry: sealed.index() })
}
