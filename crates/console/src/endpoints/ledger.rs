//! The ledger: head, entries, proofs, witnesses.

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use bartizan_ledger::VerifierKey;
use bartizan_policy::Area;
use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
    take::{Asked, At, Taken},
};

/// Entries of one answer, at most: 64 MiB when each is as large as can be.
const ENTRIES_MAX: usize = 1000;
/// Entries of one answer, when the query is silent.
const ENTRIES: usize = 100;

pub(super) const HEAD: Endpoint = Endpoint {
    path: "/api/v1/ledger/head",
    operations: &[Operation::get::<Head>(
        "ledger.head",
        "The newest head with its signed checkpoint and the key that verifies it",
        Area::Ledger,
    )],
    serve: || get(head),
};
pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/ledger/entries",
    operations: &[Operation::get::<Entries>(
        "ledger.entries",
        "Entries from an index on, oldest first",
        Area::Ledger,
    )
    .asks::<Range>()],
    serve: || get(entries),
};
pub(super) const PROOF: Endpoint = Endpoint {
    path: "/api/v1/ledger/entries/{index}/proof",
    operations: &[Operation::get::<Proof>(
        "ledger.prove",
        "The proof that an entry is under the newest checkpoint (C2SP tlog-proof)",
        Area::Ledger,
    )],
    serve: || get(proof),
};
pub(super) const CONSISTENCY: Endpoint = Endpoint {
    path: "/api/v1/ledger/consistency",
    operations: &[Operation::get::<Consistency>(
        "ledger.consistency",
        "The proof that the tree of `new` entries only adds to that of `old`",
        Area::Ledger,
    )
    .asks::<Sizes>()],
    serve: || get(consistency),
};
pub(super) const COSIGN: Endpoint = Endpoint {
    path: "/api/v1/ledger/cosignatures",
    operations: &[Operation::post::<Checkpoint>(
        "ledger.cosign",
        "Take a witness's cosignature of the newest checkpoint",
        Area::Ledger,
    )
    .takes::<Cosigned>()],
    serve: || post(cosign),
};
pub(super) const ROTATE: Endpoint = Endpoint {
    path: "/api/v1/ledger/key/rotate",
    operations: &[Operation::post::<Rotated>(
        "ledger.rotate_key",
        "Put a new signing key in force, vouched for by the one before",
        Area::Ledger,
    )],
    serve: || post(rotate),
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Range {
    /// The first entry's index; 0 when absent.
    from: u64,
    /// How many: 1 to 1000; 100 when absent.
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sizes {
    /// The size of the older tree.
    old: u64,
    /// The size of the newer one; the newest when absent.
    new: Option<u64>,
}

/// A cosigned checkpoint, and who may have signed it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cosigned {
    /// The signed note with the cosignature's line.
    checkpoint: String,
    /// The witnesses' keys, as `name+id+base64`.
    witnesses: Vec<String>,
}

/// Where the ledger stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Head {
    origin: String,
    size: u64,
    /// Base64.
    root: String,
    /// A C2SP signed note.
    checkpoint: String,
    /// The key that verifies it, as `name+id+base64`.
    key: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Entries {
    entries: Vec<Numbered>,
    /// What to ask `from` next; absent at the end.
    next: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Numbered {
    index: u64,
    entry: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Proof {
    entry: Value,
    /// A C2SP tlog-proof.
    proof: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Consistency {
    old: u64,
    new: u64,
    /// Hashes, base64.
    path: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Checkpoint {
    checkpoint: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Rotated {
    /// The new key, as `name+id+base64`.
    key: String,
    /// The entry that puts it in force.
    entry: u64,
}

async fn head(State(admin): State<Admin>, _: Permit) -> Json<Head> {
    let ledger = &admin.gateway.ledger;
    let head = ledger.head();
    Json(Head {
        origin: head.origin,
        size: head.size,
        root: STANDARD.encode(head.root),
        checkpoint: ledger.checkpoint(),
        key: ledger.verifier().to_string(),
    })
}

async fn entries(
    State(admin): State<Admin>,
    _: Permit,
    Asked(range): Asked<Range>,
) -> Result<Json<Entries>, Failure> {
    let limit = range.limit.unwrap_or(ENTRIES);
    if !(1..=ENTRIES_MAX).contains(&limit) {
        return Err(Failure::invalid(format!("`limit` is {limit}: expected 1 to {ENTRIES_MAX}")));
    }
    let size = admin.gateway.ledger.head().size;
    let entries = admin.gateway.ledger.entries(range.from, limit)?;
    let next = entries.last().map(|(index, _)| index + 1).filter(|next| *next < size);
    let numbered = |(index, entry)| Numbered { index, entry };
    Ok(Json(Entries { entries: entries.into_iter().map(numbered).collect(), next }))
}

async fn proof(
    State(admin): State<Admin>,
    _: Permit,
    At(index): At,
) -> Result<Json<Proof>, Failure> {
    let ledger = &admin.gateway.ledger;
    let proof = ledger.prove(index)?.to_string();
    Ok(Json(Proof { entry: ledger.entry(index)?, proof }))
}

async fn consistency(
    State(admin): State<Admin>,
    _: Permit,
    Asked(Sizes { old, new }): Asked<Sizes>,
) -> Result<Json<Consistency>, Failure> {
    let size = admin.gateway.ledger.head().size;
    let new = new.unwrap_or(size);
    if old == 0 || old > new || new > size {
        return Err(Failure::invalid(format!(
            "there is no proof from size {old} to {new}: expected sizes from 1 to {size}, the older first"
        )));
    }
    let path = admin.gateway.ledger.consistency(old, new)?;
    Ok(Json(Consistency {
        old,
        new,
        path: path.iter().map(|hash| STANDARD.encode(hash)).collect(),
    }))
}

async fn cosign(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(cosigned): Taken<Cosigned>,
) -> Result<Json<Checkpoint>, Failure> {
    let refuse = |error: bartizan_ledger::Error| Failure::invalid(error.to_string());
    let keys: Result<Vec<_>, _> =
        cosigned.witnesses.iter().map(|key| VerifierKey::parse(key)).collect();
    let keys = keys.map_err(refuse)?;
    // Not recorded as an act before: an entry would move the head on, away from the
    // one that the witness signed.
    admin.gateway.ledger.cosign(&cosigned.checkpoint, &keys).map_err(refuse)?;
    let checkpoint = admin.gateway.ledger.checkpoint();
    let names = cosigned.witnesses.join(" ");
    let details = [("witnesses", names.as_str())];
    let act = Act { kind: "admin.ledger.cosigned", subject: "ledger", details: &details };
    permit.record(&admin, &act).await?;
    Ok(Json(Checkpoint { checkpoint }))
}

async fn rotate(State(admin): State<Admin>, permit: Permit) -> Result<Json<Rotated>, Failure> {
    let act = Act { kind: "admin.ledger.rotate_key", subject: "ledger", details: &[] };
    let work = async {
        let (key, pending) = admin.gateway.ledger.rotate_key()?;
        let sealed = pending.await?;
        Ok::<_, bartizan_ledger::Error>(Rotated { key: key.to_string(), entry: sealed.index() })
    };
    Ok(Json(permit.act(&admin, act, work).await?))
}
