//! The one writer: its connection, and the task that groups puts into transactions.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{fault, write, writing};
use crate::{
    Error, Result,
    repository::{NewRow, OutboxRow, Written},
};

// LIMIT: what waits for the disk waits in memory; more than this makes callers wait.
const QUEUE_MAX: usize = 1024;
const QUEUE_KIB_MAX: u32 = 128 << 10;
/// The most puts of one transaction: beyond some hundreds, larger groups gain nothing.
const GROUP_MAX: usize = 256;

/// A put on its way, and who waits for it.
pub(super) struct Put {
    pub(super) row: NewRow,
    pub(super) events: Vec<OutboxRow>,
    done: oneshot::Sender<Result<Written>>,
    _space: OwnedSemaphorePermit,
}

/// The writer's connection, and how durable its commits are now.
#[derive(Debug)]
pub(super) struct Held {
    connection: Option<SqliteConnection>,
    full: bool,
}

impl Held {
    /// A full disk makes SQLite end a transaction by itself (<https://sqlite.org/lang_transaction.html>,
    /// section 3), and sqlx then believes for ever that it is within one: start afresh.
    async fn heal(&mut self, path: &Path) -> sqlx::Result<()> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if !connection.is_in_transaction() {
            return Ok(());
        }
        // A rollback that was asked for by dropping a transaction may still be on its way.
        connection.ping().await?;
        if connection.is_in_transaction() {
            let fresh = writing(path).connect().await?;
            let stale = std::mem::replace(connection, fresh);
            self.full = false;
            drop(stale.close().await);
        }
        Ok(())
    }

    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        self.connection.as_mut().ok_or(Error::Closed)
    }

    /// Makes the connection fit for a transaction, and says whether its commits wait for the disk.
    async fn prepare(&mut self, full: bool, path: &Path) -> sqlx::Result<()> {
        self.heal(path).await?;
        if self.full != full
            && let Some(connection) = &mut self.connection
        {
            let pragma =
                if full { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            sqlx::query(pragma).execute(connection).await?;
            self.full = full;
        }
        Ok(())
    }
}

/// The one who writes.
pub(super) struct Writer {
    held: Arc<Mutex<Held>>,
    queue: mpsc::Sender<Put>,
    space: Arc<Semaphore>,
    path: PathBuf,
}

impl Writer {
    /// Starts the task that groups puts. It ends with the writer.
    pub(super) fn start(connection: SqliteConnection, path: &Path) -> Self {
        let held = Arc::new(Mutex::new(Held { connection: Some(connection), full: false }));
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(waiting, held.clone(), path.to_owned()));
        let space = Semaphore::new(usize::try_from(QUEUE_KIB_MAX).unwrap_or(usize::MAX));
        Self { held, queue, space: Arc::new(space), path: path.to_owned() }
    }

    /// Adds a row with the next group.
    pub(super) async fn insert(&self, row: NewRow, events: Vec<OutboxRow>) -> Result<Written> {
        let bytes = events.iter().map(|event| event.body.len()).sum::<usize>();
        let bytes = row.row.bytes().saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let kib = u32::try_from(bytes / 1024).unwrap_or(QUEUE_KIB_MAX).clamp(1, QUEUE_KIB_MAX);
        let space = self.space.clone().acquire_many_owned(kib).await;
        let space = space.map_err(|_| Error::Closed)?;
        let (done, answer) = oneshot::channel();
        let put = Put { row, events, done, _space: space };
        self.queue.send(put).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// The connection, with commits that are on the disk when they return.
    pub(super) async fn durable(&self) -> Result<tokio::sync::OwnedMutexGuard<Held>> {
        self.lock(true).await
    }

    /// The connection, with commits that a loss of power may take back.
    pub(super) async fn quick(&self) -> Result<tokio::sync::OwnedMutexGuard<Held>> {
        self.lock(false).await
    }

    async fn lock(&self, full: bool) -> Result<tokio::sync::OwnedMutexGuard<Held>> {
        let mut held = self.held.clone().lock_owned().await;
        held.prepare(full, &self.path).await.map_err(|e| fault(&self.path, &e))?;
        Ok(held)
    }

    /// Waits for what is on its way, and takes the connection away: whatever comes later finds
    /// the store closed.
    pub(super) async fn stop(&self) -> Option<SqliteConnection> {
        // Each put holds its space until it is answered, so all the space is free after the last.
        let all = self.space.acquire_many(QUEUE_KIB_MAX).await;
        self.space.close();
        drop(all);
        self.held.lock().await.connection.take()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}

async fn run(mut waiting: mpsc::Receiver<Put>, held: Arc<Mutex<Held>>, path: PathBuf) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
        let results = {
            let mut held = held.lock().await;
            write_group(&mut held, &group, &path).await
        };
        answer(&mut group, results);
    }
}

/// All in one transaction; where one of them cannot be written, each on its own.
async fn write_group(held: &mut Held, group: &[Put], path: &Path) -> Vec<Result<Written>> {
    let one_for_all = |error: &sqlx::Error| group.iter().map(|_| Err(fault(path, error))).collect();
    if let Err(error) = held.prepare(false, path).await {
        return one_for_all(&error);
    }
    let Some(connection) = held.connection.as_mut() else {
        return one_for_all(&sqlx::Error::PoolClosed);
    };
    match together(connection, group).await {
        Ok(true) => group.iter().map(|_| Ok(Written::Done)).collect(),
        Ok(false) => {
            let mut results = Vec::with_capacity(group.len());
            for put in group {
                let written = write::insert(connection, put).await;
                results.push(written.map_err(|error| fault(path, &error)));
            }
            results
        }
        Err(error) => one_for_all(&error),
    }
}

/// Writes the whole group, or nothing where one of its rows has no place or no key.
async fn together(connection: &mut SqliteConnection, group: &[Put]) -> sqlx::Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    match write::insert_group(&mut transaction, group).await {
        Ok(true) => transaction.commit().await.map(|()| true),
        Ok(false) => transaction.rollback().await.map(|()| false),
        Err(error) if is_taken(&error) => transaction.rollback().await.map(|()| false),
        Err(error) => Err(error),
    }
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

fn answer(group: &mut Vec<Put>, results: Vec<Result<Written>>) {
    for (put, result) in group.drain(..).zip(results) {
        // Who asked may have gone; the record is written all the same.
        drop(put.done.send(result));
    }
}
