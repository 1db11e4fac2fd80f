//! Names of subscriptions, each in use once at a time within a process.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Error, Result};

const NAME_BYTES_MAX: usize = 64;

/// The names in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<BTreeSet<String>>>);

impl Turns {
    /// Takes a name until what is returned is dropped.
    pub(super) fn take(&self, name: &str) -> Result<Turn> {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            let name = bartizan_core::json::clip(name, NAME_BYTES_MAX).to_owned();
            return Err(Error::SubscriptionName { name, max: NAME_BYTES_MAX });
        }
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        if free {
            Ok(Turn { turns: self.clone(), name: name.to_owned() })
        } else {
            Err(Error::Subscribed { name: name.to_owned() })
        }
    }
}

/// The right to a subscription's name, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    pub(super) name: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
