//! What a one-time link leads to.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{again, page, sign_in};
use crate::{
    Admin, Failure,
    door::{self, Caller},
    people::{
        enter::{self, Welcome},
        links::Purpose,
    },
    take::Fields,
};

#[derive(Template)]
#[template(path = "welcome.html")]
struct Page<'a> {
    csrf: &'a str,
    link: &'a str,
    heading: &'static str,
    about: &'static str,
    name: &'a str,
    /// Whether the name is given.
    fixed: bool,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    link: String,
}

pub(super) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
    Query(Link { link }): Query<Link>,
) -> Result<Response, Failure> {
    let welcome = enter::welcome(&admin, &link, &caller.from).await?;
    form(&caller, &link, &welcome, "", StatusCode::OK, None)
}

fn form(
    caller: &Caller,
    link: &str,
    welcome: &Welcome,
    name: &str,
    status: StatusCode,
    problem: Option<String>,
) -> Result<Response, Failure> {
    let (heading, about) = match welcome.purpose {
        Purpose::First => (
            "Make the first account",
            "It is an administrator's: it may do everything, and invite others.",
        ),
        Purpose::Invite => {
            ("Welcome to Bartizan", "Choose the password by which you will sign in.")
        }
        Purpose::Recover => (
            "Get back in",
            "Choose another password. Your second factor, recovery codes and API tokens are void from then on, and every session of yours ends.",
        ),
    };
    let (name, fixed) = welcome.name.as_deref().map_or((name, false), |name| (name, true));
    page(status, &Page { csrf: &caller.csrf, link, heading, about, name, fixed, problem })
}

pub(super) async fn take(
    State(admin): State<Admin>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, Failure> {
    let link = fields.must("link")?;
    let (name, password) = (fields.must("name")?, fields.must("password")?);
    let welcome = enter::welcome(&admin, link, &caller.from).await?;
    let accepted = match fields.text("again") == Some(password) {
        true => enter::accept(&admin, link, name, password, &caller.from).await,
        false => Err(Failure::invalid("the two passwords are not the same")),
    };
    match accepted {
        Ok(begun) => Ok(door::enter_with(&admin, &begun, &sign_in::then("/sign-in/enrol", "/"))),
        Err(failure) => again(failure, |status, problem| {
            form(&caller, link, &welcome, name, status, Some(problem))
        }),
    }
}
