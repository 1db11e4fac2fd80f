//! The way to the provider, and back.

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    again,
    sign_in::{self, To},
};
use crate::{
    Admin, Failure,
    door::{self, Caller, Cookie},
    people::{
        enter,
        oidc::{self, Back},
    },
};

/// How long the browser keeps the cookie of a sign-in that is under way, in seconds.
const UNDERWAY_S: u64 = 600;

pub(super) async fn leave(
    State(admin): State<Admin>,
    caller: Caller,
    Query(to): Query<To>,
) -> Result<Response, Failure> {
    let to = to.place();
    match oidc::begin(&admin, &to, &caller.from).await {
        Ok((place, browser)) => {
            let mut response = Redirect::to(&place).into_response();
            let name = door::cookie_name(&admin, Cookie::Oidc);
            door::set_cookie(&admin, &mut response, name, &browser, Some(UNDERWAY_S));
            Ok(response)
        }
        Err(failure) => refuse(&admin, &caller, &to, failure),
    }
}

pub(super) async fn come_back(
    State(admin): State<Admin>,
    caller: Caller,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Result<Response, Failure> {
    let name = door::cookie_name(&admin, Cookie::Oidc);
    let browser = door::cookie(&headers, name);
    let mut response = match oidc::come_back(&admin, back, browser.as_deref(), &caller.from).await {
        Ok((begun, to)) => {
            // Another session takes the place of the one before, whosever that was.
            if let Some((id, session)) = &caller.session {
                enter::sign_out(&admin, *id, session.person).await?;
            }
            door::enter_with(&admin, &begun, &to)
        }
        Err(failure) => refuse(&admin, &caller, "/", failure)?,
    };
    door::set_cookie(&admin, &mut response, name, "", Some(0));
    Ok(response)
}

/// The sign-in page, with what was wrong.
fn refuse(admin: &Admin, caller: &Caller, to: &str, failure: Failure) -> Result<Response, Failure> {
    let failure = match failure.code {
        // The provider's trouble, not ours: there may be another way in.
        "oidc_provider" => Failure { status: axum::http::StatusCode::UNAUTHORIZED, ..failure },
        _ => failure,
    };
    again(failure, |status, problem| sign_in::form(admin, caller, to, "", status, Some(problem)))
}
