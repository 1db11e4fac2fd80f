//! People: who has an account, in which role, and with which sessions.

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use bartizan_policy::{Area, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    config::RoleName,
    people::{account, manage, sessions},
    permit::Permit,
    take::{Of, Taken},
};

pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/people",
    operations: &[
        Operation::get::<Vec<account::Shown>>(
            "people.list",
            "List people, oldest first",
            Area::People,
        ),
        Operation::post::<Invited>(
            "people.invite",
            "Make an account, and the one-time link by which its person gets in",
            Area::People,
        )
        .takes::<Invite>(),
    ],
    serve: || get(list).post(invite),
};
pub(super) const ROLE: Endpoint = Endpoint {
    path: "/api/v1/people/{id}/role",
    operations: &[Operation::post::<account::Shown>(
        "people.role",
        "Give a person another role; the person's sessions end",
        Area::People,
    )
    .takes::<NewRole>()],
    serve: || post(role),
};
pub(super) const DISABLE: Endpoint = Endpoint {
    path: "/api/v1/people/{id}/disable",
    operations: &[Operation::post::<account::Shown>(
        "people.disable",
        "Let nobody in by an account any more, at once",
        Area::People,
    )],
    serve: || post(disable),
};
pub(super) const ENABLE: Endpoint = Endpoint {
    path: "/api/v1/people/{id}/enable",
    operations: &[Operation::post::<account::Shown>(
        "people.enable",
        "Let a person in again who was disabled",
        Area::People,
    )],
    serve: || post(enable),
};
pub(super) const RECOVER: Endpoint = Endpoint {
    path: "/api/v1/people/{id}/recover",
    operations: &[Operation::post::<Link>(
        "people.recover",
        "Make a one-time link with which a person sets another password and second factor",
        Area::People,
    )],
    serve: || post(recover),
};
pub(super) const SESSIONS: Endpoint = Endpoint {
    path: "/api/v1/people/{id}/sessions",
    operations: &[Operation::get::<Vec<sessions::Shown>>(
        "people.sessions",
        "List a person's sessions, newest first",
        Area::People,
    )],
    serve: || get(sessions_of),
};
pub(super) const END_SESSIONS: Endpoint = Endpoint {
    path: "/api/v1/people/{id}/sessions/end",
    operations: &[Operation::post::<Ended>(
        "people.sessions.end",
        "End every session of a person",
        Area::People,
    )],
    serve: || post(end_sessions),
};
pub(super) const END_SESSION: Endpoint = Endpoint {
    path: "/api/v1/sessions/{id}/end",
    operations: &[Operation::post::<Ended>("sessions.end", "End one session", Area::People)],
    serve: || post(end_session),
};

/// Whom to invite.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    /// By what the person will sign in: a-z, 0-9 and `._@+-`.
    name: String,
    #[schemars(with = "RoleName")]
    role: Role,
}

/// An account that was just made.
#[derive(Debug, Serialize, JsonSchema)]
struct Invited {
    person: account::Shown,
    /// Shown this once. It holds once, and for as long as `people.link_s` says.
    link: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    #[schemars(with = "RoleName")]
    role: Role,
}

/// A one-time link.
#[derive(Debug, Serialize, JsonSchema)]
struct Link {
    /// Shown this once. It holds once, and for as long as `people.link_s` says.
    link: String,
}

/// What was ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Ended {
    /// How many sessions.
    pub(super) sessions: usize,
}

async fn list(
    State(admin): State<Admin>,
    _permit: Permit,
) -> Result<Json<Vec<account::Shown>>, Failure> {
    Ok(Json(manage::list(&admin).await?))
}

async fn invite(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(new): Taken<Invite>,
) -> Result<Json<Invited>, Failure> {
    let (person, link) = manage::invite(&admin, &permit, &new.name, new.role).await?;
    Ok(Json(Invited { person, link }))
}

async fn role(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
    Taken(new): Taken<NewRole>,
) -> Result<Json<account::Shown>, Failure> {
    Ok(Json(manage::set_role(&admin, &permit, id, new.role).await?))
}

async fn disable(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<account::Shown>, Failure> {
    Ok(Json(manage::disable(&admin, &permit, id).await?))
}

async fn enable(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<account::Shown>, Failure> {
    Ok(Json(manage::enable(&admin, &permit, id).await?))
}

async fn recover(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Link>, Failure> {
    Ok(Json(Link { link: manage::recover(&admin, &permit, id).await? }))
}

async fn sessions_of(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Vec<sessions::Shown>>, Failure> {
    Ok(Json(manage::sessions_of(&admin, &permit, id).await?))
}

async fn end_sessions(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Ended>, Failure> {
    Ok(Json(Ended { sessions: manage::end_sessions(&admin, &permit, id).await? }))
}

async fn end_session(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Ended>, Failure> {
    manage::end_session(&admin, &permit, id).await?;
    Ok(Json(Ended { sessions: 1 }))
}
