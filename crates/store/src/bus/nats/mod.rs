//! The bus over NATS JetStream, which several nodes share.
//!
//! An event goes into the database's outbox, in the transaction of the record that caused it,
//! and from there to a stream (`relay.rs`): while NATS is away it waits in the outbox. In the
//! stream it rests as it did in the outbox, encrypted under its tenant's key, on one of
//! [`wire::PARTITIONS`] subjects that its entity chooses. A subscription (`feed.rs`) is a durable
//! consumer for each partition.
//!
//! Why events of one entity arrive for the first time in the order of publication:
//! 1. They have one partition, in the stream and in every subscription.
//! 2. A relay sends the next event of a partition when JetStream has acknowledged the one
//!    before, as stored or as a duplicate of what is stored. So when an event is first stored,
//!    all before it are, whatever was lost, repeated, delayed or buffered on the way, however
//!    long ago, and however many relays drain the same outbox: a copy that comes late is always
//!    of an event that is in the stream already. Within [`link::DUPLICATE_WINDOW`] JetStream
//!    drops it by its id; after that it is one that arrives again.
//! 3. A consumer has one event in flight, and gives out the next when it is acknowledged.
//!
//! So no lease decides which node relays: a lease cannot stop a holder that merely slept, and
//! nothing here would be safer for it. Relays of one outbox see each other's duplicates, and
//! then leave the work to who is ahead.

use std::sync::Arc;

use async_trait::async_trait;
use bartizan_core::{Event, Tenant};
use tokio::task::AbortHandle;

mod feed;
mod link;
mod relay;
mod wire;

use link::Link;

use super::{Bus, BusHealth, Filter, Outbox, Subscription, turn::Turns};
use crate::Result;

/// The bus of several nodes.
#[derive(Debug)]
pub(crate) struct NatsBus {
    outbox: Arc<Outbox>,
    link: Arc<Link>,
    turns: Turns,
    relay: AbortHandle,
}

impl NatsBus {
    /// Begins to carry events to NATS; also when it is away, which the log then says.
    ///
    /// # Errors
    /// When the URL is wrong, or the stream there is not one that can be used.
    pub(crate) async fn open(url: &str, outbox: Arc<Outbox>) -> Result<Self> {
        let link = Arc::new(Link::open(url).await?);
        // From here on the outbox keeps events, whether or not anybody subscribed.
        outbox.repository.subscribe(relay::NAME).await?;
        let relay = tokio::spawn(relay::run(outbox.clone(), link.clone())).abort_handle();
        Ok(Self { outbox, link, turns: Turns::default(), relay })
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, event: &Event) -> Result<()> {
        self.outbox.publish(event).await
    }

    async fn subscribe(&self, name: &str, filter: Filter) -> Result<Subscription> {
        let turn = self.turns.take(name)?;
        self.link.subscribe(name).await;
        // What a subscription of this name had in the outbox, from before there was NATS.
        self.outbox.repository.unsubscribe(name).await?;
        let feed = feed::start(self.outbox.clone(), self.link.clone(), turn, filter);
        Ok(Subscription::new(Box::new(feed)))
    }

    async fn unsubscribe(&self, name: &str) -> Result<()> {
        let _turn = self.turns.take(name)?;
        self.link.unsubscribe(name).await?;
        self.outbox.repository.unsubscribe(name).await
    }

    async fn health(&self) -> Result<BusHealth> {
        Ok(BusHealth {
            waiting: self.outbox.repository.waiting().await?,
            place: Some(self.link.place().to_owned()),
            stalled: self.link.stalled(),
        })
    }

    /// Goes through the outbox, so that it is not forgotten while NATS is away.
    async fn erased(&self, tenant: &Tenant) -> Result<()> {
        self.outbox.forget();
        self.outbox.add(self.outbox.erasure(tenant)).await
    }
}
