//! The code of the second factor.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{again, page, sign_in::To};
use crate::{
    Admin, Failure,
    door::{self, Caller},
    people::{enter, sessions::Stage},
    take::Fields,
};

#[derive(Template)]
#[template(path = "factor.html")]
struct Factor<'a> {
    csrf: &'a str,
    to: &'a str,
    problem: Option<String>,
}

pub(super) async fn show(caller: Caller, Query(to): Query<To>) -> Result<Response, Failure> {
    if caller.at(Stage::Factor).is_none() {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    page(StatusCode::OK, &Factor { csrf: &caller.csrf, to: &to.place(), problem: None })
}

pub(super) async fn take(
    State(admin): State<Admin>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, Failure> {
    let to = door::place(fields.text("to"));
    let Some((id, session, _)) = caller.at(Stage::Factor) else { return Err(door::signed_out()) };
    match enter::second_factor(&admin, (id, session), fields.must("code")?, &caller.from).await {
        Ok(begun) => Ok(door::enter_with(&admin, &begun, &to)),
        Err(failure) => again(failure, |status, problem| {
            page(status, &Factor { csrf: &caller.csrf, to: &to, problem: Some(problem) })
        }),
    }
}
