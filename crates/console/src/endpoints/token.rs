//! The administrator's token.

use axum::{Extension, Json, extract::State, routing::post};
use serde_json::{Value, json};

use super::{Endpoint, Operation, object};
use crate::{Admin, Failure, router::Actor};

pub(super) const RENEW: Endpoint = Endpoint {
    path: "/api/v1/admin-token",
    operations: &[Operation {
        method: "post",
        summary: "Make another administrator token; the one before is void",
        takes: None,
        gives: object,
    }],
    serve: || post(renew),
};

async fn renew(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
) -> Result<Json<Value>, Failure> {
    let secret = admin.renew_token(actor).await?;
    Ok(Json(json!({"token": secret.reveal()})))
}
