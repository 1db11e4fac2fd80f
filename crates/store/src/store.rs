//! The store: records of every tenant, encrypted, found, swept, carried away and brought back.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bartizan_core::{Cx, Event, Id, Tenant, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Bus, Class, Counting, Counts, Cursor, Error, ExportOptions, Exported, Imported, Limits,
    PAGE_RECORDS_MAX, Page, Query, Record, Result, STEPS_MAX, StoreSettings, VALUES_MAX,
    bus::{LocalBus, NatsBus, Outbox},
    cursor, facets, files, limits, portable,
    postgres::{self, Postgres},
    record::{META_BYTES_MAX, SEALED_BYTES_MAX},
    repository::{
        CountQuery, Expired, NewRow, OutboxRow, Place, Repository, Row, RowQuery, Sealed, Written,
    },
    sqlite::{self, Sqlite},
    vault::{DataKey, Source, Vault, sealed_frame},
};

/// How long an event waits for a subscription that does not come back.
const EVENT_DAYS_MAX: u32 = 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a write is tried whose data key is destroyed in the same moment.
const KEY_TRIES: u32 = 3;

/// Where things rest. Cheap to clone: all clones are one store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    repository: Arc<dyn Repository>,
    vault: Arc<Vault>,
    outbox: Arc<Outbox>,
    bus: Arc<dyn Bus>,
    limits: Arc<dyn Limits>,
    classes: &'static [&'static Class],
    settings: StoreSettings,
    cx: Cx,
    dir: PathBuf,
}

/// Where the new master key of a rotation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewMasterKey {
    /// Generated, and written to the file that holds the present one.
    Generated,
    /// The first key that the file holds now; the present one stands after it.
    FromFile,
}

/// What a sweep removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Records by class.
    pub records: BTreeMap<String, u64>,
    /// Events that a subscription did not take in time.
    pub undelivered: u64,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Where the database that was there before is now.
    pub replaced: Option<PathBuf>,
    /// Tenants that were erased after the backup, and now again.
    pub erased_again: u64,
    /// Whether the database that was there could not be read: then tenants that were erased
    /// after the backup may be back, and are to be erased again.
    pub erasures_unknown: bool,
}

