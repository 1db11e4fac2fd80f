//! Approvals: what waits for a person, and the person's word.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use bartizan_core::{Id, Tenant};
use bartizan_gateway::decisions::DECISION;
use bartizan_policy::{Access, Approval, Area, Decision};
use bartizan_store::{Order, Query, Record};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
    take::{Asked, Of, Taken},
};

/// How long before an approval its request may be dated.
const SLACK: Duration = Duration::from_secs(1);
/// LIMIT: a reason, in bytes; an entry of the ledger holds it whole.
const WHY_BYTES_MAX: usize = 1000;
/// LIMIT: requests of the same key that were held and are compared with an approval; the one
/// that asked is the first or near it.
const LOOKED_AT_MAX: u16 = 100;

pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/approvals",
    operations: &[Operation::get::<Vec<Shown>>(
        "approvals.list",
        "List approvals, newest first",
        Area::Approvals,
    )
    .asks::<Which>()],
    serve: || get(list),
};
pub(super) const ONE: Endpoint = Endpoint {
    path: "/api/v1/approvals/{id}",
    // Whoever sees the text reads a decision.
    operations: &[Operation::get::<Waiting>(
        "approvals.read",
        "One approval with the request that waits for it and its text; that it was read is on record",
        Area::Decisions,
    )],
    serve: || get(one),
};
pub(super) const DECIDE: Endpoint = Endpoint {
    path: "/api/v1/approvals/{id}/decision",
    operations: &[Operation::post::<Shown>(
        "approvals.decide",
        "Approve or deny what waits",
        Area::Approvals,
    )
    .takes::<Word>()],
    serve: || post(decide),
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Which {
    /// Only those in this state; all when absent.
    state: Option<StateName>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StateName {
    Pending,
    Approved,
    Denied,
    Used,
}

impl StateName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
        }
    }
}

/// A person's word.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Word {
    /// `approve` or `deny`.
    #[schemars(with = "DecisionName")]
    decision: Decision,
    /// Why, for the record.
    #[serde(default)]
    why: String,
}

/// The words of a decision, for the document.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "the policy room's type knows nothing of schemas; this is its shape")]
enum DecisionName {
    Approve,
    Deny,
}

/// An approval as it is shown: with all of its fields.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(Approval);

impl JsonSchema for Shown {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Approval".into()
    }

    /// The policy room's type knows nothing of schemas; a test holds this against it.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": false,
            "required": ["id", "kind", "subject", "reason", "requested_by", "requested_at", "expires_at", "by_another", "state"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "kind": {"type": "string", "description": "What sort of thing it is for, such as `held-request`."},
                "subject": {"type": "string", "description": "The digest of the one thing that it is for."},
                "reason": {"type": "string"},
                "requested_by": {"type": "string"},
                "requested_at": {"type": "string", "format": "date-time"},
                "expires_at": {"type": "string", "format": "date-time"},
                "by_another": {"type": "boolean", "description": "Whether the one who asked may not decide."},
                "state": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["is"],
                    "properties": {
                        "is": {"enum": ["pending", "approved", "denied", "used"]},
                        "by": {"type": "string"},
                        "at": {"type": "string", "format": "date-time"},
                        "why": {"type": "string"},
                    },
                },
            },
        })
    }
}

async fn list(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<Which>,
) -> Result<Json<Vec<Shown>>, Failure> {
    let state = which.state.map(StateName::as_str);
    let approvals = admin.gateway.holds.list(permit.tenant(), state).await?;
    Ok(Json(approvals.into_iter().map(Shown).collect()))
}

/// What waits, as a person must see it to decide.
#[derive(Debug, Serialize, JsonSchema)]
struct Waiting {
    approval: Shown,
    /// The request that first asked; absent when its record is not there (any more).
    request: Option<HeldRequest>,
}

/// A request that was held.
#[derive(Debug, Serialize, JsonSchema)]
struct HeldRequest {
    id: String,
    /// RFC 3339.
    time: String,
    meta: Map<String, Value>,
    /// What was sent and found; absent where the route keeps no text.
    text: Option<Value>,
}

async fn one(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Waiting>, Failure> {
    permit.also(&admin, Access::Read(Area::Approvals))?;
    // Whoever reads people's words leaves a trace.
    let act = Act { kind: "admin.approval.read", subject: &format!("approval:{id}"), details: &[] };
    let work = async {
        let approval = admin.gateway.holds.get(permit.tenant(), id).await?;
        let request = asked(&admin, permit.tenant(), &approval).await?;
        Ok::<_, Failure>(Waiting { approval: Shown(approval), request })
    };
    Ok(Json(permit.act(&admin, act, work).await?))
}

/// The request that first asked for an approval: its entry in the ledger names it.
async fn asked(
    admin: &Admin,
    tenant: &Tenant,
    approval: &Approval,
) -> Result<Option<HeldRequest>, Failure> {
    let Some(key) = approval.requested_by.strip_prefix("key:") else { return Ok(None) };
    let query = Query {
        filters: vec![("verdict", "hold".to_owned()), ("key", key.to_owned())],
        since: Some(approval.requested_at.before(SLACK)),
        order: Order::Oldest,
        sealed: true,
        limit: LOOKED_AT_MAX,
        ..Query::new(&DECISION)
    };
    let id = approval.id.to_string();
    for Record { id: request, time, meta, sealed, .. } in
        admin.gateway.store.list(tenant, &query).await?.records
    {
        let Some(index) = meta.get("ledger_index").and_then(Value::as_u64) else { continue };
        let entry = admin.gateway.ledger.entry(index)?;
        if entry.pointer("/body/approval").and_then(Value::as_str) == Some(id.as_str()) {
            let (id, time) = (request.to_string(), time.to_string());
            return Ok(Some(HeldRequest { id, time, meta, text: sealed }));
        }
    }
    Ok(None)
}

async fn decide(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
    Taken(word): Taken<Word>,
) -> Result<Json<Shown>, Failure> {
    Ok(Json(Shown(say(&admin, &permit, id, word.decision, &word.why).await?)))
}

/// Gives a person's word, for the API and the page alike.
pub(crate) async fn say(
    admin: &Admin,
    permit: &Permit,
    id: Id,
    decision: Decision,
    why: &str,
) -> Result<Approval, Failure> {
    let holds = &admin.gateway.holds;
    let approval = holds.get(permit.tenant(), id).await?;
    permit.also(admin, Access::Decide(&approval))?;
    if why.len() > WHY_BYTES_MAX {
        return Err(Failure::invalid(format!(
            "`why` is {} bytes: expected at most {WHY_BYTES_MAX}",
            why.len()
        )));
    }
    // What is decided or has run out already is refused without an entry that says otherwise.
    if !approval.is_pending(&admin.gateway.cx) {
        let message = match approval.is_expired(&admin.gateway.cx) {
            true => format!("approval `{id}` has run out; the application asks for another"),
            false => format!("approval `{id}` is {} already", approval.state_name()),
        };
        return Err(Failure::new(axum::http::StatusCode::CONFLICT, "conflict", message));
    }
    let kind = match decision {
        Decision::Approve => "admin.approval.approve",
        Decision::Deny => "admin.approval.deny",
    };
    let details = [("why", why), ("of", approval.subject.as_str())];
    let act = Act { kind, subject: &format!("approval:{id}"), details: &details };
    permit.act(admin, act, holds.decide(permit.tenant(), id, permit.actor(), decision, why)).await
}
