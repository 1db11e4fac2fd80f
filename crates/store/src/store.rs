//! The store: records of every tenant, encrypted, found, swept, carried away and brought back.

use std::{
    fmt,
    io::{BufRead, Write},
    path::Path,
    sync::Arc,
};

use bartizan_core::{Cx, Event, Id, Tenant, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Bus, Class, Error, Limits, Page, Query, Record, Result, StoreSettings};

/// Where things rest. Cheap to clone: all clones are one store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {}

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
    pub records: std::collections::BTreeMap<String, u64>,
    /// Events that a subscription did not take in time.
    pub undelivered: u64,
}

/// How texts leave in an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sealing {
    /// Encrypted as they rest, with the tenants' wrapped data keys: only a store with the
    /// same master key can read it. Digests keep their values.
    #[default]
    Encrypted,
    /// In clear: any store can read it, and so can anyone else.
    Clear,
}

/// What to export.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    pub sealing: Sealing,
    /// Of this tenant only.
    pub tenant: Option<Tenant>,
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    pub tenants: u64,
    pub records: u64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// New here.
    pub added: u64,
    /// Here in an older version, replaced.
    pub updated: u64,
    /// Here already in this version or a newer one, left alone.
    pub kept: u64,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Where the database that was there before is now.
    pub replaced: Option<std::path::PathBuf>,
    /// Tenants that were erased after the backup, and now again.
    pub erased_again: u64,
}

impl Store {
    /// Opens the store in `dir`, and makes what is missing.
    ///
    /// # Errors
    /// Says what is wrong with the directory, the database or the master key.
    pub async fn open(
        _settings: &StoreSettings,
        _dir: &Path,
        _classes: &'static [&'static Class],
        _cx: &Cx,
    ) -> Result<Self> {
        Err(Error::Closed)
    }

    /// Puts a new record, of version 1 and the present time. Durable against a crash of the
    /// process when it returns; the proof against loss of power is the ledger's.
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
        _tenant: &Tenant,
        _class: &Class,
        _id: Id,
        _meta: Map<String, Value>,
        _sealed: Option<&Value>,
        _events: &[Event],
    ) -> Result<()> {
        Err(Error::Closed)
    }

    /// One record, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or was altered outside of Bartizan.
    pub async fn get(&self, _tenant: &Tenant, _class: &Class, _id: Id) -> Result<Option<Record>> {
        Err(Error::Closed)
    }

    /// Some records, in the order of time.
    ///
    /// # Errors
    /// When the query cannot be answered as asked, or a record was altered outside of Bartizan.
    pub async fn list(&self, _tenant: &Tenant, _query: &Query<'_>) -> Result<Page> {
        Err(Error::Closed)
    }

    /// Replaces a record that is still of the version that was read. Returns the new version.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody was faster, [`Error::NotFound`] when it is gone.
    pub async fn replace(
        &self,
        _tenant: &Tenant,
        _class: &Class,
        _id: Id,
        _expected_version: u64,
        _meta: Map<String, Value>,
        _sealed: Option<&Value>,
    ) -> Result<u64> {
        Err(Error::Closed)
    }

    /// Deletes a record; says whether it was there.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete(&self, _tenant: &Tenant, _class: &Class, _id: Id) -> Result<bool> {
        Err(Error::Closed)
    }

    /// How many records have each value of a facet, most frequent first, at most 500 values.
    ///
    /// # Errors
    /// When the class has no such facet, or the database cannot be read.
    pub async fn count(
        &self,
        _tenant: &Tenant,
        _class: &Class,
        _facet: &str,
    ) -> Result<Vec<(String, u64)>> {
        Err(Error::Closed)
    }

    /// A keyed digest, `hmac-sha256:<hex>`: equal for equal bytes under the same label and
    /// tenant, and nothing to anyone without the tenant's data key.
    ///
    /// # Errors
    /// When the tenant's data key cannot be read or made.
    pub async fn digest(&self, _tenant: &Tenant, _label: &str, _bytes: &[u8]) -> Result<String> {
        Err(Error::Closed)
    }

    /// What stands for the tenant in the ledger: a keyed digest of its name.
    ///
    /// # Errors
    /// When the tenant's data key cannot be read or made.
    pub async fn tenant_tag(&self, tenant: &Tenant) -> Result<String> {
        self.digest(tenant, "tenant", tenant.as_str().as_bytes()).await
    }

    /// The tenants that have a data key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        Err(Error::Closed)
    }

    /// Destroys the tenant's data key, and with it all that was encrypted and every digest's
    /// meaning; removes its records and undelivered events. Returns how many records.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn erase_tenant(&self, _tenant: &Tenant) -> Result<u64> {
        Err(Error::Closed)
    }

    /// Wraps every data key anew under another master key, while work goes on. Returns the
    /// name of the new one.
    ///
    /// # Errors
    /// When the key cannot be read or written; the present one then stays in force.
    pub async fn rotate_master_key(&self, _new: NewMasterKey) -> Result<String> {
        Err(Error::Closed)
    }

    /// Removes what its retention no longer covers.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn sweep(&self, _now: Timestamp) -> Result<Swept> {
        Err(Error::Closed)
    }

    /// Writes records as JSON Lines: a header, data keys or none, records, and a last line
    /// that says how many, so that a cut file is noticed.
    ///
    /// # Errors
    /// When a record cannot be read, or the export not written.
    pub async fn export(
        &self,
        _to: &mut (dyn Write + Send),
        _options: &ExportOptions,
    ) -> Result<Exported> {
        Err(Error::Closed)
    }

    /// Reads what [`Store::export`] wrote. Doing it twice is as good as once.
    ///
    /// # Errors
    /// Says which line cannot be read, and why; the lines before it are in.
    pub async fn import(&self, _from: &mut (dyn BufRead + Send)) -> Result<Imported> {
        Err(Error::Closed)
    }

    /// Copies the database while work goes on. The master key stays out: keep it elsewhere.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be written.
    pub async fn backup(&self, _to: &Path) -> Result<()> {
        Err(Error::Closed)
    }

    /// Looks for damage in the whole database; empty when there is none.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>> {
        Err(Error::Closed)
    }

    /// Finishes what is being written, and closes the database.
    ///
    /// # Errors
    /// When the last writes fail.
    pub async fn close(&self) -> Result<()> {
        Err(Error::Closed)
    }

    pub fn bus(&self) -> Arc<dyn Bus> {
        unreachable!()
    }

    pub fn limits(&self) -> Arc<dyn Limits> {
        unreachable!()
    }
}

/// Puts a backup in the place of the database in `dir`, which no process may have open. The
/// present one, if there is one, is kept beside it; tenants that it knows to be erased are
/// erased in the restored one, too.
///
/// # Errors
/// When the backup is damaged, of a newer version or of another master key; then nothing changed.
pub async fn restore(
    _settings: &StoreSettings,
    _backup: &Path,
    _dir: &Path,
    _cx: &Cx,
) -> Result<Restored> {
    Err(Error::Closed)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
