//! Approvals: what waits for a person, and the person's word.

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use bartizan_core::Id;
use bartizan_policy::{Access, Approval, Area, Decision};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
    take::{Asked, Of, Taken},
};

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
    let kind = match decision {
        Decision::Approve => "admin.approval.approve",
        Decision::Deny => "admin.approval.deny",
    };
    let details = [("why", why), ("of", approval.subject.as_str())];
    let act = Act { kind, subject: &format!("approval:{id}"), details: &details };
    permit.act(admin, act, holds.decide(permit.tenant(), id, permit.actor(), decision, why)).await
}
