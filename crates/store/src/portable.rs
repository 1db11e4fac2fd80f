//! Carrying records away and bringing them back: JSON Lines.
//!
//! The first line is a header with the format's version, the last one says how many records
//! there are. Between them, in the encrypted form, stand the tenants' data keys, wrapped, each
//! before its tenant's records, whose fields are those of the database; in clear, the records.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{BufRead, Read, Write},
    path::Path,
};

use bartizan_core::{Cx, Id, Tenant, Timestamp};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Class, Error, Order, Result, hex,
    repository::{Merged, NewRow, Place, Repository, Row, RowQuery, Sealed, WrappedKey},
    store::{Draft, known_class, open_row},
    vault::{DataKey, Vault},
};

/// How texts leave in an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Of tenants whose very key was destroyed here: left out.
    pub erased: u64,
}

/// The format that is written and read.
const FORMAT: u64 = 1;
const PAGE: u16 = 200;
/// How many records one transaction brings in.
const BATCH: usize = 200;
// LIMIT: the largest record, in base64 with its escapes.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// The end of a batch comes sooner with large records.
const BATCH_BYTES_MAX: u64 = 32 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    bartizan_export: u64,
    sealing: Sealing,
    time: Timestamp,
    /// The key that reads the encrypted form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    master_key: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Line<'a> {
    DataKey {
        tenant: Tenant,
        id: Cow<'a, str>,
        master_key: Cow<'a, str>,
        wrapped: Cow<'a, str>,
        time: Timestamp,
    },
    /// As it rests: the metadata's text byte for byte, since its tag covers it.
    Sealed {
        tenant: Tenant,
        class: Cow<'a, str>,
        id: Id,
        time: Timestamp,
        version: u64,
        meta: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<Cow<'a, str>>,
        tag: Cow<'a, str>,
    },
    Record {
        tenant: Tenant,
        class: Cow<'a, str>,
        id: Id,
        time: Timestamp,
        version: u64,
        meta: Map<String, Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<Value>,
    },
    End {
        records: u64,
    },
}

pub(crate) async fn export(
    repository: &dyn Repository,
    vault: &Vault,
    cx: &Cx,
    to: &mut (dyn Write + Send),
    options: &ExportOptions,
) -> Result<Exported> {
    let encrypted = options.sealing == Sealing::Encrypted;
    let header = Header {
        bartizan_export: FORMAT,
        sealing: options.sealing,
        time: cx.now(),
        master_key: encrypted.then(|| vault.master_name()),
    };
    write_line(to, &header)?;
    let mut exported = Exported::default();
    for wrapped in repository.data_keys().await? {
        let altered = || Error::AlteredKey { tenant: wrapped.tenant.clone() };
        let tenant: Tenant = wrapped.tenant.parse().map_err(|_| altered())?;
        if options.tenant.as_ref().is_some_and(|only| *only != tenant) {
            continue;
        }
        let Some(key) = vault.key(&tenant).await? else { continue };
        if encrypted {
            write_line(to, &key_line(&tenant, &wrapped))?;
        }
        exported.tenants += 1;
        for class in repository.classes(tenant.as_str()).await? {
            exported.records +=
                export_class(repository, &key, &tenant, &class, options.sealing, to).await?;
        }
    }
    write_line(to, &Line::End { records: exported.records })?;
    to.flush().map_err(write_failed)?;
    Ok(exported)
}

async fn export_class(
    repository: &dyn Repository,
    key: &DataKey,
    tenant: &Tenant,
    class: &str,
    sealing: Sealing,
    to: &mut (dyn Write + Send),
) -> Result<u64> {
    let mut count = 0;
    let mut after = None;
    loop {
        let query = RowQuery {
            tenant: tenant.as_str(),
            class,
            filters: &[],
            since: None,
            until: None,
            after,
            order: Order::Oldest,
            limit: PAGE,
            sealed: true,
        };
        let page = repository.list(&query).await?;
        after = page.rows.last().map(|row| Place { time: row.time, id: row.id });
        for row in page.rows {
            write_line(to, &record_line(key, tenant, row, sealing)?)?;
            count += 1;
        }
        if !page.more {
            return Ok(count);
        }
    }
}

fn key_line<'a>(tenant: &Tenant, wrapped: &'a WrappedKey) -> Line<'a> {
    Line::DataKey {
        tenant: tenant.clone(),
        id: hex::encode(&wrapped.id).into(),
        master_key: wrapped.master.as_str().into(),
        wrapped: STANDARD.encode(&wrapped.wrapped).into(),
        time: wrapped.time,
    }
}

