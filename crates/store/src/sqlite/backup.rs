//! Copies of the database, and putting one back.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bartizan_core::{Cx, Timestamp};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use super::{FILE, common, fault, keys, log_heads, read, schema, writing};
use crate::{Error, Restored, Result, files, vault::Source};

/// Copies the database as of one moment, while others write. The copy has no write-ahead log.
pub(super) async fn copy(readers: &SqlitePool, from: &Path, to: &Path) -> Result<()> {
    let fail = |error: sqlx::Error| fault(from, &error);
    // It exists before SQLite writes to it, so that nobody else can ever read it.
    let file = files::new(to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::BackupExists { path: to.to_owned() },
        _ => files::failed("write", to, error),
    })?;
    let target = to.to_str().ok_or_else(|| Error::Io {
        what: "write",
        path: to.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidFilename, "its name is not UTF-8"),
    })?;
    let copied = async {
        let mut reader = readers.acquire().await?;
        sqlx::query("VACUUM INTO ?").bind(target.to_owned()).execute(&mut *reader).await
    };
    if let Err(error) = copied.await.map_err(fail) {
        // What is there is half a copy, and made by us.
        drop(fs::remove_file(to));
        return Err(match error {
            Error::Full { .. } => Error::Full { path: to.to_owned() },
            other => other,
        });
    }
    file.sync_all().map_err(|e| files::failed("sync", to, e))?;
    files::sync_dir(to)
}

/// Puts a backup in the place of a data directory's database.
pub(crate) async fn restore(
    source: &Source,
    backup: &Path,
    dir: &Path,
    cx: &Cx,
) -> Result<Restored> {
    let fresh = dir.join("store.db.restoring");
    files::prepare_dir(dir)?;
    no_backup(backup, backup_is_ours(backup).await)?;
    if with(backup, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        let detail = "its write-ahead log lies beside it: it is a copied database, not a backup; restore its whole directory instead".to_owned();
        return Err(Error::NoBackup { path: backup.to_owned(), detail });
    }
    let prepared = no_backup(backup, prepare(source, backup, &fresh).await);
    let path = dir.join(FILE);
    let restored = match prepared {
        Ok(()) => take_over(&fresh, &path, cx).await,
        Err(error) => Err(error),
    };
    if restored.is_err() {
        drop(fs::remove_file(&fresh));
    }
    restored
}

async fn backup_is_ours(backup: &Path) -> Result<()> {
    File::open(backup).map_err(|source| Error::Io {
        what: "read the backup",
        path: backup.to_owned(),
        source,
    })?;
    match schema::inspect(backup).await? {
        true => Ok(()),
        false => Err(Error::Corrupt { path: backup.to_owned(), detail: "it is empty".to_owned() }),
    }
}

/// What is damaged is the backup: the database in use needs nothing.
fn no_backup<T>(backup: &Path, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::Corrupt { path, detail } if path == backup => Error::NoBackup { path, detail },
        other => other,
    })
}

/// Copies the backup beside the database, and finds out whether it is whole and can be read.
async fn prepare(source: &Source, backup: &Path, fresh: &Path) -> Result<()> {
    let fail = |error: sqlx::Error| fault(backup, &error);
    let mut from = File::open(backup).map_err(|e| files::failed("read", backup, e))?;
    files::write_whole(fresh, |to| io::copy(&mut from, to).map(drop))?;
    let mut connection =
        common(fresh).read_only(true).immutable(true).connect().await.map_err(fail)?;
    let damage = read::damage(&mut connection).await.map_err(fail)?;
    if let Some(detail) = damage.into_iter().next() {
        return Err(Error::Corrupt { path: backup.to_owned(), detail });
    }
    let masters: Vec<String> = sqlx::query_scalar("SELECT DISTINCT master FROM data_keys")
        .fetch_all(&mut connection)
        .await
        .map_err(fail)?;
    connection.close().await.map_err(fail)?;
    let keyring = source.load()?;
    let known = |name: &String| keyring.as_ref().is_some_and(|keyring| keyring.has(name));
    match masters.into_iter().find(|name| !known(name)) {
        Some(expected) => Err(Error::OtherMasterKey { place: source.to_string(), expected }),
        None => Ok(()),
    }
}

/// Puts the copy in the place of the database, which is kept under another name.
async fn take_over(fresh: &Path, path: &Path, cx: &Cx) -> Result<Restored> {
    let mut restored = Restored::default();
    let mut erased = Vec::new();
    if path.exists() {
        match settle(path).await {
            Ok(known) => erased = known,
            Err(Error::Corrupt { .. } | Error::Newer { .. } | Error::Foreign { .. }) => {
                restored.erasures_unknown = true;
            }
            Err(error) => return Err(error),
        }
    }
    restored.erased_again = erase_again(fresh, &erased).await?;
    if path.exists() {
        let aside = dir_of(path).join(format!("{FILE}.replaced-{}", cx.now().millis()));
        for suffix in ["-wal", "-shm"] {
            move_if_there(&with(path, suffix), &with(&aside, suffix))?;
        }
        move_if_there(path, &aside)?;
        restored.replaced = Some(aside);
    }
    move_if_there(fresh, path)?;
    files::sync_dir(path)?;
    Ok(restored)
}

type Erased = (Vec<u8>, i64);

/// Takes the database out of write-ahead mode, which fails while anyone has it open, and reads
/// which keys it knows to be destroyed.
async fn settle(path: &Path) -> Result<Vec<Erased>> {
    schema::inspect(path).await?;
    let mut connection = alone(path).await?;
    let erased = sqlx::query_as("SELECT key_id, time_ms FROM erased").fetch_all(&mut connection);
    let erased = erased.await.map_err(|e| fault(path, &e))?;
    connection.close().await.map_err(|e| fault(path, &e))?;
    Ok(erased)
}

async fn alone(path: &Path) -> Result<SqliteConnection> {
    let options = writing(path)
        .create_if_missing(false)
        .busy_timeout(Duration::ZERO)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full);
    options.connect().await.map_err(|e| fault(path, &e))
}

/// Erases the tenants whose keys are known to be destroyed; returns how many it had.
async fn erase_again(fresh: &Path, erased: &[Erased]) -> Result<u64> {
    let fail = |error: sqlx::Error| fault(fresh, &error);
    let mut connection = alone(fresh).await?;
    schema::migrate(&mut connection).await.map_err(fail)?;
    // The log has gone on since, and goes on under another name now.
    log_heads::make(&mut connection).await.map_err(fail)?;
    log_heads::forget_all(&mut connection).await.map_err(fail)?;
    let mut again = 0;
    for (key, time) in erased {
        let tenant: Option<String> =
            sqlx::query_scalar("SELECT tenant FROM data_keys WHERE id = ?")
                .bind(key.clone())
                .fetch_optional(&mut connection)
                .await
                .map_err(fail)?;
        if let Some(tenant) = tenant {
            let time = Timestamp::from_millis(*time);
            keys::erase(&mut connection, &tenant, time).await.map_err(fail)?;
            again += 1;
        }
        let note = sqlx::query("INSERT OR IGNORE INTO erased (key_id, time_ms) VALUES (?, ?)");
        let note = note.bind(key.clone()).bind(*time).execute(&mut connection);
        note.await.map_err(fail)?;
    }
    connection.close().await.map_err(fail)?;
    Ok(again)
}

fn dir_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn move_if_there(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(files::failed("move", from, error))
        }
        _ => Ok(()),
    }
}
