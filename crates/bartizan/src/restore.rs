//! Putting a backup in the place of the database, so that it never looks like an
//! attack on the ledger, nor hides one.
//!
//! The old ledger's last entry says that a restore begins, and names the new ledger
//! and its key; the new ledger's first entry names the old head. So whoever trusts
//! the old key can follow, and whoever compares the two sees what was left behind.
//!
//! Crash safety: the new ledger is made beside the old one (`ledger.next`); then the
//! database is put back; then the old ledger is moved aside, and the new one into its
//! place. A crash before the last step but one leaves the old ledger in force, with
//! the restore on record; [`finish`] does the last step at the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use bartizan_core::Cx;
use bartizan_ledger::{Entry, Head, Ledger, Settings, SigningKey};
use bartizan_store::Restored;
use serde::Serialize;

use crate::{config::Config, trouble::Hint};

/// Where the new ledger waits, beside the old one.
pub(crate) const NEXT: &str = "ledger.next";

/// What was done.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    /// The backup.
    pub(crate) restored: PathBuf,
    /// Where the database that was there before is now.
    pub(crate) replaced: Option<PathBuf>,
    /// Tenants that were erased after the backup, and now again.
    pub(crate) erased_again: u64,
    /// Whether tenants that were erased after the backup may be back.
    pub(crate) erasures_unknown: bool,
    /// Where the old ledger is now, and its size.
    pub(crate) old_ledger: Option<PathBuf>,
    pub(crate) old_size: Option<u64>,
    /// The name under which the ledger goes on, and its key.
    pub(crate) ledger: String,
    pub(crate) key: String,
}

/// Puts a backup in the place of the database. The caller holds the directory's lock.
pub(crate) async fn restore(config: &Config, backup: &Path, cx: &Cx) -> anyhow::Result<Done> {
    let next = config.data_dir.join(NEXT);
    remove(&next)?;
    if !config.ledger_dir().exists() {
        // A backup that is refused begins no ledger, which would tell of a database.
        let restored = put_back(config, backup, cx).await?;
        let ledger = open(&config.ledger_dir(), &config.ledger.origin, cx)?;
        let (head, key) = (ledger.head(), ledger.verifier().to_string());
        drop(ledger);
        return Ok(done(backup, restored, (None, None), (head.origin, key)));
    }
    let old = open(&config.ledger_dir(), &config.ledger.origin, cx).hint(
        "a ledger that does not verify stays as it is: move its folder elsewhere by hand, and restore again",
    )?;
    let origin = next_origin(&old.head(), cx);
    // Made before its ledger, so that the old one can name it.
    let signing = SigningKey::generate(&origin, cx)?;
    let key = signing.verifier().to_string();
    let shown = backup.display().to_string();
    let begun = Entry::new("admin.database.restore")
        .actor("administrator:local")
        .subject("database")
        .with("backup", bartizan_core::json::clip(&shown, 1024))
        .with("next_origin", origin.as_str())
        .with("next_key", key.as_str());
    let _sealed = old.append(begun)?.await?;
    let head = old.head();
    drop(old);
    let settings = Settings {
        origin: origin.clone(),
        previous: Some(head.clone()),
        key: Some(Arc::new(signing)),
    };
    drop(Ledger::open(&next, &settings, cx)?);
    let restored = put_back(config, backup, cx).await?;
    let aside = config.data_dir.join(format!("ledger.replaced-{}", cx.now().millis()));
    fs::rename(config.ledger_dir(), &aside)
        .with_context(|| format!("cannot move the old ledger to `{}`", aside.display()))?;
    finish(config)?;
    Ok(done(backup, restored, (Some(aside), Some(head.size)), (origin, key)))
}

/// Does what a crash left undone: a ledger that is only missing from its place.
pub(crate) fn finish(config: &Config) -> anyhow::Result<()> {
    let next = config.data_dir.join(NEXT);
    if config.ledger_dir().exists() || !next.exists() {
        return Ok(());
    }
    fs::rename(&next, config.ledger_dir())
        .and_then(|()| fs::File::open(&config.data_dir)?.sync_all())
        .with_context(|| format!("cannot put `{}` in the ledger's place", next.display()))
}

async fn put_back(config: &Config, backup: &Path, cx: &Cx) -> anyhow::Result<Restored> {
    Ok(bartizan_store::restore(&config.store, backup, &config.data_dir, cx).await?)
}

pub(crate) fn open(dir: &Path, origin: &str, cx: &Cx) -> anyhow::Result<Ledger> {
    let settings = Settings { origin: origin.to_owned(), previous: None, key: None };
    Ok(Ledger::open(dir, &settings, cx)?.0)
}

