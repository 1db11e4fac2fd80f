//! The bus within one process, durable in the database's outbox.
//!
//! Each subscription reads the outbox on its own, from where it stopped; publishers only ring.
//! Bodies rest encrypted under their tenant's key: what an erased tenant left is passed over.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bartizan_core::{Cx, Event, Tenant};
use tokio::sync::watch;

use super::{Bus, Delivery, Feed, Filter, Subscription, entity};
use crate::{
    Error, Result,
    repository::{OutboxRow, Repository},
    vault::{DataKey, Vault, event_frame},
};

const NAME_BYTES_MAX: usize = 64;
/// How many events a subscription holds in memory.
const BATCH: u16 = 256;

/// The in-process bus.
pub(crate) struct OutboxBus {
    repository: Arc<dyn Repository>,
    vault: Arc<Vault>,
    cx: Cx,
    bell: watch::Sender<()>,
    running: Arc<Mutex<BTreeSet<String>>>,
}

impl OutboxBus {
    pub(crate) fn new(repository: Arc<dyn Repository>, vault: Arc<Vault>, cx: Cx) -> Self {
        Self { repository, vault, cx, bell: watch::Sender::new(()), running: Arc::default() }
    }

    /// Wakes the subscriptions: there is something new in the outbox.
    pub(crate) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// An event as it waits, encrypted.
    pub(crate) fn pack(&self, key: &DataKey, event: &Event) -> Result<OutboxRow> {
        let about = event_frame(event.tenant.as_str(), event.id);
        let body = event.to_ocsf().to_string();
        Ok(OutboxRow {
            place: 0,
            tenant: event.tenant.to_string(),
            id: event.id,
            entity: entity(event),
            time: event.time,
            body: key.seal(&about, body.as_bytes(), &self.cx)?,
        })
    }
}

#[async_trait]
impl Bus for OutboxBus {
    async fn publish(&self, event: &Event) -> Result<()> {
        let key = self.vault.key_or_new(&event.tenant).await?;
        self.repository.publish(vec![self.pack(&key, event)?]).await?;
        self.ring();
        Ok(())
    }

    async fn subscribe(&self, name: &str, filter: Filter) -> Result<Subscription> {
        check(name)?;
        let turn = Turn::take(&self.running, name)?;
        let done = self.repository.subscribe(name).await?;
        Ok(Subscription::new(Box::new(OutboxFeed {
            repository: self.repository.clone(),
            vault: self.vault.clone(),
            bell: self.bell.subscribe(),
            turn,
            filter,
            read: done,
            given: done,
            done,
            batch: VecDeque::new(),
        })))
    }

    async fn unsubscribe(&self, name: &str) -> Result<()> {
        check(name)?;
        let _turn = Turn::take(&self.running, name)?;
        self.repository.unsubscribe(name).await
    }
}

impl fmt::Debug for OutboxBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxBus").field("running", &self.running).finish_non_exhaustive()
    }
}

fn check(name: &str) -> Result<()> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        return Ok(());
    }
    let name = bartizan_core::json::clip(name, NAME_BYTES_MAX).to_owned();
    Err(Error::SubscriptionName { name, max: NAME_BYTES_MAX })
}

/// The right to a subscription's name, given back when dropped.
#[derive(Debug)]
struct Turn {
    running: Arc<Mutex<BTreeSet<String>>>,
    name: String,
}

impl Turn {
    fn take(running: &Arc<Mutex<BTreeSet<String>>>, name: &str) -> Result<Self> {
        let free = running.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        if free {
            Ok(Self { running: running.clone(), name: name.to_owned() })
        } else {
            Err(Error::Subscribed { name: name.to_owned() })
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

struct OutboxFeed {
    repository: Arc<dyn Repository>,
    vault: Arc<Vault>,
    bell: watch::Receiver<()>,
    turn: Turn,
    filter: Filter,
    /// Up to here, rows were read.
    read: u64,
    /// The last delivery.
    given: u64,
    /// Up to here, rows are acknowledged.
    done: u64,
    batch: VecDeque<Delivery>,
}

#[async_trait]
impl Feed for OutboxFeed {
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            if let Some(delivery) = self.batch.pop_front() {
                self.given = delivery.place;
                return Ok(delivery);
            }
            self.bell.mark_unchanged();
            if !self.fill().await? {
                self.bell.changed().await.map_err(|_| Error::Closed)?;
            }
        }
    }

    async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        // Everything read after the last delivery was passed over: it is done, too.
        let last = delivery.place == self.given && self.batch.is_empty();
        self.done_to(if last { self.read.max(delivery.place) } else { delivery.place }).await
    }
}

impl OutboxFeed {
    /// Reads the next rows; says whether there were any.
    async fn fill(&mut self) -> Result<bool> {
        let rows = self.repository.outbox(self.read, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.place) else { return Ok(false) };
        for row in &rows {
            if let Some(event) = self.open(row).await?
                && self.filter.fits(&event)
            {
                self.batch.push_back(Delivery { event, place: row.place });
            }
        }
        // What nobody waits for must not keep the outbox from shrinking.
        if self.batch.is_empty() && self.given <= self.done {
            self.done_to(last).await?;
            self.given = last;
        }
        self.read = last;
        Ok(true)
    }

    async fn done_to(&mut self, place: u64) -> Result<()> {
        if place > self.done {
            self.repository.acknowledge(&self.turn.name, place).await?;
            self.done = place;
        }
        Ok(())
    }

    /// The event of a row; `None` for one that nobody can read any more.
    async fn open(&self, row: &OutboxRow) -> Result<Option<Event>> {
        let Ok(tenant) = row.tenant.parse::<Tenant>() else { return Ok(None) };
        let Some(key) = self.vault.key(&tenant).await? else { return Ok(None) };
        let plain = key.open(&event_frame(&row.tenant, row.id), &row.body);
        let event = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        let event = event.and_then(|value| Event::from_ocsf(value).ok());
        let event = event.filter(|event| event.id == row.id && event.tenant == tenant);
        if event.is_none() {
            tracing::error!(event = %row.id, %tenant, "an event was altered in the database, outside of Bartizan; it is passed over");
        }
        Ok(event)
    }
}

impl fmt::Debug for OutboxFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxFeed").field("name", &self.turn.name).finish_non_exhaustive()
    }
}
