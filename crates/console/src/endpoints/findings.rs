//! What people say of findings.

use axum::{Json, extract::State, routing::post};
use bartizan_core::Id;
use bartizan_policy::Area;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::Permit,
    take::Taken,
    triage::{self, Change, Done},
};

pub(super) const TRIAGE: Endpoint = Endpoint {
    path: "/api/v1/findings/triage",
    operations: &[Operation::post::<Done>(
        "findings.triage",
        "Resolve, reopen or assign findings",
        Area::Findings,
    )
    .takes::<Said>()],
    serve: || post(act),
};
pub(super) const UNDO: Endpoint = Endpoint {
    path: "/api/v1/findings/undo",
    operations: &[Operation::post::<Done>(
        "findings.undo",
        "Take such an act back, where nobody changed the findings since",
        Area::Findings,
    )
    .takes::<Batch>()],
    serve: || post(undo),
};

/// What is said, of which findings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Said {
    /// 1 to 200.
    #[schemars(with = "Vec<String>")]
    ids: Vec<Id>,
    change: Change,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Batch {
    #[schemars(with = "String")]
    batch: Id,
}

async fn act(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(said): Taken<Said>,
) -> Result<Json<Done>, Failure> {
    Ok(Json(triage::act(&admin, &permit, &said.ids, &said.change).await?))
}

async fn undo(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(Batch { batch }): Taken<Batch>,
) -> Result<Json<Done>, Failure> {
    Ok(Json(triage::undo(&admin, &permit, batch).await?))
}
