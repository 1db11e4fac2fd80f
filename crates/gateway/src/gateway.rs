//! The gateway's state: what every request shares, and what a reload replaces.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use bartizan_core::{Cx, Tenant, Timestamp};
use bartizan_guard::Guard;
use bartizan_ledger::{Entry, Ledger, Pending};
use bartizan_net::Client;
use bartizan_policy::Authorizer;
use bartizan_store::Store;
use tokio::{runtime::Handle, sync::watch};

use crate::{
    Error,
    config::GatewayConfig,
    holds::Holds,
    keys::Keys,
    metrics::Metrics,
    protocols::Failure,
    recover::{SETTLED, When, recover},
    refusals,
    routes::Live,
    tally::{Due, Known, Note, REFUSAL, Tally},
    traces::Exporter,
};

/// What a gateway is made of.
#[derive(Debug)]
pub struct Parts {
    pub cx: Cx,
    pub store: Store,
    pub ledger: Ledger,
    pub guard: Arc<Guard>,
    pub client: Client,
    pub authorizer: Authorizer,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    pub cx: Cx,
    pub store: Store,
    pub ledger: Ledger,
    pub guard: Arc<Guard>,
    pub keys: Keys,
    pub holds: Holds,
    pub authorizer: Authorizer,
    pub metrics: Metrics,
    pub(crate) tally: Tally,
    /// Held while records of refusals are written: one after the other.
    noting: tokio::sync::Mutex<()>,
    pub(crate) exporter: Exporter,
    client: Client,
    live: ArcSwap<Live>,
    /// When a record could last not be stored, in milliseconds; 0 for never.
    missed: AtomicI64,
    /// Counts the decisions whose records were stored, for who waits for the next.
    stored: watch::Sender<u64>,
}

impl Gateway {
    /// A gateway under this configuration.
    ///
    /// # Errors
    /// Says what is wrong with the configuration.
    pub fn new(parts: Parts, config: GatewayConfig) -> Result<Arc<Self>, Error> {
        let Parts { cx, store, ledger, guard, client, authorizer } = parts;
        let collector = collector(&config)?;
        let live = ArcSwap::from_pointee(Live::new(config, &client)?);
        Ok(Arc::new(Self {
            keys: Keys::new(store.clone(), cx.clone()),
            holds: Holds::new(store.clone(), cx.clone()),
            metrics: Metrics::default(),
            tally: Tally::default(),
            noting: tokio::sync::Mutex::default(),
            exporter: Exporter::new(collector.as_ref(), client.clone()),
            cx,
            store,
            ledger,
            guard,
            authorizer,
            client,
            live,
            missed: AtomicI64::new(0),
            stored: watch::Sender::new(0),
        }))
    }

    /// Puts another configuration in force, whole; requests that run keep theirs.
    ///
    /// # Errors
    /// Says what is wrong with it; the one in force stays.
    pub fn reload(&self, config: GatewayConfig) -> Result<(), Error> {
        self.live.store(Arc::new(Live::new(config, &self.client)?));
        Ok(())
    }

    /// The configuration in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Hands an entry to the ledger; a ledger that takes none denies the request.
    pub(crate) fn append(&self, entry: Entry) -> Result<Pending, Failure> {
        self.ledger
            .append(entry)
            .map_err(|error| refusals::internal("the ledger takes no entries", &error))
    }

    /// Counts a refusal before a verdict, and records it as the tally says.
    pub(crate) fn refuse(self: &Arc<Self>, known: &Known, failure: &Failure) {
        self.tell(known, failure.code);
    }

    /// The same for refusals of administration.
    pub fn count_refusal(self: &Arc<Self>, caller: &str, code: &'static str) {
        self.tell(&Known::of_administration(caller), code);
    }

    fn tell(self: &Arc<Self>, known: &Known, code: &'static str) {
        self.metrics.refusal(code);
        let Some(due) = self.tally.count(&self.cx, code, known) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let (gateway, Due { entry, note }) = (self.clone(), due);
        let pending = entry.map(|entry| self.ledger.append(entry));
        runtime.spawn(async move { gateway.write_refusal(pending, note).await });
    }

    /// Writes the counts of refusals whose window has ended, or all of them at the end, and
    /// brings the records for people up to date.
    pub async fn write_refusals(&self, all: bool) {
        let due = self.tally.due(self.cx.now(), all).into_iter();
        // All entries are on their way before the first is waited for.
        let due: Vec<_> = due
            .map(|Due { entry, note }| (entry.map(|entry| self.ledger.append(entry)), note))
            .collect();
        for (pending, note) in due {
            self.write_refusal(pending, note).await;
        }
    }

