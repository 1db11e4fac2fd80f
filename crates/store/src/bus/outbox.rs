//! The outbox: where every event waits, durable with the record that caused it.
//!
//! Events rest in it encrypted under their tenant's key, and travel as they rest. What an erased
//! tenant left can be opened by nobody, and is passed over.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bartizan_core::{Cx, Event, Id, Tenant};
use tokio::sync::watch;

use super::entity;
use crate::{
    Error, Result,
    repository::{KeyId, OutboxRow, Repository, WrappedKey},
    vault::{DataKey, Vault, event_frame},
};

// LIMIT: what NATS takes by default in one message (1 MiB), with room for headers.
pub(crate) const EVENT_BYTES_MAX: usize = 512 << 10;
/// How often a shared outbox is looked into, since other nodes ring no bell here.
const LOOK: Duration = Duration::from_millis(500);

/// Packs events, rings when there are new ones, and opens them again.
pub(crate) struct Outbox {
    pub(crate) repository: Arc<dyn Repository>,
    vault: Arc<Vault>,
    cx: Cx,
    bell: watch::Sender<()>,
    // LIMIT: one a tenant and node.
    foreign: Mutex<HashMap<KeyId, Arc<DataKey>>>,
}

/// What an event is encrypted under, where that may not be the present key of its tenant here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Under {
    pub(crate) id: KeyId,
    /// The key itself, wrapped under the master key, when it comes from another database.
    pub(crate) wrapped: Option<WrappedKey>,
}

impl Outbox {
    pub(crate) fn new(repository: Arc<dyn Repository>, vault: Arc<Vault>, cx: Cx) -> Self {
        let bell = watch::Sender::new(());
        Self { repository, vault, cx, bell, foreign: Mutex::default() }
    }

    /// An event as it waits, encrypted.
    pub(crate) fn pack(&self, key: &DataKey, event: &Event) -> Result<OutboxRow> {
        let about = event_frame(event.tenant.as_str(), event.id);
        let body = event.to_ocsf().to_string();
        if body.len() > EVENT_BYTES_MAX {
            let (len, max) = (body.len(), EVENT_BYTES_MAX);
            return Err(Error::TooLarge { what: "the event", len, max });
        }
        Ok(OutboxRow {
            place: 0,
            tenant: event.tenant.to_string(),
            id: event.id,
            entity: entity(event),
            time: event.time,
            body: key.seal(&about, body.as_bytes(), &self.cx)?,
        })
    }

    /// Puts one event in; durable when it returns.
    pub(crate) async fn publish(&self, event: &Event) -> Result<()> {
        let key = self.vault.key_or_new(&event.tenant).await?;
        self.add(self.pack(&key, event)?).await
    }

    /// What says on its way that the tenant was erased: an event without a body.
    pub(crate) fn erasure(&self, tenant: &Tenant) -> OutboxRow {
        OutboxRow {
            place: 0,
            tenant: tenant.to_string(),
            id: Id::new(&self.cx),
            entity: String::new(),
            time: self.cx.now(),
            body: Vec::new(),
        }
    }

    pub(crate) async fn add(&self, row: OutboxRow) -> Result<()> {
        self.repository.publish(vec![row]).await?;
        self.ring();
        Ok(())
    }

    /// Wakes who waits: there is something new in the outbox.
    pub(crate) fn ring(&self) {
        self.bell.send_replace(());
    }

    pub(crate) fn listen(&self) -> Bell {
        Bell { rung: self.bell.subscribe(), shared: self.repository.shared() }
    }

    /// The event of a row; `None` for one that nobody can read any more.
    pub(crate) async fn open(
        &self,
        row: &OutboxRow,
        under: Option<&Under>,
    ) -> Result<Option<Event>> {
        let Ok(tenant) = row.tenant.parse::<Tenant>() else { return Ok(None) };
        if row.body.is_empty() {
            return Ok(None); // It said that the tenant was erased.
        }
        let Some(key) = self.key(&tenant, under).await? else { return Ok(None) };
        let about = event_frame(&row.tenant, row.id);
        let mut plain = key.open(&about, &row.body);
        if plain.is_none() && self.repository.shared() {
            // Another node may have erased the tenant, and given it a new key, just now.
            self.vault.forget(&tenant);
            let key = self.key(&tenant, under).await?;
            plain = key.and_then(|key| key.open(&about, &row.body));
        }
        let event = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        let event = event.and_then(|value| Event::from_ocsf(value).ok());
        let event = event.filter(|event| event.id == row.id && event.tenant == tenant);
        if event.is_none() {
            tracing::error!(event = %row.id, %tenant, "an event was altered on its way, outside of Bartizan; it is passed over");
        }
        Ok(event)
    }

    /// The key to open with; `None` when it was destroyed.
    async fn key(&self, tenant: &Tenant, under: Option<&Under>) -> Result<Option<Arc<DataKey>>> {
        let own = self.vault.key(tenant).await?;
        let Some(under) = under else { return Ok(own) };
        let fits = |key: &Arc<DataKey>| key.id == under.id;
        if let Some(own) = own.filter(fits) {
            return Ok(Some(own));
        }
        let Some(wrapped) = &under.wrapped else {
            // Another node of this database may have given the tenant a new key just now.
            self.vault.forget(tenant);
            return Ok(self.vault.key(tenant).await?.filter(fits));
        };
        if let Some(known) = self.foreign().get(&under.id) {
            return Ok(Some(known.clone()));
        }
        let (key, destroyed) = match self.vault.adopt(wrapped).await {
            Err(Error::AlteredKey { .. }) => {
                tracing::error!(%tenant, "an event's key was altered on its way, outside of Bartizan; it is passed over");
                return Ok(None);
            }
            adopted => adopted?,
        };
        if destroyed {
            return Ok(None);
        }
        let key = Arc::new(key);
        self.foreign().insert(under.id, key.clone());
        Ok(Some(key))
    }

    /// Forgets keys of other databases: one of them may be destroyed here.
    pub(crate) fn forget(&self) {
        self.foreign().clear();
    }

    fn foreign(&self) -> std::sync::MutexGuard<'_, HashMap<KeyId, Arc<DataKey>>> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// Rings when there is something new in the outbox.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: watch::Receiver<()>,
    shared: bool,
}

impl Bell {
    /// From here on, what is new is noticed.
    pub(crate) fn reset(&mut self) {
        self.rung.mark_unchanged();
    }

    /// Waits until the outbox is worth a look.
    pub(crate) async fn wait(&mut self) -> Result<()> {
        let rung = self.rung.changed();
        if !self.shared {
            return rung.await.map_err(|_| Error::Closed);
        }
        match tokio::time::timeout(LOOK, rung).await {
            Ok(rung) => rung.map_err(|_| Error::Closed),
            Err(_) => Ok(()),
        }
    }
}
