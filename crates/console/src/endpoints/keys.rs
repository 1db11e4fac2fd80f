//! Virtual keys.

use axum::{
    Extension, Json,
    extract::{Path, State},
    routing::{get, post},
};
use bartizan_gateway::keys::{Key, NewKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Endpoint, In, Operation, Whose, id, query, schema};
use crate::{Admin, Failure, router::Actor};

pub(super) const LIST: Endpoint = Endpoint {
    path: "/api/v1/keys",
    operations: &[
        Operation {
            method: "get",
            summary: "List the keys of a tenant, newest first",
            takes: None,
            gives: schema::<Vec<Key>>,
        },
        Operation {
            method: "post",
            summary: "Make a key; its secret is shown this once",
            takes: Some(schema::<NewKey>),
            gives: schema::<Made>,
        },
    ],
    serve: || get(list).post(create),
};
pub(super) const REVOKE: Endpoint = Endpoint {
    path: "/api/v1/keys/{id}/revoke",
    operations: &[Operation {
        method: "post",
        summary: "End a key at once",
        takes: None,
        gives: schema::<Key>,
    }],
    serve: || post(revoke),
};
pub(super) const ROTATE: Endpoint = Endpoint {
    path: "/api/v1/keys/{id}/rotate",
    operations: &[Operation {
        method: "post",
        summary: "Make a key of the same rights, and end this one",
        takes: None,
        gives: schema::<Made>,
    }],
    serve: || post(rotate),
};

/// A key that was just made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Made {
    key: Key,
    /// Shown this once.
    secret: String,
}

async fn list(State(admin): State<Admin>, whose: In<Whose>) -> Result<Json<Vec<Key>>, Failure> {
    Ok(Json(admin.gateway.keys.list(&query(whose)?.tenant).await?))
}

async fn create(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    whose: In<Whose>,
    Json(new): Json<NewKey>,
) -> Result<Json<Made>, Failure> {
    let tenant = query(whose)?.tenant;
    let name = new.name.clone();
    admin.gateway.record(&tenant, actor, "admin.key.create", &name, &[]).await?;
    let (key, secret) = admin.gateway.keys.create(&tenant, new).await?;
    Ok(Json(Made { key, secret: secret.reveal().to_owned() }))
}

async fn revoke(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    whose: In<Whose>,
    Path(key): Path<String>,
) -> Result<Json<Key>, Failure> {
    let tenant = query(whose)?.tenant;
    let key = id(&key)?;
    admin.gateway.record(&tenant, actor, "admin.key.revoke", &format!("key:{key}"), &[]).await?;
    Ok(Json(admin.gateway.keys.revoke(&tenant, key).await?))
}

async fn rotate(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    whose: In<Whose>,
    Path(key): Path<String>,
) -> Result<Json<Made>, Failure> {
    let tenant = query(whose)?.tenant;
    let key = id(&key)?;
    admin.gateway.record(&tenant, actor, "admin.key.rotate", &format!("key:{key}"), &[]).await?;
    let (key, secret) = admin.gateway.keys.rotate(&tenant, key).await?;
    Ok(Json(Made { key, secret: secret.reveal().to_owned() }))
}