/// Verified before it leaves: an export never launders what was altered in the database.
fn record_line(
    key: &DataKey,
    tenant: &Tenant,
    row: Row,
    sealing: Sealing,
) -> Result<Line<'static>> {
    let tenant = tenant.clone();
    match sealing {
        Sealing::Clear => {
            let class = row.class.clone();
            let record = open_row(key, row)?;
            Ok(Line::Record {
                tenant,
                class,
                id: record.id,
                time: record.time,
                version: record.version,
                meta: record.meta,
                sealed: record.sealed,
            })
        }
        Sealing::Encrypted => {
            if !key.verify(&row) {
                return Err(Error::Altered { class: row.class.into_owned(), id: row.id });
            }
            let sealed = match &row.sealed {
                Sealed::Bytes(bytes) => Some(STANDARD.encode(bytes).into()),
                Sealed::Absent | Sealed::Unread => None,
            };
            Ok(Line::Sealed {
                tenant,
                class: row.class,
                id: row.id,
                time: row.time,
                version: row.version,
                meta: row.meta.into(),
                sealed,
                tag: STANDARD.encode(&row.tag).into(),
            })
        }
    }
}

fn write_line<T: Serialize>(to: &mut (dyn Write + Send), line: &T) -> Result<()> {
    let mut text = serde_json::to_vec(line).map_err(|e| write_failed(e.into()))?;
    text.push(b'\n');
    to.write_all(&text).map_err(write_failed)
}

fn write_failed(source: std::io::Error) -> Error {
    crate::files::failed("write", Path::new("the export"), source)
}

pub(crate) async fn import(
    repository: &dyn Repository,
    vault: &Vault,
    classes: &'static [&'static Class],
    cx: &Cx,
    from: &mut (dyn BufRead + Send),
) -> Result<Imported> {
    let mut lines = Lines { from, number: 0, text: Vec::new() };
    read_header(&mut lines)?;
    let mut importer = Importer {
        repository,
        vault,
        classes,
        cx,
        keys: HashMap::new(),
        batch: None,
        read: 0,
        imported: Imported::default(),
    };
    loop {
        let number = lines.number + 1;
        let problem = match lines.next() {
            Ok(Some(line)) => match importer.line(line).await {
                Ok(true) => return Ok(importer.imported),
                Ok(false) => continue,
                Err(Fault::Line(problem)) => problem,
                Err(Fault::Store(error)) => return Err(error),
            },
            Ok(None) => {
                importer.finish_batch().await?;
                return Err(Error::ExportCut { done: importer.read });
            }
            Err(problem) => problem,
        };
        importer.finish_batch().await?;
        return Err(Error::ExportLine { line: number, problem, done: importer.read });
    }
}

fn read_header(lines: &mut Lines<'_>) -> Result<()> {
    let line = lines.next().map_err(|_| Error::NotAnExport)?.ok_or(Error::NotAnExport)?;
    // The version first: a newer header may have any other fields.
    let value: Value = serde_json::from_slice(line).map_err(|_| Error::NotAnExport)?;
    let found = value.get("bartizan_export").and_then(Value::as_u64).ok_or(Error::NotAnExport)?;
    if found != FORMAT {
        return Err(Error::ExportVersion { found, known: FORMAT });
    }
    serde_json::from_value::<Header>(value).map(drop).map_err(|_| Error::NotAnExport)
}

/// Lines of a bounded length.
struct Lines<'a> {
    from: &'a mut (dyn BufRead + Send),
    number: u64,
    text: Vec<u8>,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<&[u8]>, String> {
        self.text.clear();
        let mut limited = (&mut *self.from).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.text);
        let len = read.map_err(|error| format!("it cannot be read: {error}"))?;
        if len == 0 {
            return Ok(None);
        }
        self.number += 1;
        match self.text.strip_suffix(b"\n") {
            Some(line) => Ok(Some(line)),
            None if u64::try_from(len).unwrap_or(u64::MAX) >= LINE_BYTES_MAX => {
                Err(format!("it is longer than {LINE_BYTES_MAX} bytes"))
            }
            None => Ok(Some(&self.text)),
        }
    }
}

/// What keeps a line out: itself, or the store.
enum Fault {
    Line(String),
    Store(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { .. }
            | Error::ReadOnly { .. }
            | Error::Full { .. }
            | Error::Busy { .. }
            | Error::Corrupt { .. }
            | Error::Database { .. }
            | Error::Closed => Self::Store(error),
            other => Self::Line(other.to_string()),
        }
    }
}

/// Rows of one class that wait to be brought in together.
struct Batch {
    class: &'static Class,
    rows: Vec<NewRow>,
    bytes: u64,
}

