//! Looking at a database without changing it, and without a copy: its bytes and its master
//! key stay where the operator put them.

use std::{fs, path::Path};

use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{FILE, common, fault, keys, read, schema};
use crate::{Error, Result, vault::Source};

/// What is wrong with the database of a directory that no process has open.
pub(crate) async fn look(source: &Source, dir: &Path) -> Result<Vec<String>> {
    let path = dir.join(FILE);
    if !schema::is_ours(&path)? {
        let detail = "it is missing or empty".to_owned();
        return Err(Error::Corrupt { path, detail });
    }
    let (log, index) = (dir.join(format!("{FILE}-wal")), dir.join(format!("{FILE}-shm")));
    let unmerged = fs::metadata(log).is_ok_and(|log| log.len() > 0);
    // What a crash left in the write-ahead log is a part of the database, and SQLite finds its
    // way in it by an index, which whoever opens it makes anew beside it. That is all that is
    // written; without a log, SQLite needs no file at all.
    let index_is_new = unmerged && !index.exists();
    let options = common(&path).read_only(true).immutable(!unmerged);
    let looked = async {
        let mut connection = options.connect().await.map_err(|e| fault(&path, &e))?;
        let found = problems(source, &path, &mut connection).await;
        connection.close().await.map_err(|e| fault(&path, &e))?;
        found
    };
    let looked = looked.await;
    if index_is_new {
        drop(fs::remove_file(index));
    }
    looked
}

async fn problems(
    source: &Source,
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<Vec<String>> {
    let fail = |error: sqlx::Error| fault(path, &error);
    schema::judge_open(path, connection).await?;
    let damage = match read::damage(connection).await.map_err(fail) {
        Err(Error::Corrupt { detail, .. }) => vec![detail],
        other => other?,
    };
    if !damage.is_empty() {
        return Ok(damage);
    }
    let wrapped = keys::all(connection).await.map_err(fail)?;
    let Some(keyring) = source.load()? else {
        return Err(source.refuse("it is missing; put your copy of it back"));
    };
    for key in wrapped {
        if keyring.unwrap(&key)?.is_none() {
            let (place, expected) = (source.to_string(), key.master);
            return Err(Error::OtherMasterKey { place, expected });
        }
    }
    Ok(Vec::new())
}
