//! Virtual keys.

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use bartizan_core::Id;
use bartizan_gateway::keys::{Key, NewKey, Secret};
use bartizan_policy::Area;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
    take::{Of, Taken},
};

pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/keys",
    operations: &[
        Operation::get::<Vec<Key>>("keys.list", "List the keys, newest first", Area::Keys),
        Operation::post::<Made>(
            "keys.create",
            "Make a key; its secret is shown this once",
            Area::Keys,
        )
        .takes::<NewKey>(),
    ],
    serve: || get(list).post(create),
};
pub(super) const REVOKE: Endpoint = Endpoint {
    path: "/api/v1/keys/{id}/revoke",
    operations: &[Operation::post::<Key>("keys.revoke", "End a key at once", Area::Keys)],
    serve: || post(revoke),
};
pub(super) const ROTATE: Endpoint = Endpoint {
    path: "/api/v1/keys/{id}/rotate",
    operations: &[Operation::post::<Made>(
        "keys.rotate",
        "Make a key of the same rights, and end this one",
        Area::Keys,
    )],
    serve: || post(rotate),
};

/// A key that was just made.
#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    key: Key,
    /// Shown this once.
    secret: String,
}

impl From<(Key, Secret)> for Made {
    fn from((key, secret): (Key, Secret)) -> Self {
        Self { key, secret: secret.reveal().to_owned() }
    }
}

async fn list(State(admin): State<Admin>, permit: Permit) -> Result<Json<Vec<Key>>, Failure> {
    Ok(Json(admin.gateway.keys.list(permit.tenant()).await?))
}

async fn create(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(new): Taken<NewKey>,
) -> Result<Json<Made>, Failure> {
    makes_sense(&admin, &new)?;
    Ok(Json(make(&admin, &permit, new).await?.into()))
}

/// Refuses a key that nobody could tell from another, or that would open nothing.
fn makes_sense(admin: &Admin, new: &NewKey) -> Result<(), Failure> {
    if let Some(at) = new.expires_at.filter(|at| *at <= admin.gateway.cx.now()) {
        return Err(Failure::invalid(format!("`expires_at` is {at}, which is past")));
    }
    // A verb without a server has no routes at hand, and looks into the configuration itself.
    let live = admin.gateway.live();
    let unknown = new.routes.iter().find(|name| !live.routes.contains_key(*name));
    match unknown.filter(|_| !live.routes.is_empty()) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = live.routes.keys().map(String::as_str).collect();
            let name = bartizan_core::json::clip(name, 128);
            let message = format!("there is no route `{name}`; there are: {}", known.join(", "));
            Err(Failure::invalid(message))
        }
    }
}

async fn revoke(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Key>, Failure> {
    Ok(Json(end(&admin, &permit, id).await?))
}

async fn rotate(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Made>, Failure> {
    Ok(Json(renew(&admin, &permit, id).await?.into()))
}

/// Makes a key, for the API and the page alike.
pub(crate) async fn make(
    admin: &Admin,
    permit: &Permit,
    new: NewKey,
) -> Result<(Key, Secret), Failure> {
    let name = new.name.clone();
    let act = Act { kind: "admin.key.create", subject: &name, details: &[] };
    let work = async {
        let made = admin.gateway.keys.create(permit.tenant(), new).await?;
        created(admin, permit, &made.0).await?;
        Ok::<_, Failure>(made)
    };
    permit.act(admin, act, work).await
}

/// Ends a key.
pub(crate) async fn end(admin: &Admin, permit: &Permit, id: Id) -> Result<Key, Failure> {
    let act = Act { kind: "admin.key.revoke", subject: &format!("key:{id}"), details: &[] };
    permit.act(admin, act, admin.gateway.keys.revoke(permit.tenant(), id)).await
}

/// Makes a key of the same rights, and ends this one.
pub(crate) async fn renew(
    admin: &Admin,
    permit: &Permit,
    id: Id,
) -> Result<(Key, Secret), Failure> {
    let act = Act { kind: "admin.key.rotate", subject: &format!("key:{id}"), details: &[] };
    let work = async {
        let made = admin.gateway.keys.rotate(permit.tenant(), id).await?;
        created(admin, permit, &made.0).await?;
        Ok::<_, Failure>(made)
    };
    permit.act(admin, act, work).await
}

/// Which key it was, known only afterwards. Its secret is not shown unless this is
/// on record.
async fn created(admin: &Admin, permit: &Permit, key: &Key) -> Result<(), Failure> {
    let subject = format!("key:{}", key.id);
    let details = [("name", key.name.as_str())];
    permit
        .record(admin, &Act { kind: "admin.key.created", subject: &subject, details: &details })
        .await
        .map(|_| ())
}