    async fn write_refusal(
        &self,
        pending: Option<Result<Pending, bartizan_ledger::Error>>,
        note: Option<Note>,
    ) {
        let index = match pending {
            None => None,
            Some(Ok(pending)) => pending.await.ok().map(|sealed| sealed.index()),
            Some(Err(error)) => {
                tracing::error!(%error, "a refusal could not be recorded");
                None
            }
        };
        let Some(note) = note else { return };
        let _one_by_one = self.noting.lock().await;
        if let Err(error) = self.note(note, index).await {
            tracing::warn!(%error, "the record of a refusal could not be stored; the ledger has it");
        }
    }

    /// Puts the record of a kind of refusals, or a newer count into it.
    async fn note(
        &self,
        Note { id, tenant, mut meta }: Note,
        index: Option<u64>,
    ) -> Result<(), bartizan_store::Error> {
        match self.store.get(&tenant, &REFUSAL, id).await? {
            None => {
                meta.insert("entries".to_owned(), index.into_iter().collect());
                self.store.put(&tenant, &REFUSAL, id, meta, None).await
            }
            Some(old) => {
                // The first count of a kind may come here after a later one.
                let count = |meta: &serde_json::Map<String, serde_json::Value>| {
                    meta.get("count").and_then(serde_json::Value::as_u64)
                };
                if count(&old.meta) > count(&meta) {
                    meta = old.meta.clone();
                }
                let mut entries = old.meta.get("entries").cloned().unwrap_or_default();
                if let Some(entries) = entries.as_array_mut() {
                    entries.extend(index.map(serde_json::Value::from));
                }
                meta.insert("entries".to_owned(), entries);
                let put = self.store.replace(&tenant, &REFUSAL, id, old.version, meta, None);
                put.await.map(|_| ())
            }
        }
    }

    /// Changes whenever the record of a decision was stored by this process.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.stored.subscribe()
    }

    /// Notes that a decision's record was stored.
    pub(crate) fn ring(&self) {
        self.stored.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Notes that a record could not be stored.
    pub(crate) fn missed(&self) {
        self.missed.store(self.cx.now().millis(), Ordering::Release);
    }

    /// Makes the records again that could not be stored while requests run, if there are any;
    /// to be called every few seconds.
    pub async fn catch_up(&self) {
        let last = self.missed.load(Ordering::Acquire);
        if last == 0 {
            return;
        }
        match recover(self, When::Running).await {
            Ok(records) => {
                if records > 0 {
                    tracing::info!(records, "records were made again from the ledger");
                }
                // The last of them was too young to be judged until some time after it failed.
                if Timestamp::from_millis(last).after(SETTLED) < self.cx.now() {
                    let kept =
                        self.missed.compare_exchange(last, 0, Ordering::AcqRel, Ordering::Relaxed);
                    tracing::debug!(newer = kept.is_err(), "caught up with the ledger");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "records cannot be made again from the ledger yet")
            }
        }
    }

    /// Whether requests can be served now.
    ///
    /// # Errors
    /// Says what cannot be used.
    pub async fn ready(&self) -> Result<(), Error> {
        self.ledger.check()?;
        self.store.tenants().await?;
        Ok(())
    }

    /// Records an administrative act; returns once it is durable.
    ///
    /// # Errors
    /// When the ledger cannot take it: then the act must not be done.
    pub async fn record(
        &self,
        tenant: &Tenant,
        actor: &str,
        kind: &str,
        subject: &str,
        details: &[(&str, &str)],
    ) -> Result<u64, Error> {
        let tag = self.store.tenant_tag(tenant).await?;
        let entry = Entry::new(kind).tenant(&tag).actor(actor).subject(subject);
        let entry = details.iter().fold(entry, |entry, (key, value)| entry.with(key, *value));
        Ok(self.ledger.append(entry)?.await?.index())
    }
}

fn collector(config: &GatewayConfig) -> Result<Option<http::Uri>, Error> {
    let Some(url) = &config.telemetry.otlp_url else { return Ok(None) };
    let wrong = |_| {
        Error::Invalid(format!(
            "`{url}` is no URL of a collector: expected such as `http://127.0.0.1:4318/v1/traces`"
        ))
    };
    url.parse().map(Some).map_err(wrong)
}
