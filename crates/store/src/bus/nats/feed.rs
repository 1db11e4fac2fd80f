//! A subscription: one task for each partition, which holds one event at a time until it is
//! acknowledged.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use async_nats::{
    datetime::DateTime,
    jetstream::{self, AckKind, consumer::DeliverPolicy},
};
use async_trait::async_trait;
use bartizan_core::Id;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::{
    link::{self, Link, Pause},
    wire,
};
use crate::{
    Error, Result,
    bus::{Delivery, Feed, Filter, Outbox, outbox::Under, turn::Turn},
    repository::OutboxRow,
};

/// How often a held event is said to be still in work.
const PROGRESS: Duration = Duration::from_secs(3);
/// After this, an event that was given back goes to somebody else.
const GIVEN_BACK: Duration = Duration::from_millis(200);
/// How often the server says that there is nothing, and how long one request for events lasts.
const HEARTBEAT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(30);
// LIMIT: ids of a partition by which what arrives again is known: 16 bytes each.
const KNOWN_MAX: usize = 1024;

/// Starts the tasks of a subscription; they end when what is returned is dropped.
pub(super) fn start(outbox: Arc<Outbox>, link: Arc<Link>, turn: Turn, filter: Filter) -> NatsFeed {
    let (sender, arrivals) = mpsc::channel(usize::from(wire::PARTITIONS));
    for number in 0..wire::PARTITIONS {
        let partition = Partition {
            link: link.clone(),
            name: turn.name.clone(),
            number,
            sender: sender.clone(),
            known: VecDeque::new(),
            since: None,
        };
        tokio::spawn(partition.run());
    }
    NatsFeed { outbox, turn, filter, arrivals, next: None, held: VecDeque::new(), place: 0 }
}

/// An event as it arrived, encrypted.
struct Arrival {
    row: OutboxRow,
    under: Under,
    /// Where its partition waits to hear whether it is done. Dropped, it is not.
    done: oneshot::Sender<()>,
}

pub(super) struct NatsFeed {
    outbox: Arc<Outbox>,
    turn: Turn,
    filter: Filter,
    arrivals: mpsc::Receiver<Arrival>,
    /// What is being opened.
    next: Option<Arrival>,
    /// What was given out, and is not acknowledged.
    held: VecDeque<(u64, oneshot::Sender<()>)>,
    place: u64,
}

#[async_trait]
impl Feed for NatsFeed {
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            if self.next.is_none() {
                self.next = Some(self.arrivals.recv().await.ok_or(Error::Closed)?);
            }
            let Some(arrival) = &self.next else { continue };
            let opened = self.outbox.open(&arrival.row, Some(&arrival.under)).await;
            let Some(arrival) = self.next.take() else { continue };
            // An error: it goes back, and another node may be able to open it.
            match opened?.filter(|event| self.filter.fits(event)) {
                None => drop(arrival.done.send(())),
                Some(event) => {
                    self.place += 1;
                    self.held.push_back((self.place, arrival.done));
                    return Ok(Delivery { event, place: self.place });
                }
            }
        }
    }

    async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        while let Some((_, done)) = self.held.pop_front_if(|(place, _)| *place <= delivery.place) {
            // Its task has ended when the connection broke; then it will arrive again.
            let _gone = done.send(());
        }
        Ok(())
    }
}

impl fmt::Debug for NatsFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsFeed").field("name", &self.turn.name).finish_non_exhaustive()
    }
}

/// One partition of a subscription.
struct Partition {
    link: Arc<Link>,
    name: String,
    number: u8,
    sender: mpsc::Sender<Arrival>,
    /// The ids of what was acknowledged last.
    known: VecDeque<Id>,
    /// When the last event was stored, or else the consumer made.
    since: Option<DateTime>,
}

impl Partition {
    async fn run(mut self) {
        let (mut pause, mut changed) = (Pause::default(), self.link.listen());
        while let Err(error) = self.receive(&mut pause).await {
            tracing::debug!(name = self.name, partition = self.number, %error, "no events arrive");
            tokio::select! {
                () = self.sender.closed() => return,
                () = pause.wait(&mut changed) => {}
            }
        }
    }

    /// Receives until nobody wants more, or something breaks.
    async fn receive(&mut self, pause: &mut Pause) -> Result<()> {
        self.link.ready().await?;
        let begin = self.since.map_or(DeliverPolicy::New, link::since);
        let consumer = self.link.consumer(&self.name, self.number, begin).await;
        // The stream itself may be gone.
        let consumer = consumer.inspect_err(|error| self.link.lost(error))?;
        self.since.get_or_insert(consumer.cached_info().created);
        let messages = consumer
            .stream()
            .max_messages_per_batch(1)
            .expires(REQUEST)
            .heartbeat(HEARTBEAT)
            .messages();
        let mut messages = messages.await.map_err(|error| self.link.away(error))?;
        loop {
            let message = tokio::select! {
                () = self.sender.closed() => return Ok(()),
                message = messages.next() => message,
            };
            let message = message.ok_or_else(|| self.link.away("the events ended"))?;
            let message = message.map_err(|error| self.link.away(error))?;
            *pause = Pause::default();
            let kind = self.hold(&message).await;
            if matches!(kind, AckKind::Nak(_)) && self.sender.is_closed() {
                // Else it would be sent to us again.
                drop(messages);
                return message.ack_with(kind).await.map_err(|error| self.link.away(error));
            }
            message.ack_with(kind).await.map_err(|error| self.link.away(error))?;
        }
    }

    /// Hands an event over, and says what to answer.
    async fn hold(&mut self, message: &jetstream::Message) -> AckKind {
        if let Ok(info) = message.info() {
            self.since = Some(info.published);
        }
        let headers = message.headers.as_ref();
        let Some((row, under)) = headers.and_then(|h| wire::read(h, &message.payload)) else {
            tracing::error!(subject = %message.subject, "a message that is no event of ours is passed over");
            return AckKind::Ack;
        };
        let id = row.id;
        if self.known.contains(&id) {
            return AckKind::Ack;
        }
        let (done, mut acknowledged) = oneshot::channel();
        if self.sender.send(Arrival { row, under, done }).await.is_err() {
            return AckKind::Nak(Some(GIVEN_BACK));
        }
        loop {
            match tokio::time::timeout(PROGRESS, &mut acknowledged).await {
                Ok(Ok(())) => break,
                Ok(Err(_)) => return AckKind::Nak(Some(GIVEN_BACK)),
                // Should this fail, another gets the event, and so do we once more.
                Err(_) => drop(message.ack_with(AckKind::Progress).await),
            }
        }
        self.known.push_back(id);
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
        AckKind::Ack
    }
}