struct Importer<'a> {
    repository: &'a dyn Repository,
    vault: &'a Vault,
    classes: &'static [&'static Class],
    cx: &'a Cx,
    /// The keys that came with the export, and whether each is destroyed here.
    keys: HashMap<Tenant, (DataKey, bool)>,
    batch: Option<Batch>,
    /// Records before the present line that are in, or were already.
    read: u64,
    imported: Imported,
}

impl Importer<'_> {
    /// Takes one line; `true` when it was the last.
    async fn line(&mut self, text: &[u8]) -> Result<bool, Fault> {
        let line = serde_json::from_slice(text)
            .map_err(|error| Fault::Line(format!("it is no line of an export: {error}")))?;
        match line {
            Line::DataKey { tenant, id, master_key, wrapped, time } => {
                let wrapped = WrappedKey {
                    tenant: tenant.to_string(),
                    id: hex::decode(&id).ok_or_else(|| bad("id"))?,
                    master: master_key.into_owned(),
                    wrapped: STANDARD.decode(&*wrapped).map_err(|_| bad("wrapped"))?,
                    time,
                };
                let adopted = self.vault.adopt(&wrapped).await?;
                self.keys.insert(tenant, adopted);
            }
            Line::Sealed { tenant, class, id, time, version, meta, sealed, tag } => {
                let sealed = match sealed {
                    Some(text) => {
                        Sealed::Bytes(STANDARD.decode(&*text).map_err(|_| bad("sealed"))?)
                    }
                    None => Sealed::Absent,
                };
                let tag = STANDARD.decode(&*tag).map_err(|_| bad("tag"))?;
                let class = known_class(self.classes, &class)?;
                let row = Row {
                    tenant: tenant.to_string(),
                    class: class.name.into(),
                    id,
                    time,
                    version,
                    meta: meta.into_owned(),
                    sealed,
                    tag,
                };
                self.sealed(&tenant, class, row).await?;
            }
            Line::Record { tenant, class, id, time, version, meta, sealed } => {
                let class = known_class(self.classes, &class)?;
                let draft = Draft::new(&tenant, class, id, time, meta, sealed.as_ref())?;
                self.draft(&draft, version).await?;
            }
            Line::End { records } => {
                self.finish_batch().await?;
                if records != self.read {
                    let read = self.read;
                    return Err(Fault::Line(format!(
                        "it ends an export of {records} records, and {read} were read"
                    )));
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A row under the key that came with it, brought under the one that the tenant has here.
    async fn sealed(
        &mut self,
        tenant: &Tenant,
        class: &'static Class,
        row: Row,
    ) -> Result<(), Fault> {
        let missing = || Fault::Line(format!("there is no data key of `{tenant}` before it"));
        let (key, erased) = self.keys.get(tenant).ok_or_else(missing)?;
        if *erased {
            self.finish_batch().await?;
            self.read += 1;
            self.imported.erased += 1;
            return Ok(());
        }
        let (id, time, version) = (row.id, row.time, row.version);
        let record = open_row(key, row)?;
        let draft = Draft::new(tenant, class, id, time, record.meta, record.sealed.as_ref())?;
        self.draft(&draft, version).await
    }

    async fn draft(&mut self, draft: &Draft<'_>, version: u64) -> Result<(), Fault> {
        let version = version.clamp(1, i64::MAX.unsigned_abs());
        let key = self.vault.key_or_new(draft.tenant).await?;
        let row = draft.row(&key, version, self.cx)?;
        if self.batch.as_ref().is_some_and(|batch| batch.is_full() || batch.class != draft.class) {
            self.finish_batch().await?;
        }
        let new = || Batch { class: draft.class, rows: Vec::new(), bytes: 0 };
        let batch = self.batch.get_or_insert_with(new);
        batch.bytes = batch.bytes.saturating_add(row.row.bytes());
        batch.rows.push(row);
        Ok(())
    }

    async fn finish_batch(&mut self) -> Result<()> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        for merged in self.repository.merge(batch.rows, batch.class).await? {
            self.read += 1;
            match merged {
                Merged::Added => self.imported.added += 1,
                Merged::Updated => self.imported.updated += 1,
                Merged::Kept => self.imported.kept += 1,
                // The tenant was erased while we were at it.
                Merged::KeyGone => self.imported.erased += 1,
            }
        }
        Ok(())
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH || self.bytes >= BATCH_BYTES_MAX
    }
}

fn bad(field: &str) -> Fault {
    Fault::Line(format!("its `{field}` cannot be decoded"))
}
