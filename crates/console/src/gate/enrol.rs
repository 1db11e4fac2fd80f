//! Setting a second factor up: right after a link, when one is demanded, or from the
//! account's page.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use bartizan_policy::{Access, Area};
use qrcode::{EcLevel, QrCode, types::Color};

use super::{again, page, sign_in::To};
use crate::{
    Admin, Failure,
    door::{self, Caller},
    people::{own, sessions::Stage},
    permit::Permit,
    take::Fields,
};

#[derive(Template)]
#[template(path = "enrol.html")]
struct Enrol<'a> {
    csrf: &'a str,
    to: &'a str,
    problem: Option<String>,
    picture: String,
    secret: String,
    uri: String,
    required: bool,
}

#[derive(Template)]
#[template(path = "recovery.html")]
pub(crate) struct Recovery<'a> {
    pub(crate) codes: &'a [String],
    pub(crate) to: &'a str,
}

/// Who may set one up: who has come through the first step, or all the way.
fn permit(admin: &Admin, caller: &Caller) -> Option<Result<Permit, Failure>> {
    let there = caller.at(Stage::Enrol).or_else(|| caller.at(Stage::Full));
    there.map(|_| caller.permit(admin, Access::Manage(Area::Account)))
}

pub(super) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
    Query(to): Query<To>,
) -> Result<Response, Failure> {
    let Some(permit) = permit(&admin, &caller) else {
        return Ok(Redirect::to("/sign-in").into_response());
    };
    form(&admin, &permit?, &caller, &to.place(), StatusCode::OK, None).await
}

async fn form(
    admin: &Admin,
    permit: &Permit,
    caller: &Caller,
    to: &str,
    status: StatusCode,
    problem: Option<String>,
) -> Result<Response, Failure> {
    let (name, totp) = own::offer_factor(admin, permit).await?;
    let uri = totp.uri(&name);
    let letters: Vec<char> = totp.shown().chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    let enrol = Enrol {
        csrf: &caller.csrf,
        to,
        problem,
        picture: picture(&uri)?,
        secret: groups.join(" "),
        uri,
        required: caller.at(Stage::Enrol).is_some(),
    };
    page(status, &enrol)
}

pub(super) async fn take(
    State(admin): State<Admin>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, Failure> {
    let to = door::place(fields.text("to"));
    let permit = permit(&admin, &caller).ok_or_else(door::signed_out)??;
    match own::confirm_factor(&admin, &permit, fields.must("code")?, &caller.from).await {
        Ok((codes, begun)) => {
            let mut response = page(StatusCode::OK, &Recovery { codes: &codes, to: &to })?;
            door::carry(&admin, &begun, &mut response);
            Ok(response)
        }
        Err(failure) => {
            let form = |status, problem| form(&admin, &permit, &caller, &to, status, Some(problem));
            let (status, message) = (failure.status, failure.message.clone());
            if status.is_server_error() {
                return Err(failure);
            }
            let shown = form(status, message).await?;
            again(failure, |_, _| Ok(shown))
        }
    }
}

/// The code as a picture: one path of squares, black on white in either scheme, with the
/// quiet zone of four modules that readers need.
fn picture(text: &str) -> Result<String, Failure> {
    const QUIET: usize = 4;
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|error| {
        let message = format!("the picture cannot be made: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    })?;
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path: String = dark
        .map(|(place, _)| format!("M{} {}h1v1h-1z", place % width + QUIET, place / width + QUIET))
        .collect();
    let size = width + 2 * QUIET;
    Ok(format!(
        r##"<svg role="img" aria-label="The second factor's secret as a picture to scan; the same text stands below" viewBox="0 0 {size} {size}" width="208" height="208" shape-rendering="crispEdges"><rect width="{size}" height="{size}" fill="#fff"/><path fill="#000" d="{path}"/></svg>"##
    ))
}
