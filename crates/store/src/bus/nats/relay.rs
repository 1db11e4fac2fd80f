//! Carries events from the outbox to the stream, in order, and acknowledges in the outbox what
//! JetStream has acknowledged.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::future::try_join_all;

use super::{
    link::{Link, Pause},
    wire,
};
use crate::{
    Error, Result,
    bus::outbox::{Outbox, Under},
    repository::OutboxRow,
};

/// The relay's name among the subscriptions of the outbox.
pub(super) const NAME: &str = "nats-relay";
/// How many events are read at once.
const BATCH: u16 = 256;
/// How long a relay leaves the work to another one that is ahead.
const YIELD: Duration = Duration::from_millis(500);

/// What became of a look into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There was nothing.
    Idle,
    Sent,
    /// Everything there was in the stream already.
    Behind,
}

/// Relays until the store is closed.
pub(super) async fn run(outbox: Arc<Outbox>, link: Arc<Link>) {
    let (mut bell, mut changed) = (outbox.listen(), link.listen());
    let (mut pause, mut done) = (Pause::default(), None);
    loop {
        bell.reset();
        match turn(&outbox, &link, &mut done).await {
            Err(Error::Closed) => return,
            Err(error) => {
                // What was read may be sent by another relay meanwhile.
                done = None;
                link.lost(&error);
                pause.wait(&mut changed).await;
                continue;
            }
            Ok(Turn::Idle) => tokio::select! {
                rung = bell.wait() => if rung.is_err() { return },
                _ = changed.changed() => {}
            },
            Ok(Turn::Behind) if outbox.repository.shared() => tokio::time::sleep(YIELD).await,
            Ok(Turn::Sent | Turn::Behind) => {}
        }
        pause = Pause::default();
    }
}

/// Sends what comes next after `done`.
async fn turn(outbox: &Outbox, link: &Link, done: &mut Option<u64>) -> Result<Turn> {
    link.ready().await?;
    let after = match *done {
        Some(after) => after,
        None => outbox.repository.subscribe(NAME).await?,
    };
    *done = Some(after);
    let rows = outbox.repository.outbox(after, BATCH).await?;
    let Some(last) = rows.last().map(|row| row.place) else { return Ok(Turn::Idle) };
    let mut duplicates = 0;
    // What comes before an erasure goes before it, on whatever partition.
    for part in rows.split_inclusive(|row| row.body.is_empty()) {
        let (erasures, events): (Vec<_>, Vec<_>) = part.iter().partition(|row| row.body.is_empty());
        duplicates += send(outbox, link, &events).await?;
        for erasure in erasures {
            link.purge(&erasure.tenant).await?;
        }
    }
    outbox.repository.acknowledge(NAME, last).await?;
    *done = Some(last);
    Ok(if duplicates == rows.len() { Turn::Behind } else { Turn::Sent })
}

/// Sends events, each partition one by one; how many were there already.
async fn send(outbox: &Outbox, link: &Link, rows: &[&OutboxRow]) -> Result<usize> {
    let mut keys = HashMap::new();
    let mut partitions: BTreeMap<u8, Vec<&OutboxRow>> = BTreeMap::new();
    for row in rows {
        if !keys.contains_key(row.tenant.as_str()) {
            keys.insert(row.tenant.as_str(), under(outbox, &row.tenant).await?);
        }
        partitions.entry(wire::partition(&row.tenant, &row.entity)).or_default().push(row);
    }
    let keys = &keys;
    let sent = try_join_all(partitions.into_values().map(|rows| async move {
        let mut duplicates = 0;
        for row in rows {
            // No key: the tenant was erased meanwhile, and with it what it had here.
            if let Some(Some(under)) = keys.get(row.tenant.as_str()) {
                duplicates += usize::from(publish(link, row, under).await?);
            }
        }
        Ok(duplicates)
    }));
    sent.await.map(|duplicates| duplicates.into_iter().sum())
}

/// Sends one event, and waits until it is stored; says whether it was already.
async fn publish(link: &Link, row: &OutboxRow, under: &Under) -> Result<bool> {
    let sent = link.jetstream.send_publish(wire::subject(row), wire::write(row, under)).await;
    let stored = sent.map_err(|error| link.away(error))?.await;
    stored.map(|ack| ack.duplicate).map_err(|error| link.away(error))
}

/// What a tenant's events are encrypted under. Nodes with databases of their own find a
/// tenant's key nowhere but here.
async fn under(outbox: &Outbox, tenant: &str) -> Result<Option<Under>> {
    let key = outbox.repository.data_key(tenant).await?;
    let shared = outbox.repository.shared();
    Ok(key.map(|key| Under { id: key.id, wrapped: (!shared).then_some(key) }))
}