impl Store {
    /// Opens the store in `dir`, and makes what is missing.
    ///
    /// # Errors
    /// Says what is wrong with the directory, the database or the master key.
    pub async fn open(
        settings: &StoreSettings,
        dir: &Path,
        classes: &'static [&'static Class],
        cx: &Cx,
    ) -> Result<Self> {
        for name in settings.retention.keys() {
            known_class(classes, name)?;
        }
        let repository: Arc<dyn Repository> = match &settings.database_url {
            None => Arc::new(Sqlite::open(dir).await?),
            Some(url) => {
                files::prepare_dir(dir)?;
                Arc::new(Postgres::open(url).await?)
            }
        };
        let vault = Vault::open(repository.clone(), Source::of(settings, dir), cx).await?;
        repository.index(classes).await?;
        let vault = Arc::new(vault);
        let outbox = Arc::new(Outbox::new(repository.clone(), vault.clone(), cx.clone()));
        let bus: Arc<dyn Bus> = match &settings.nats_url {
            None => Arc::new(LocalBus::new(outbox.clone())),
            Some(url) => Arc::new(NatsBus::open(url, outbox.clone()).await?),
        };
        Ok(Self(Arc::new(Inner {
            repository,
            vault,
            outbox,
            bus,
            limits: limits::open(settings)?,
            classes,
            settings: settings.clone(),
            cx: cx.clone(),
            dir: dir.to_owned(),
        })))
    }

    /// Puts a new record, of version 1 and the present time. It survives the death of the
    /// process when this returns; after a loss of power the newest may be missing, unless
    /// [`Store::flush`] was called: the durable proof of what matters is the ledger's.
    ///
    /// # Errors
    /// When the id is taken, or the record cannot be written.
    pub async fn put(
        &self,
        tenant: &Tenant,
        class: &Class,
        id: Id,
        meta: Map<String, Value>,
        sealed: Option<&Value>,
    ) -> Result<()> {
        self.put_with_events(tenant, class, id, meta, sealed, &[]).await
    }

    /// Puts a record and publishes events: both, or neither.
    ///
    /// # Errors
    /// When the id is taken, or the record cannot be written.
    pub async fn put_with_events(
        &self,
        tenant: &Tenant,
        class: &Class,
        id: Id,
        meta: Map<String, Value>,
        sealed: Option<&Value>,
        events: &[Event],
    ) -> Result<()> {
        let draft = Draft::new(tenant, self.class(class)?, id, self.0.cx.now(), meta, sealed)?;
        for _ in 0..KEY_TRIES {
            let key = self.0.vault.key_or_new(tenant).await?;
            let row = draft.row(&key, 1, &self.0.cx)?;
            let packed = self.pack(events).await?;
            match self.0.repository.insert(row, packed).await? {
                Written::KeyGone => self.0.vault.forget(tenant),
                Written::Done => {
                    if !events.is_empty() {
                        self.0.outbox.ring();
                    }
                    return Ok(());
                }
                other => return Err(refused(other, class, id, 0)),
            }
        }
        Err(refused(Written::KeyGone, class, id, 0))
    }

    /// One record, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or was altered outside of Bartizan.
    pub async fn get(&self, tenant: &Tenant, class: &Class, id: Id) -> Result<Option<Record>> {
        let class = self.class(class)?;
        let Some(row) = self.0.repository.get(tenant.as_str(), class.name, id).await? else {
            return Ok(None);
        };
        // No key: the tenant was erased between the two reads.
        let Some(key) = self.0.vault.key(tenant).await? else { return Ok(None) };
        match open_row(&key, row) {
            Err(Error::Altered { .. }) if self.outdated(tenant, &key).await? => {
                Box::pin(self.get(tenant, class, id)).await
            }
            opened => opened.map(Some),
        }
    }

    /// Whether another node destroyed this data key: then the tenant's rows are under another.
    async fn outdated(&self, tenant: &Tenant, key: &DataKey) -> Result<bool> {
        if !self.shared() {
            return Ok(false);
        }
        self.0.vault.forget(tenant);
        Ok(self.0.vault.key(tenant).await?.is_some_and(|now| now.id != key.id))
    }

    /// Whether other nodes share the database: then what was read may be changed behind our back.
    pub fn shared(&self) -> bool {
        self.0.repository.shared()
    }

    /// Some records, in the order of time.
    ///
    /// # Errors
    /// When the query cannot be answered as asked, or a record was altered outside of Bartizan.
    pub async fn list(&self, tenant: &Tenant, query: &Query<'_>) -> Result<Page> {
        let class = self.class(query.class)?;
        if !(1..=PAGE_RECORDS_MAX).contains(&query.limit) {
            return Err(Error::PageLimit { limit: query.limit, max: PAGE_RECORDS_MAX });
        }
        for (facet, _) in &query.filters {
            known_facet(class, facet)?;
        }
        let key = self.0.vault.key(tenant).await?;
        let place = |cursor: &Cursor| cursor::read(key.as_deref(), query, cursor);
        let after = query.after.as_ref().map(place).transpose()?;
        let before = query.before.as_ref().map(place).transpose()?;
        if let (Some(_), Some(before)) = (after, &query.before) {
            return Err(Error::Cursor(before.to_string()));
        }
        let filters = query.filters.iter().map(|(facet, value)| (*facet, facets::key(value)));
        let filters: Vec<_> = filters.collect();
        let rows = RowQuery {
            tenant: tenant.as_str(),
            class: class.name,
            filters: &filters,
            since: query.since,
            until: query.until,
            after: after.or(before),
            order: if before.is_some() { query.order.reversed() } else { query.order },
            limit: query.limit,
            sealed: query.sealed,
        };
        let mut rows = self.0.repository.list(&rows).await?;
        if before.is_some() {
            rows.rows.reverse();
        }
        let (Some(key), Some(first), Some(last)) = (key, rows.rows.first(), rows.rows.last())
        else {
            return Ok(Page { records: Vec::new(), next: None, previous: None });
        };
        let cursor = |row: &Row| cursor::write(&key, query, Place { time: row.time, id: row.id });
        // Where it came from, there were records.
        let (next, previous) = match before {
            Some(_) => (Some(cursor(last)), rows.more.then(|| cursor(first))),
            None => (rows.more.then(|| cursor(last)), after.map(|_| cursor(first))),
        };
        let records = rows.rows.into_iter().map(|row| open_row(&key, row));
        match records.collect::<Result<_>>() {
            Err(Error::Altered { .. }) if self.outdated(tenant, &key).await? => {
                Box::pin(self.list(tenant, query)).await
            }
            records => Ok(Page { records: records?, next, previous }),
        }
    }

    /// Replaces a record that is still of the version that was read; its time stays. Returns
    /// the new version, durable.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody was faster, [`Error::NotFound`] when it is gone.
    pub async fn replace(
        &self,
        tenant: &Tenant,
        class: &Class,
        id: Id,
        expected_version: u64,
        meta: Map<String, Value>,
        sealed: Option<&Value>,
    ) -> Result<u64> {
        let class = self.class(class)?;
        let repository = &self.0.repository;
        let missing = || Error::NotFound { class: class.name.to_owned(), id };
        let old = repository.get(tenant.as_str(), class.name, id).await?.ok_or_else(missing)?;
        let draft = Draft::new(tenant, class, id, old.time, meta, sealed)?;
        let key = self.0.vault.key(tenant).await?.ok_or_else(missing)?;
        let version = expected_version.saturating_add(1);
        let row = draft.row(&key, version, &self.0.cx)?;
        let written = repository.replace(vec![(row, expected_version)], class).await?;
        match written.first().copied().unwrap_or(Written::Missing) {
            Written::Done => Ok(version),
            other => Err(refused(other, class, id, expected_version)),
        }
    }

    /// Puts records, read and then changed, in the place of what they were, where nobody else
    /// was faster; all in one transaction, durable. Returns of each the new version, or why it
    /// was left alone.
    ///
    /// # Errors
    /// When the database cannot be written: then nothing was changed.
    pub async fn replace_all(
        &self,
        tenant: &Tenant,
        class: &Class,
        records: Vec<Record>,
    ) -> Result<Vec<Result<u64>>> {
        let class = self.class(class)?;
        let Some(key) = self.0.vault.key(tenant).await? else {
            let missing = |record: Record| refused(Written::Missing, class, record.id, 0);
            return Ok(records.into_iter().map(|record| Err(missing(record))).collect());
        };
        let mut read = Vec::with_capacity(records.len());
        let mut rows = Vec::with_capacity(records.len());
        for Record { id, time, version, meta, sealed } in records {
            let draft = Draft::new(tenant, class, id, time, meta, sealed.as_ref())?;
            rows.push((draft.row(&key, version.saturating_add(1), &self.0.cx)?, version));
            read.push((id, version));
        }
        let written = self.0.repository.replace(rows, class).await?;
        let outcome = |(written, (id, version)): (Written, (Id, u64))| match written {
            Written::Done => Ok(version.saturating_add(1)),
            other => Err(refused(other, class, id, version)),
        };
        Ok(written.into_iter().zip(read).map(outcome).collect())
    }

    /// Deletes a record; says whether it was there.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete(&self, tenant: &Tenant, class: &Class, id: Id) -> Result<bool> {
        let class = self.class(class)?;
        self.0.repository.delete(tenant.as_str(), class, id).await
    }

    /// How many records pass: in all, with each value of some facets, in each step of time. It
    /// answers in milliseconds however many there are, where there is at most one filter and
    /// the facets are [`Class::counted`]; otherwise records are looked at one by one, the newest
    /// some thousands, and what was counted by them alone is marked as not exact.
    ///
    /// # Errors
    /// When it cannot be counted as asked, or the database cannot be read.
    pub async fn count(&self, tenant: &Tenant, what: &Counting<'_>) -> Result<Counts> {
        let class = self.class(what.class)?;
        let stacked = what.steps.and_then(|steps| steps.by);
        let filters = what.filters.iter().map(|(facet, _)| facet);
        for facet in filters.chain(&what.by).chain(&stacked) {
            known_facet(class, facet)?;
        }
        if !(1..=VALUES_MAX).contains(&what.values_max) {
            return Err(Error::Values { asked: what.values_max, max: VALUES_MAX });
        }
        let filters = what.filters.iter().map(|(facet, value)| (*facet, facets::key(value)));
        let filters: Vec<_> = filters.collect();
        let query = CountQuery {
            tenant: tenant.as_str(),
            class,
            filters: &filters,
            since: what.since,
            until: what.until,
            by: &what.by,
            values_max: usize::from(what.values_max),
            steps: what.steps,
        };
        let counts = self.0.repository.count(&query).await?;
        if counts.steps.steps.len() > STEPS_MAX {
            return Err(Error::Steps { max: STEPS_MAX });
        }
        Ok(counts)
    }

    /// A keyed digest, `hmac-sha256:<hex>`: equal for equal bytes under the same label and
    /// tenant, and nothing to anyone without the tenant's data key.
    ///
    /// # Errors
    /// When the tenant's data key cannot be read or made.
    pub async fn digest(&self, tenant: &Tenant, label: &str, bytes: &[u8]) -> Result<String> {
        Ok(self.0.vault.key_or_new(tenant).await?.digest(label, bytes))
    }

    /// What stands for the tenant in the ledger: a keyed digest of its name.
    ///
    /// # Errors
    /// When the tenant's data key cannot be read or made.
    pub async fn tenant_tag(&self, tenant: &Tenant) -> Result<String> {
        self.digest(tenant, "tenant", tenant.as_str().as_bytes()).await
    }

    /// The tenants that have a data key, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let keys = self.0.repository.data_keys().await?;
        let altered = |key: &str| Error::AlteredKey { tenant: key.to_owned() };
        keys.iter().map(|key| key.tenant.parse().map_err(|_| altered(&key.tenant))).collect()
    }

    /// Destroys the tenant's data key, and with it all that was encrypted and every digest's
    /// meaning; removes its records and undelivered events. Returns how many records.
    ///
    /// What is put for the tenant later, also by a request that runs now, is under a new key.
    /// Backups from before still hold the wrapped key: [`restore`] erases the tenant again when
    /// the replaced database knows of it; rotating the master key makes all older backups
    /// unreadable.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn erase_tenant(&self, tenant: &Tenant) -> Result<u64> {
        let erased = self.0.repository.erase(tenant.as_str(), self.0.cx.now()).await;
        self.0.vault.forget(tenant);
        let erased = erased?;
        self.0.bus.erased(tenant).await?;
        Ok(erased)
    }

    /// Wraps every data key anew under another master key, while work goes on. Returns the
    /// name of the new one.
    ///
    /// # Errors
    /// When the key cannot be read or written. If it fails half-way, both keys stay in the
    /// file, and the next start or rotation finishes it.
    pub async fn rotate_master_key(&self, new: NewMasterKey) -> Result<String> {
        self.0.vault.rotate(new).await
    }

    /// Removes what its retention no longer covers.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept> {
        let mut swept = Swept::default();
        for key in self.0.repository.data_keys().await? {
            for name in self.0.repository.classes(&key.tenant).await? {
                let Some(class) = self.0.classes.iter().find(|class| class.name == name) else {
                    continue;
                };
                let removed = self.sweep_class(&key.tenant, class, now).await?;
                if removed > 0 {
                    *swept.records.entry(name).or_default() += removed;
                }
            }
        }
        swept.undelivered = self.0.repository.drop_events(days_before(now, EVENT_DAYS_MAX)).await?;
        if swept.undelivered > 0 {
            tracing::warn!(
                events = swept.undelivered,
                days = EVENT_DAYS_MAX,
                "events that a subscription did not take in time are dropped"
            );
        }
        self.0.repository.compact().await?;
        Ok(swept)
    }

    async fn sweep_class(&self, tenant: &str, class: &Class, now: Timestamp) -> Result<u64> {
        let retention = self.0.settings.retention(class.name, class.retention);
        let by_age = retention.days.map(|days| Expired::Before(days_before(now, days)));
        let by_size = match retention.bytes_max {
            Some(bytes) => self.0.repository.beyond(tenant, class.name, bytes).await?,
            None => None,
        };
        let by_size = by_size.map(Expired::UpTo);
        let mut removed = 0;
        for which in by_age.into_iter().chain(by_size) {
            loop {
                let repository = &self.0.repository;
                let more = repository.expire(tenant, class, which).await?;
                removed += more;
                if more == 0 {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Writes records as JSON Lines: a header, data keys or none, records, and a last line
    /// that says how many, so that a cut file is noticed. Undelivered events stay behind.
    ///
    /// # Errors
    /// When a record cannot be read, or the export not written.
    pub async fn export(
        &self,
        to: &mut (dyn Write + Send),
        options: &ExportOptions,
    ) -> Result<Exported> {
        portable::export(&*self.0.repository, &self.0.vault, &self.0.cx, to, options).await
    }

    /// Reads what [`Store::export`] wrote. Doing it twice is as good as once.
    ///
    /// # Errors
    /// Says which line cannot be read, and why; the lines before it are in.
    pub async fn import(&self, from: &mut (dyn BufRead + Send)) -> Result<Imported> {
        let Inner { repository, vault, classes, cx, .. } = &*self.0;
        portable::import(&**repository, vault, classes, cx, from).await
    }

    /// Copies the database while work goes on. The master key stays out: keep it elsewhere.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        self.0.repository.backup(to).await
    }

    /// Looks for damage in the whole database; empty when there is none.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>> {
        self.0.repository.check().await
    }

    /// Waits until everything put so far would survive a loss of power.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub async fn flush(&self) -> Result<()> {
        self.0.repository.flush().await
    }

    /// Finishes what is being written, and closes the database; whatever comes later is refused.
    ///
    /// # Errors
    /// When the last writes fail.
    pub async fn close(&self) -> Result<()> {
        self.0.repository.close().await
    }

    /// The name of the master key in force: what a backup needs to be read.
    pub fn master_key_name(&self) -> String {
        self.0.vault.master_name()
    }

    pub fn bus(&self) -> Arc<dyn Bus> {
        self.0.bus.clone()
    }

    pub fn limits(&self) -> Arc<dyn Limits> {
        self.0.limits.clone()
    }

    fn class(&self, class: &Class) -> Result<&'static Class> {
        known_class(self.0.classes, class.name)
    }

    /// Encrypts events, each under its own tenant's key.
    async fn pack(&self, events: &[Event]) -> Result<Vec<OutboxRow>> {
        let mut packed = Vec::with_capacity(events.len());
        for event in events {
            let key = self.0.vault.key_or_new(&event.tenant).await?;
            packed.push(self.0.outbox.pack(&key, event)?);
        }
        Ok(packed)
    }
}

