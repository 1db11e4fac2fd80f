//! Work on the database while it is in use: sweeping, backup, export, the master
//! key, and the end of a tenant.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bartizan_policy::Area;
use bartizan_store::{ExportOptions, NewMasterKey, Sealing, Store};
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
    take::{Asked, Taken},
};

/// The size of an export's pieces, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// LIMIT: pieces that wait for a reader that is slow; then the export waits, too.
const PIECES_WAITING: usize = 16;

pub(super) const WORK: Endpoint = Endpoint {
    path: "/api/v1/database",
    operations: &[Operation::post::<Done>(
        "database.work",
        "Sweep, back up, rotate the master key, or erase a tenant",
        Area::Database,
    )
    .takes::<Work>()],
    serve: || post(work),
};
pub(super) const EXPORT: Endpoint = Endpoint {
    path: "/api/v1/database/export",
    operations: &[Operation {
        method: "get",
        ..Operation::post::<String>(
            "database.export",
            "All records as JSON Lines; the last line says how many",
            Area::Database,
        )
        .asks::<What>()
        .form("application/jsonl")
    }],
    serve: || get(export),
};

/// What is to be done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "work", rename_all = "kebab-case", deny_unknown_fields)]
enum Work {
    /// Remove what its retention no longer covers.
    Sweep,
    /// Copy the database into a new file in the server's folder of backups
    /// (`store.backup_dir`). Keys and ledger stay out.
    Backup {
        /// The file's name, without a path.
        to: String,
    },
    /// Put a new master key in force.
    RotateMasterKey {
        /// Take the first key that the master key's file holds now, above the present one,
        /// in place of making one: where several nodes share the database, all of which have
        /// this file.
        #[serde(default)]
        from_file: bool,
    },
    /// Destroy the tenant's data key, and with it all of its records.
    EraseTenant,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "done", rename_all = "kebab-case")]
enum Done {
    Swept {
        /// Records that were removed, by class.
        removed: BTreeMap<String, u64>,
        /// Events that no subscriber took in time.
        undelivered: u64,
    },
    BackedUp {
        file: PathBuf,
        /// The name of the master key, without which the copy cannot be read.
        master_key: String,
    },
    MasterKeyRotated {
        /// The name of the new key.
        master_key: String,
    },
    TenantErased {
        tenant: String,
        /// Records that went with it.
        records: u64,
    },
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct What {
    /// Texts in clear, so that any store can read them, and anyone else too.
    clear: bool,
    /// Of every tenant, not only the one that is named.
    every_tenant: bool,
}

async fn work(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(work): Taken<Work>,
) -> Result<Json<Done>, Failure> {
    let store = &admin.gateway.store;
    let done = match work {
        Work::Sweep => permit.act(&admin, act("admin.database.sweep"), sweep(&admin)).await?,
        Work::Backup { to } => {
            let shown = bartizan_core::json::clip(&to, 128);
            let details = [("to", shown)];
            let act = Act { details: &details, ..act("admin.database.backup") };
            let file = permit.act(&admin, act, store.backup_named(&to)).await?;
            Done::BackedUp { file, master_key: store.master_key_name() }
        }
        Work::RotateMasterKey { from_file } => {
            let new = if from_file { NewMasterKey::FromFile } else { NewMasterKey::Generated };
            let work = store.rotate_master_key(new);
            let name = permit.act(&admin, act("admin.database.rotate_key"), work).await?;
            Done::MasterKeyRotated { master_key: name }
        }
        Work::EraseTenant => erase(&admin, &permit).await?,
    };
    Ok(Json(done))
}

fn act(kind: &'static str) -> Act<'static> {
    Act { kind, subject: "database", details: &[] }
}

async fn sweep(admin: &Admin) -> Result<Done, Failure> {
    let swept = admin.gateway.store.sweep(admin.gateway.cx.now()).await?;
    Ok(Done::Swept { removed: swept.records, undelivered: swept.undelivered })
}

/// The ledger keeps the tenant's tag, which nobody can make again once its key is gone.
async fn erase(admin: &Admin, permit: &Permit) -> Result<Done, Failure> {
    let tenant = permit.tenant();
    let tag = admin.gateway.store.tenant_tag(tenant).await?;
    let act = Act { kind: "admin.tenant.erase", subject: &tag, details: &[] };
    let work = async {
        let records = admin.gateway.store.erase_tenant(tenant).await?;
        // Keys that are remembered must not outlive their records.
        admin.gateway.keys.forget(tenant);
        Ok::<_, Failure>(records)
    };
    let records = permit.act(admin, act, work).await?;
    Ok(Done::TenantErased { tenant: tenant.to_string(), records })
}

async fn export(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(what): Asked<What>,
) -> Result<Response, Failure> {
    let sealing = if what.clear { Sealing::Clear } else { Sealing::Encrypted };
    let tenant = (!what.every_tenant).then(|| permit.tenant().clone());
    let form = if what.clear { "clear" } else { "encrypted" };
    let whose = if what.every_tenant { "every tenant" } else { "one tenant" };
    let details = [("texts", form), ("of", whose)];
    let act = Act { details: &details, ..act("admin.database.export") };
    permit.record(&admin, &act).await?;
    let pieces = start(admin.gateway.store.clone(), ExportOptions { sealing, tenant });
    let body = Body::from_stream(stream::unfold(Some(pieces), next));
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], body).into_response())
}

type Piece = io::Result<Bytes>;

/// Exports on a thread of its own: the store writes as to a file.
fn start(store: Store, options: ExportOptions) -> Receiver<Piece> {
    let (to, pieces) = sync_channel(PIECES_WAITING);
    let runtime = Handle::current();
    spawn_blocking(move || {
        let mut pipe = Pipe { piece: Vec::new(), to };
        let exported = runtime.block_on(store.export(&mut pipe, &options));
        let ended = exported.map_err(io::Error::other).and_then(|_| pipe.flush());
        if let Err(error) = ended {
            tracing::error!(%error, "an export broke off");
            // Whoever reads it must see that it is not whole.
            let _gone = pipe.to.send(Err(error));
        }
    });
    pieces
}

async fn next(pieces: Option<Receiver<Piece>>) -> Option<(Piece, Option<Receiver<Piece>>)> {
    let pieces = pieces?;
    let received = spawn_blocking(move || (pieces.recv(), pieces)).await;
    match received {
        Ok((Ok(Ok(piece)), pieces)) => Some((Ok(piece), Some(pieces))),
        Ok((Ok(Err(error)), _)) => Some((Err(error), None)),
        Ok((Err(_), _)) => None,
        Err(error) => Some((Err(io::Error::other(error)), None)),
    }
}

/// Gathers what is written into pieces, and hands them over.
struct Pipe {
    piece: Vec<u8>,
    to: SyncSender<Piece>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.to.send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