/// `base/restored-MILLISECONDS`; a second restore replaces the first one's mark.
pub(crate) fn next_origin(old: &Head, cx: &Cx) -> String {
    let base = old.origin.split("/restored-").next().unwrap_or(&old.origin);
    format!("{base}/restored-{}", cx.now().millis())
}

/// Removes a new ledger that was never put in force.
pub(crate) fn remove(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", dir.display()))
        }
        _ => Ok(()),
    }
}

fn done(
    backup: &Path,
    restored: Restored,
    (old_ledger, old_size): (Option<PathBuf>, Option<u64>),
    (ledger, key): (String, String),
) -> Done {
    let Restored { replaced, erased_again, erasures_unknown } = restored;
    let restored = backup.to_owned();
    Done { restored, replaced, erased_again, erasures_unknown, old_ledger, old_size, ledger, key }
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim;
    use bartizan_ledger::{VerifierKey, verify};
    use bartizan_store::Store;

    use super::*;
    use crate::wiring;

    struct Site {
        _home: tempfile::TempDir,
        clock: Arc<sim::ManualClock>,
        config: Config,
        backup: PathBuf,
        cx: Cx,
    }

    async fn site() -> Site {
        let home = tempfile::tempdir().expect("a directory");
        let (cx, clock) = sim::cx(1);
        let config = Config { data_dir: home.path().join("data"), ..Config::default() };
        let backup = home.path().join("backup.db");
        let store = Store::open(&config.store, &config.data_dir, wiring::classes(), &cx).await;
        let store = store.expect("opened");
        store.backup(&backup).await.expect("backed up");
        store.close().await.expect("closed");
        drop(open(&config.ledger_dir(), "test.example/log", &cx).expect("opened"));
        Site { _home: home, clock, config, backup, cx }
    }

    fn intact(dir: &Path, key: &str) -> bool {
        let key = VerifierKey::parse(key).expect("a key");
        verify::directory(dir, &key, &verify::Options::default()).expect("read").is_intact()
    }

    #[tokio::test]
    async fn each_ledger_names_the_other() {
        let Site { _home, clock, config, backup, cx } = site().await;
        let before = open(&config.ledger_dir(), "", &cx).expect("opened");
        let old_key = before.verifier().to_string();
        drop(before);
        let done = restore(&config, &backup, &cx).await.expect("restored");
        let aside = done.old_ledger.expect("is kept");
        assert!(intact(&aside, &old_key) && intact(&config.ledger_dir(), &done.key));
        let old = open(&aside, "", &cx).expect("opened");
        let last = old.entry(old.head().size - 1).expect("an entry");
        assert_eq!(last["body"]["next_key"], done.key.as_str());
        let new = open(&config.ledger_dir(), "test.example/log", &cx).expect("opened");
        assert_eq!(new.head().origin, done.ledger);
        let first = new.entry(0).expect("an entry");
        let previous = &first["body"]["previous"];
        assert_eq!(
            (&previous["origin"], &previous["size"]),
            (&"test.example/log".into(), &old.head().size.into())
        );
        drop(new);
        clock.advance_ms(1);
        let again = restore(&config, &backup, &cx).await.expect("restored again");
        assert!(again.ledger.starts_with("test.example/log/restored-"), "{}", again.ledger);
        assert_eq!(again.ledger.matches("restored").count(), 1);
    }

    #[tokio::test]
    async fn a_bad_backup_leaves_everything_in_its_place_but_on_record() {
        let Site { _home, config, cx, .. } = site().await;
        let bad = config.data_dir.join("bad.db");
        fs::write(&bad, b"no database").expect("written");
        restore(&config, &bad, &cx).await.expect_err("is refused");
        let ledger = open(&config.ledger_dir(), "", &cx).expect("still there");
        assert_eq!(ledger.head().origin, "test.example/log");
        assert_eq!(ledger.entry(1).expect("an entry")["kind"], "admin.database.restore");
    }

    #[tokio::test]
    async fn a_bad_backup_begins_no_ledger() {
        let Site { _home, config, cx, .. } = site().await;
        fs::remove_dir_all(config.ledger_dir()).expect("removed");
        let bad = config.data_dir.join("bad.db");
        fs::write(&bad, b"no database").expect("written");
        restore(&config, &bad, &cx).await.expect_err("is refused");
        assert!(!config.ledger_dir().exists());
    }

    #[tokio::test]
    async fn a_crash_between_the_last_two_steps_is_finished_at_the_next_start() {
        let Site { _home, config, backup, cx, .. } = site().await;
        let done = restore(&config, &backup, &cx).await.expect("restored");
        // As it stands when only the last rename is missing.
        fs::rename(config.ledger_dir(), config.data_dir.join(NEXT)).expect("moved");
        let house = wiring::House::open(&config, "test", &cx).await.expect("opened");
        assert_eq!(house.admin.gateway.ledger.head().origin, done.ledger);
        house.close().await.expect("closed");
    }
}
