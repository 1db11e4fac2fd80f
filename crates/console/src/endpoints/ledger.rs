//! The ledger: head, entries, proofs, witnesses.

use axum::{
    Extension, Json,
    extract::{Path, State},
    routing::{get, post},
};
use bartizan_core::Tenant;
use bartizan_ledger::VerifierKey;
use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, In, Operation, object, query, schema};
use crate::{Admin, Failure, router::Actor};

/// Entries of one answer.
const ENTRIES_MAX: usize = 1000;

pub(super) const HEAD: Endpoint = Endpoint {
    path: "/api/v1/ledger/head",
    operations: &[Operation {
        method: "get",
        summary: "The newest head with its signed checkpoint and the key that verifies it",
        takes: None,
        gives: object,
    }],
    serve: || get(head),
};
pub(super) const ENTRIES: Endpoint = Endpoint {
    path: "/api/v1/ledger/entries",
    operations: &[Operation {
        method: "get",
        summary: "Entries from an index on, oldest first",
        takes: None,
        gives: object,
    }],
    serve: || get(entries),
};
pub(super) const PROOF: Endpoint = Endpoint {
    path: "/api/v1/ledger/entries/{index}/proof",
    operations: &[Operation {
        method: "get",
        summary: "The proof that an entry is under the newest checkpoint (C2SP tlog-proof)",
        takes: None,
        gives: object,
    }],
    serve: || get(proof),
};
pub(super) const CONSISTENCY: Endpoint = Endpoint {
    path: "/api/v1/ledger/consistency",
    operations: &[Operation {
        method: "get",
        summary: "The proof that the tree of `new` entries only adds to that of `old`",
        takes: None,
        gives: object,
    }],
    serve: || get(consistency),
};
pub(super) const COSIGN: Endpoint = Endpoint {
    path: "/api/v1/ledger/cosignatures",
    operations: &[Operation {
        method: "post",
        summary: "Take a witness's cosignature of the newest checkpoint",
        takes: Some(schema::<Cosigned>),
        gives: object,
    }],
    serve: || post(cosign),
};
pub(super) const ROTATE: Endpoint = Endpoint {
    path: "/api/v1/ledger/key/rotate",
    operations: &[Operation {
        method: "post",
        summary: "Put a new signing key in force, vouched for by the one before",
        takes: None,
        gives: object,
    }],
    serve: || post(rotate),
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    from: u64,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Sizes {
    old: u64,
    new: Option<u64>,
}

/// A cosigned checkpoint, and who may have signed it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cosigned {
    checkpoint: String,
    witnesses: Vec<String>,
}

async fn head(State(admin): State<Admin>) -> Json<Value> {
    let ledger = &admin.gateway.ledger;
    let head = ledger.head();
    Json(json!({
        "origin": head.origin, "size": head.size, "root": STANDARD.encode(head.root),
        "checkpoint": ledger.checkpoint(), "key": ledger.verifier().to_string(),
    }))
}

async fn entries(State(admin): State<Admin>, range: In<Range>) -> Result<Json<Value>, Failure> {
    let Range { from, limit } = query(range)?;
    let limit = limit.unwrap_or(100).min(ENTRIES_MAX);
    let entries = admin.gateway.ledger.entries(from, limit)?;
    let next = entries
        .last()
        .map(|(index, _)| index + 1)
        .filter(|next| *next < admin.gateway.ledger.head().size);
    let entries: Vec<Value> =
        entries.into_iter().map(|(index, entry)| json!({"index": index, "entry": entry})).collect();
    Ok(Json(json!({"entries": entries, "next": next})))
}

async fn proof(
    State(admin): State<Admin>,
    Path(index): Path<String>,
) -> Result<Json<Value>, Failure> {
    let index = index.parse().map_err(|_| {
        Failure::invalid(format!(
            "`{}` is no index of an entry",
            bartizan_core::json::clip(&index, 32)
        ))
    })?;
    let ledger = &admin.gateway.ledger;
    Ok(Json(json!({"entry": ledger.entry(index)?, "proof": ledger.prove(index)?.to_string()})))
}

async fn consistency(State(admin): State<Admin>, sizes: In<Sizes>) -> Result<Json<Value>, Failure> {
    let Sizes { old, new } = query(sizes)?;
    let new = new.unwrap_or_else(|| admin.gateway.ledger.head().size);
    let path = admin.gateway.ledger.consistency(old, new)?;
    let path: Vec<String> = path.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(Json(json!({"old": old, "new": new, "path": path})))
}

async fn cosign(
    State(admin): State<Admin>,
    Json(cosigned): Json<Cosigned>,
) -> Result<Json<Value>, Failure> {
    let keys: Result<Vec<_>, _> =
        cosigned.witnesses.iter().map(|key| VerifierKey::parse(key)).collect();
    let refuse = |error: bartizan_ledger::Error| Failure::invalid(error.to_string());
    admin.gateway.ledger.cosign(&cosigned.checkpoint, &keys.map_err(refuse)?).map_err(refuse)?;
    Ok(Json(json!({"checkpoint": admin.gateway.ledger.checkpoint()})))
}

async fn rotate(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
) -> Result<Json<Value>, Failure> {
    admin
        .gateway
        .record(&Tenant::default(), actor, "admin.ledger.rotate_key", "ledger", &[])
        .await?;
    let (key, pending) = admin.gateway.ledger.rotate_key()?;
    let sealed = pending.await?;
    Ok(Json(json!({"key": key.to_string(), "entry": sealed.index()})))
}