/// Puts a backup in the place of the database in `dir`, which no process may have open. The
/// present one, if there is one, is kept beside it; tenants that it knows to be erased are
/// erased in the restored one, too.
///
/// # Errors
/// When the backup is damaged, of a newer version or of another master key; then nothing changed.
pub async fn restore(
    settings: &StoreSettings,
    backup: &Path,
    dir: &Path,
    cx: &Cx,
) -> Result<Restored> {
    if let Some(url) = &settings.database_url {
        return Err(Error::BackupElsewhere { place: postgres::place(url)? });
    }
    sqlite::restore(&Source::of(settings, dir), backup, dir, cx).await
}

/// Says what is at the configured PostgreSQL database, and changes nothing; `None` where none
/// is configured.
///
/// # Errors
/// When it does not answer, or is of a newer version.
pub async fn look(settings: &StoreSettings) -> Result<Option<String>> {
    match &settings.database_url {
        Some(url) => Postgres::look(url).await.map(Some),
        None => Ok(None),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.0.dir).finish_non_exhaustive()
    }
}

/// A record about to be written, before a key is at hand.
pub(crate) struct Draft<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) class: &'static Class,
    pub(crate) id: Id,
    pub(crate) time: Timestamp,
    meta: String,
    sealed: Option<Vec<u8>>,
    facets: Vec<(String, String)>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        tenant: &'a Tenant,
        class: &'static Class,
        id: Id,
        time: Timestamp,
        meta: Map<String, Value>,
        sealed: Option<&Value>,
    ) -> Result<Self> {
        let facets = facets::of(&meta, class.facets);
        let meta = Value::Object(meta).to_string();
        let sealed = sealed.map(|value| value.to_string().into_bytes());
        bound("the metadata", meta.len(), META_BYTES_MAX)?;
        bound("the sealed part", sealed.as_ref().map_or(0, Vec::len), SEALED_BYTES_MAX)?;
        Ok(Self { tenant, class, id, time, meta, sealed, facets })
    }

    /// The row under this key.
    pub(crate) fn row(&self, key: &DataKey, version: u64, cx: &Cx) -> Result<NewRow> {
        let about = sealed_frame(self.tenant.as_str(), self.class.name, self.id, version);
        let sealed = match &self.sealed {
            Some(plain) => Sealed::Bytes(key.seal(&about, plain, cx)?),
            None => Sealed::Absent,
        };
        let mut row = Row {
            tenant: self.tenant.to_string(),
            class: Cow::Borrowed(self.class.name),
            id: self.id,
            time: self.time,
            version,
            meta: self.meta.clone(),
            sealed,
            tag: Vec::new(),
        };
        row.tag = key.tag(&row);
        Ok(NewRow { row, facets: self.facets.clone(), counted: self.class.counted, key: key.id })
    }
}

