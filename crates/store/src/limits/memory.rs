//! Limits of one process, in its memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bartizan_core::Timestamp;

use super::{Budget, Exceeded, Limits, Reason, Reservation, SLOTS, slot_millis};

// LIMIT: about 150 bytes a key. End users name themselves, so somebody may try to fill this;
// when it is full of live keys, new ones are refused, never let through uncounted.
const KEYS_MAX: usize = 500_000;
/// How many keys each call looks at in passing, to drop those that count nothing any more.
const SWEEP_MILLIS: i64 = 10_000;

/// Exact within one process.
#[derive(Debug)]
pub struct MemoryLimits {
    books: Mutex<Books>,
    keys_max: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self::new(KEYS_MAX)
    }
}

impl MemoryLimits {
    /// Counts at most so many keys at a time.
    pub fn new(keys_max: usize) -> Self {
        Self { books: Mutex::default(), keys_max }
    }

    /// How many keys are counted now.
    pub fn keys(&self) -> usize {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).accounts.len()
    }
}

#[async_trait]
impl Limits for MemoryLimits {
    async fn reserve(
        &self,
        now: Timestamp,
        wants: &[(Budget, u64)],
    ) -> Result<Reservation, Exceeded> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.sweep(now, self.keys_max);
        for (done, (budget, amount)) in wants.iter().enumerate() {
            if let Err(exceeded) = books.take(now, budget, *amount, self.keys_max) {
                for (budget, amount) in wants.iter().take(done) {
                    books.change(now, budget, *amount, 0);
                }
                return Err(exceeded);
            }
        }
        Ok(Reservation::new(wants, now))
    }

    async fn settle(&self, reservation: Reservation, used: &[u64]) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        for ((budget, reserved), used) in reservation.wants.iter().zip(used) {
            books.change(reservation.at, budget, *reserved, *used);
        }
    }
}

#[derive(Debug, Default)]
struct Books {
    accounts: HashMap<(String, Duration), Account>,
    swept: Option<Timestamp>,
}

/// What one budget granted, by slot. Slots are few: most requests fall into the newest.
#[derive(Debug, Default)]
struct Account {
    slots: Vec<(i64, u64)>,
}

impl Books {
    fn take(
        &mut self,
        now: Timestamp,
        budget: &Budget,
        amount: u64,
        keys_max: usize,
    ) -> Result<(), Exceeded> {
        let refuse = |reason, retry_after| Exceeded {
            key: budget.key.clone(),
            limit: budget.max,
            retry_after,
            reason,
        };
        if amount > budget.max {
            return Err(refuse(Reason::TooLarge, budget.window));
        }
        let key = (budget.key.clone(), budget.window);
        if self.accounts.len() >= keys_max && !self.accounts.contains_key(&key) {
            return Err(refuse(Reason::Unavailable, budget.window));
        }
        let account = self.accounts.entry(key).or_default();
        let slot = slot_of(now, budget.window);
        account.slots.retain(|(at, used)| counts(*at, slot) && *used > 0);
        if account.used() <= budget.max - amount {
            account.add(slot, amount);
            return Ok(());
        }
        let free_at = account.free_at(budget.max - amount);
        let wait = free_at.saturating_mul(slot_millis(budget.window)).saturating_sub(now.millis());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        Err(refuse(Reason::UsedUp, wait))
    }

    /// In the slot of `at`, counts `to` where `from` was counted.
    fn change(&mut self, at: Timestamp, budget: &Budget, from: u64, to: u64) {
        let slot = slot_of(at, budget.window);
        let key = (budget.key.clone(), budget.window);
        // An account or a slot that is gone had run out: it counts nothing any more.
        let Some(account) = self.accounts.get_mut(&key) else { return };
        if let Some((_, used)) = account.slots.iter_mut().find(|(at, _)| *at == slot) {
            *used = used.saturating_sub(from).saturating_add(to);
        }
    }

    /// Drops the accounts that count nothing any more, from time to time.
    fn sweep(&mut self, now: Timestamp, keys_max: usize) {
        let due = match self.swept {
            None => true,
            Some(at) => {
                let since = now.millis().saturating_sub(at.millis()).abs();
                since >= SWEEP_MILLIS || (self.accounts.len() >= keys_max && since >= 1000)
            }
        };
        if due {
            self.swept = Some(now);
            self.accounts.retain(|(_, window), account| {
                let slot = slot_of(now, *window);
                account.slots.iter().any(|(at, used)| counts(*at, slot) && *used > 0)
            });
        }
    }
}

impl Account {
    fn used(&self) -> u64 {
        self.slots.iter().fold(0, |sum, (_, used)| sum.saturating_add(*used))
    }

    fn add(&mut self, slot: i64, amount: u64) {
        match self.slots.iter_mut().find(|(at, _)| *at == slot) {
            Some((_, used)) => *used = used.saturating_add(amount),
            None => self.slots.push((slot, amount)),
        }
    }

    /// The first slot in which at most `rest` of what is counted now still counts.
    fn free_at(&self, rest: u64) -> i64 {
        let mut slots = self.slots.clone();
        slots.sort_unstable();
        let mut left = self.used();
        for (slot, used) in slots {
            left = left.saturating_sub(used);
            if left <= rest {
                return slot.saturating_add(i64::from(SLOTS)).saturating_add(1);
            }
        }
        i64::MAX
    }
}

/// Whether what was granted in slot `at` still counts in slot `now`. A clock that was set back
/// leaves slots in the future: they count, too, as long as one window could hold both.
fn counts(at: i64, now: i64) -> bool {
    now.abs_diff(at) <= u64::from(SLOTS)
}

fn slot_of(at: Timestamp, window: Duration) -> i64 {
    at.millis().div_euclid(slot_millis(window))
}
