//! What the pages keep in memory: the configuration as plain data, and how many listen.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bartizan_core::Tenant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// LIMIT: pages that are live at once; each looks into the store several times a second.
const STREAMS_MAX: usize = 64;
/// How long a count of what waits is shown before it is counted anew.
const COUNTED: Duration = Duration::from_secs(2);

/// A value of the configuration in force. Whoever makes it leaves secrets out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
    /// Such as `default`, `bartizan.toml:7` or `environment BARTIZAN_LOG__LEVEL`.
    pub origin: String,
}

/// Shared by all clones of an [`Admin`](crate::Admin).
pub(crate) struct Desk {
    settings: RwLock<Arc<Vec<Setting>>>,
    streams: Arc<Semaphore>,
    waiting: Mutex<HashMap<Tenant, (Instant, u64)>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            settings: RwLock::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            waiting: Mutex::default(),
        }
    }
}

impl Desk {
    pub(crate) fn settings(&self) -> Arc<Vec<Setting>> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, settings: Vec<Setting>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// How many approvals wait, as it was counted lately.
    pub(crate) fn waiting(&self, tenant: &Tenant) -> Option<u64> {
        let known = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).filter(|(at, _)| at.elapsed() < COUNTED).map(|(_, count)| *count)
    }

    pub(crate) fn set_waiting(&self, tenant: &Tenant, count: u64) {
        let mut known = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < COUNTED);
        known.insert(tenant.clone(), (Instant::now(), count));
    }

    /// Has it counted anew, since somebody decided.
    pub(crate) fn forget_waiting(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A place among those that listen, until it is dropped; `None` when all are taken.
    pub(crate) fn listen(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}
