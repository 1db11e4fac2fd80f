//! The account of the person who asks: sessions, API tokens, preferences. Passwords and
//! second factors are set on the pages alone, which ask for the present one.

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use bartizan_policy::Area;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Endpoint, Operation, people::Ended};
use crate::{
    Admin, Failure,
    people::{
        account, own, sessions,
        tokens::{self, NewToken},
    },
    permit::Permit,
    saved::{self, NewFilter},
    take::{Of, Taken},
    visitor::Preferences,
};

pub(super) const ME: Endpoint = Endpoint {
    path: "/api/v1/account",
    operations: &[Operation::get::<account::Shown>(
        "account.show",
        "Show your account",
        Area::Account,
    )],
    serve: || get(show),
};
pub(super) const PREFERENCES: Endpoint = Endpoint {
    path: "/api/v1/account/preferences",
    operations: &[Operation::post::<Preferences>(
        "account.preferences",
        "Say how you like pages",
        Area::Account,
    )
    .takes::<Preferences>()],
    serve: || post(prefer),
};
pub(super) const SESSIONS: Endpoint = Endpoint {
    path: "/api/v1/account/sessions",
    operations: &[Operation::get::<Vec<sessions::Shown>>(
        "account.sessions",
        "List your sessions, newest first",
        Area::Account,
    )],
    serve: || get(list_sessions),
};
pub(super) const END_OTHERS: Endpoint = Endpoint {
    path: "/api/v1/account/sessions/end",
    operations: &[Operation::post::<Ended>(
        "account.sessions.end_others",
        "End every session of yours but the one that asks",
        Area::Account,
    )],
    serve: || post(end_others),
};
pub(super) const END_SESSION: Endpoint = Endpoint {
    path: "/api/v1/account/sessions/{id}/end",
    operations: &[Operation::post::<Ended>(
        "account.sessions.end",
        "End one session of yours",
        Area::Account,
    )],
    serve: || post(end_session),
};
pub(super) const TOKENS: Endpoint = Endpoint {
    path: "/api/v1/account/tokens",
    operations: &[
        Operation::get::<Vec<tokens::Shown>>("account.tokens", "List your API tokens, newest first", Area::Account),
        Operation::post::<Made>(
            "account.tokens.create",
            "Make an API token; its secret is shown this once. It needs a session: a token makes no tokens",
            Area::Account,
        )
        .takes::<NewToken>(),
    ],
    serve: || get(list_tokens).post(make_token),
};
pub(super) const REVOKE: Endpoint = Endpoint {
    path: "/api/v1/account/tokens/{id}/revoke",
    operations: &[Operation::post::<tokens::Shown>(
        "account.tokens.revoke",
        "End an API token of yours at once",
        Area::Account,
    )],
    serve: || post(revoke_token),
};

pub(super) const FILTERS: Endpoint = Endpoint {
    path: "/api/v1/account/filters",
    operations: &[
        Operation::get::<Vec<saved::Shown>>(
            "account.filters",
            "List your saved filters, by page and name",
            Area::Account,
        ),
        Operation::post::<saved::Shown>(
            "account.filters.save",
            "Save a filter of a page under a name; at most 32",
            Area::Account,
        )
        .takes::<NewFilter>(),
    ],
    serve: || get(list_filters).post(save_filter),
};
pub(super) const DELETE_FILTER: Endpoint = Endpoint {
    path: "/api/v1/account/filters/{id}/delete",
    operations: &[Operation::post::<saved::Shown>(
        "account.filters.delete",
        "Delete a saved filter of yours",
        Area::Account,
    )],
    serve: || post(delete_filter),
};

/// A token that was just made.
#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    token: tokens::Shown,
    /// Shown this once.
    secret: String,
}

async fn show(State(admin): State<Admin>, permit: Permit) -> Result<Json<account::Shown>, Failure> {
    Ok(Json(own::shown(&admin, &permit).await?))
}

async fn prefer(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(preferences): Taken<Preferences>,
) -> Result<Json<Preferences>, Failure> {
    own::set_preferences(&admin, &permit, preferences).await?;
    Ok(Json(preferences))
}

async fn list_sessions(
    State(admin): State<Admin>,
    permit: Permit,
) -> Result<Json<Vec<sessions::Shown>>, Failure> {
    Ok(Json(own::sessions_of(&admin, &permit).await?))
}

async fn end_others(State(admin): State<Admin>, permit: Permit) -> Result<Json<Ended>, Failure> {
    Ok(Json(Ended { sessions: own::end_others(&admin, &permit).await? }))
}

async fn end_session(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Ended>, Failure> {
    own::end_session(&admin, &permit, id).await?;
    Ok(Json(Ended { sessions: 1 }))
}

async fn list_tokens(
    State(admin): State<Admin>,
    permit: Permit,
) -> Result<Json<Vec<tokens::Shown>>, Failure> {
    Ok(Json(own::tokens_of(&admin, &permit).await?))
}

async fn make_token(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(new): Taken<NewToken>,
) -> Result<Json<Made>, Failure> {
    let (token, secret) = own::make_token(&admin, &permit, new).await?;
    Ok(Json(Made { token, secret }))
}

async fn revoke_token(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<tokens::Shown>, Failure> {
    Ok(Json(own::revoke_token(&admin, &permit, id).await?))
}

async fn list_filters(
    State(admin): State<Admin>,
    permit: Permit,
) -> Result<Json<Vec<saved::Shown>>, Failure> {
    Ok(Json(saved::of(&admin, &permit).await?))
}

async fn save_filter(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(new): Taken<NewFilter>,
) -> Result<Json<saved::Shown>, Failure> {
    Ok(Json(saved::save(&admin, &permit, &new).await?))
}

async fn delete_filter(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<saved::Shown>, Failure> {
    Ok(Json(saved::delete(&admin, &permit, id).await?))
}
