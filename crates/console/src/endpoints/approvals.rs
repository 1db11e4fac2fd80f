//! Approvals: what waits for a person, and the person's word.

use axum::{
    Extension, Json,
    extract::{Path, State},
    routing::{get, post},
};
use bartizan_core::Tenant;
use bartizan_policy::{Approval, Decision};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Endpoint, In, Operation, id, object, query, schema};
use crate::{Admin, Failure, router::Actor};

pub(super) const LIST: Endpoint = Endpoint {
    path: "/api/v1/approvals",
    operations: &[Operation {
        method: "get",
        summary: "List approvals, newest first",
        takes: None,
        gives: object,
    }],
    serve: || get(list),
};
pub(super) const DECIDE: Endpoint = Endpoint {
    path: "/api/v1/approvals/{id}/decision",
    operations: &[Operation {
        method: "post",
        summary: "Approve or deny what waits",
        takes: Some(schema::<Word>),
        gives: object,
    }],
    serve: || post(decide),
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Which {
    tenant: Tenant,
    /// `pending`, `approved`, `denied` or `used`; all when absent.
    state: Option<String>,
}

/// A person's word.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Word {
    /// `approve` or `deny`.
    #[schemars(with = "String")]
    decision: Decision,
    /// Why, for the record.
    #[serde(default)]
    why: String,
}

async fn list(
    State(admin): State<Admin>,
    which: In<Which>,
) -> Result<Json<Vec<Approval>>, Failure> {
    let which = query(which)?;
    Ok(Json(admin.gateway.holds.list(&which.tenant, which.state.as_deref()).await?))
}

async fn decide(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    which: In<Which>,
    Path(approval): Path<String>,
    Json(word): Json<Word>,
) -> Result<Json<Approval>, Failure> {
    let tenant = query(which)?.tenant;
    let approval = id(&approval)?;
    // Known before it is recorded, so that the ledger holds no decision about nothing.
    admin.gateway.holds.get(&tenant, approval).await?;
    let (kind, subject) = match word.decision {
        Decision::Approve => ("admin.approval.approve", format!("approval:{approval}")),
        Decision::Deny => ("admin.approval.deny", format!("approval:{approval}")),
    };
    admin
        .gateway
        .record(
            &tenant,
            actor,
            kind,
            &subject,
            &[("why", bartizan_core::json::clip(&word.why, 1024))],
        )
        .await?;
    Ok(Json(admin.gateway.holds.decide(&tenant, approval, actor, word.decision, &word.why).await?))
}
