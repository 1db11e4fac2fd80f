//! The administrator's token.

use axum::{Json, extract::State, routing::post};
use bartizan_policy::Area;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
};

pub(super) const RENEW: Endpoint = Endpoint {
    path: "/api/v1/admin-token",
    operations: &[Operation::post::<Token>(
        "token.renew",
        "Make another administrator token; the one before is void",
        // Whoever has it may do everything: it is not a key among others.
        Area::People,
    )],
    serve: || post(renew),
};

#[derive(Debug, Serialize, JsonSchema)]
struct Token {
    /// Shown this once.
    token: String,
}

async fn renew(State(admin): State<Admin>, permit: Permit) -> Result<Json<Token>, Failure> {
    let act = Act { kind: "admin.token.renew", subject: "administrator", details: &[] };
    let secret = permit.act(&admin, act, admin.new_token()).await?;
    Ok(Json(Token { token: secret.reveal().to_owned() }))
}
