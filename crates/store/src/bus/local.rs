//! The bus within one database: each subscription reads the outbox on its own, from where it
//! stopped; publishers only ring.

use std::{collections::VecDeque, fmt, sync::Arc};

use async_trait::async_trait;
use bartizan_core::Event;

use super::{
    Bus, BusHealth, Delivery, Feed, Filter, Outbox, Subscription,
    outbox::Bell,
    turn::{Turn, Turns},
};
use crate::Result;

/// How many events a subscription holds in memory.
const BATCH: u16 = 256;

/// The bus of one database.
#[derive(Debug)]
pub(crate) struct LocalBus {
    outbox: Arc<Outbox>,
    turns: Turns,
}

impl LocalBus {
    pub(crate) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, turns: Turns::default() }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, event: &Event) -> Result<()> {
        self.outbox.publish(event).await
    }

    async fn subscribe(&self, name: &str, filter: Filter) -> Result<Subscription> {
        let turn = self.turns.take(name)?;
        let done = self.outbox.repository.subscribe(name).await?;
        Ok(Subscription::new(Box::new(LocalFeed {
            bell: self.outbox.listen(),
            outbox: self.outbox.clone(),
            turn,
            filter,
            read: done,
            given: done,
            done,
            batch: VecDeque::new(),
        })))
    }

    async fn unsubscribe(&self, name: &str) -> Result<()> {
        let _turn = self.turns.take(name)?;
        self.outbox.repository.unsubscribe(name).await
    }

    async fn health(&self) -> Result<BusHealth> {
        let waiting = self.outbox.repository.waiting().await?;
        Ok(BusHealth { waiting, place: None, stalled: None })
    }
}

struct LocalFeed {
    outbox: Arc<Outbox>,
    bell: Bell,
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
impl Feed for LocalFeed {
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            if let Some(delivery) = self.batch.pop_front() {
                self.given = delivery.place;
                return Ok(delivery);
            }
            self.bell.reset();
            if !self.fill().await? {
                self.bell.wait().await?;
            }
        }
    }

    async fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        // Everything read after the last delivery was passed over: it is done, too.
        let last = delivery.place == self.given && self.batch.is_empty();
        self.done_to(if last { self.read.max(delivery.place) } else { delivery.place }).await
    }
}

impl LocalFeed {
    /// Reads the next rows; says whether there were any.
    async fn fill(&mut self) -> Result<bool> {
        let rows = self.outbox.repository.outbox(self.read, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.place) else { return Ok(false) };
        let mut batch = VecDeque::new();
        for row in &rows {
            if let Some(event) = self.outbox.open(row, None).await?
                && self.filter.fits(&event)
            {
                batch.push_back(Delivery { event, place: row.place });
            }
        }
        self.batch = batch;
        self.read = last;
        // What nobody waits for must not keep the outbox from shrinking.
        if self.batch.is_empty() && self.given <= self.done {
            self.done_to(last).await?;
            self.given = last;
        }
        Ok(true)
    }

    async fn done_to(&mut self, place: u64) -> Result<()> {
        if place > self.done {
            self.outbox.repository.acknowledge(&self.turn.name, place).await?;
            self.done = place;
        }
        Ok(())
    }
}

impl fmt::Debug for LocalFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalFeed").field("name", &self.turn.name).finish_non_exhaustive()
    }
}
