//! Name and password.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{again, page};
use crate::{
    Admin, Failure,
    door::{self, Caller, Cookie},
    people::{enter, sessions::Stage},
    take::Fields,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    csrf: &'a str,
    to: &'a str,
    name: &'a str,
    problem: Option<String>,
    /// What the button to the provider says, where there is one.
    provider: Option<&'a str>,
}

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
pub(super) struct To {
    to: Option<String>,
}

impl To {
    pub(super) fn place(&self) -> String {
        door::place(self.to.as_deref())
    }
}

pub(super) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
    Query(to): Query<To>,
) -> Result<Response, Failure> {
    let to = to.place();
    match caller.session.as_ref().map(|(_, session)| session.stage) {
        Some(Stage::Full) => Ok(Redirect::to(&to).into_response()),
        Some(Stage::Enrol) => Ok(Redirect::to("/sign-in/enrol").into_response()),
        Some(Stage::Factor) | None => form(&admin, &caller, &to, "", StatusCode::OK, None),
    }
}

pub(super) fn form(
    admin: &Admin,
    caller: &Caller,
    to: &str,
    name: &str,
    status: StatusCode,
    problem: Option<String>,
) -> Result<Response, Failure> {
    let people = admin.people();
    let provider = people.config.oidc.as_ref().map(|oidc| oidc.label.as_str());
    page(status, &SignIn { csrf: &caller.csrf, to, name, problem, provider })
}

pub(super) async fn take(
    State(admin): State<Admin>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, Failure> {
    let to = door::place(fields.text("to"));
    let (name, password) = (fields.must("name")?, fields.must("password")?);
    match enter::sign_in(&admin, name, password, &caller.from).await {
        Ok(begun) => {
            // Another session takes the place of the one before, whosever that was.
            if let Some((id, session)) = caller.session {
                enter::sign_out(&admin, id, session.person).await?;
            }
            let next = match begun.stage {
                Stage::Full => to,
                Stage::Factor => then("/sign-in/factor", &to),
                Stage::Enrol => then("/sign-in/enrol", &to),
            };
            Ok(door::enter_with(&admin, &begun, &next))
        }
        Err(failure) => again(failure, |status, problem| {
            form(&admin, &caller, &to, name, status, Some(problem))
        }),
    }
}

/// A page that leads on to another.
pub(super) fn then(path: &str, to: &str) -> String {
    let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
    format!("{path}?to={to}")
}

pub(super) async fn leave(State(admin): State<Admin>, caller: Caller) -> Result<Response, Failure> {
    if let Some((id, session)) = caller.session {
        enter::sign_out(&admin, id, session.person).await?;
    }
    let mut response = Redirect::to("/sign-in").into_response();
    let name = door::cookie_name(&admin, Cookie::Session);
    door::set_cookie(&admin, &mut response, name, "", Some(0));
    Ok(response)
}