fn bound(what: &'static str, len: usize, max: usize) -> Result<()> {
    if len > max { Err(Error::TooLarge { what, len, max }) } else { Ok(()) }
}

/// Verifies and decrypts a row.
pub(crate) fn open_row(key: &DataKey, row: Row) -> Result<Record> {
    let altered = || Error::Altered { class: row.class.to_string(), id: row.id };
    if !key.verify(&row) {
        return Err(altered());
    }
    let sealed = match &row.sealed {
        Sealed::Absent | Sealed::Unread => None,
        Sealed::Bytes(bytes) => {
            let about = sealed_frame(&row.tenant, &row.class, row.id, row.version);
            let plain = key.open(&about, bytes).ok_or_else(altered)?;
            Some(serde_json::from_slice(&plain).map_err(|_| altered())?)
        }
    };
    let meta = serde_json::from_str(&row.meta).map_err(|_| altered())?;
    Ok(Record { id: row.id, time: row.time, version: row.version, meta, sealed })
}

fn refused(written: Written, class: &Class, id: Id, expected: u64) -> Error {
    let class = class.name.to_owned();
    match written {
        Written::Exists => Error::Exists { class, id },
        Written::Version(found) => Error::Conflict { class, id, expected, found },
        Written::KeyGone => Error::Erased,
        Written::Missing | Written::Done => Error::NotFound { class, id },
    }
}

pub(crate) fn known_class(
    classes: &'static [&'static Class],
    name: &str,
) -> Result<&'static Class> {
    let found = classes.iter().find(|class| class.name == name);
    found.copied().ok_or_else(|| Error::UnknownClass {
        name: bartizan_core::json::clip(name, 64).to_owned(),
        known: list(classes.iter().map(|class| class.name)),
    })
}

fn known_facet(class: &Class, name: &str) -> Result<()> {
    if class.facets.contains(&name) {
        return Ok(());
    }
    Err(Error::UnknownFacet {
        class: class.name.to_owned(),
        name: bartizan_core::json::clip(name, 64).to_owned(),
        known: list(class.facets.iter().copied()),
    })
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    now.before(DAY.saturating_mul(days))
}
