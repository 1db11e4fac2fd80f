//! Events on their way to who waits for them: at least once, in order, durable.

use std::{collections::BTreeSet, fmt};

use async_trait::async_trait;
use bartizan_core::{Event, EventClass, Severity, Tenant};

use crate::Result;

mod local;
mod nats;
mod outbox;
mod turn;

pub(crate) use local::LocalBus;
pub(crate) use nats::NatsBus;
pub(crate) use outbox::Outbox;

/// Carries events from rooms that cause them to rooms that wait for them.
///
/// A subscription is durable under its name: what is published after it was first made
/// arrives, also when the process ended in between, until it is acknowledged. The same event
/// may arrive again (after a crash, of whichever part), so receivers deduplicate by the event's
/// id where it matters. Events of one [`entity`] arrive for the first time in the order in
/// which they were published (by several nodes with databases of their own: in the order of
/// each); one that arrives again may come after later ones.
///
/// Receivers acknowledge as they go: until a delivery is acknowledged, later events of the same
/// entity may stay away, on NATS also of others. Nodes that subscribe on NATS under one name
/// share the events among them; when a node dies, another gets what it had not acknowledged.
#[async_trait]
pub trait Bus: Send + Sync + fmt::Debug {
    /// Publishes; durable when it returns.
    async fn publish(&self, event: &Event) -> Result<()>;

    /// Makes the subscription of this name, or goes on with it where it stopped. The filter
    /// given last holds (each node's for what it receives). Waits while NATS is away.
    async fn subscribe(&self, name: &str, filter: Filter) -> Result<Subscription>;

    /// Ends the subscription of this name for good. What it did not receive is dropped.
    async fn unsubscribe(&self, name: &str) -> Result<()>;

    /// How events get on.
    async fn health(&self) -> Result<BusHealth>;

    /// Removes what of an erased tenant is on its way elsewhere.
    async fn erased(&self, _tenant: &Tenant) -> Result<()> {
        Ok(())
    }
}

/// How events get on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusHealth {
    /// How many events wait in this node's database, at most.
    pub waiting: u64,
    /// The server that carries them to other nodes, without user and password.
    pub place: Option<String>,
    /// Why they are not carried there at present. Nothing is lost meanwhile.
    pub stalled: Option<String>,
}

/// Which events a subscription receives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant; of all when `None`.
    pub tenant: Option<Tenant>,
    /// Of these classes; of all when empty.
    pub classes: BTreeSet<EventClass>,
    /// Of this severity at least.
    pub severity_min: Option<Severity>,
}

impl Filter {
    /// Whether the event passes.
    pub fn fits(&self, event: &Event) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == event.tenant)
            && (self.classes.is_empty() || self.classes.contains(&event.class))
            && self.severity_min.is_none_or(|least| event.severity >= least)
    }
}

/// An event that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub event: Event,
    /// Its place in the order of arrival.
    pub place: u64,
}

/// What a backend of the bus gives to a subscriber.
#[async_trait]
pub trait Feed: Send + fmt::Debug {
    /// Waits for the next event. Dropped while it waits, it loses none.
    async fn next(&mut self) -> Result<Delivery>;
    /// Marks this delivery and all before it as done.
    async fn ack(&mut self, delivery: &Delivery) -> Result<()>;
}

/// A running subscription. Dropped, it stays durable under its name.
#[derive(Debug)]
pub struct Subscription(Box<dyn Feed>);

impl Subscription {
    pub fn new(feed: Box<dyn Feed>) -> Self {
        Self(feed)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// When the backend cannot be read.
    pub async fn next(&mut self) -> Result<Delivery> {
        self.0.next().await
    }

    /// Marks this delivery and all before it as done: they do not arrive again, unless NATS or
    /// the connection to it breaks in this moment.
    ///
    /// # Errors
    /// When the backend cannot be written; then they will arrive again.
    pub async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        self.0.ack(delivery).await
    }
}

/// What the event is about: the key within which order is kept. The first that OCSF's fields
/// name of user, application, device and resource; the tenant where none does.
pub fn entity(event: &Event) -> String {
    const PLACES: [&[&str]; 4] = [
        &["actor", "user", "uid"],
        &["actor", "app_uid"],
        &["device", "uid"],
        &["resource", "uid"],
    ];
    let find = |place: &[&str]| {
        let (first, rest) = place.split_first()?;
        let start = event.attributes.get(*first)?;
        let found = rest.iter().try_fold(start, |value, name| value.get(name))?;
        found.as_str().map(str::to_owned)
    };
    PLACES.iter().find_map(|place| find(place)).unwrap_or_else(|| event.tenant.to_string())
}
