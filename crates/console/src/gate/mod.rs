//! The pages before the door: signing in and out, one-time links, the second factor.
//! They work without JavaScript.

mod enrol;
mod factor;
mod sign_in;
mod welcome;

use askama::Template;
use axum::{
    Router,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};

use crate::{Admin, Failure};

/// Their routes, to be put behind [`crate::door::meet`].
pub(crate) fn routes() -> Router<Admin> {
    Router::new()
        .route("/sign-in", get(sign_in::show).post(sign_in::take))
        .route("/sign-in/factor", get(factor::show).post(factor::take))
        .route("/sign-in/enrol", get(enrol::show).post(enrol::take))
        .route("/sign-out", post(sign_in::leave))
        .route("/welcome", get(welcome::show).post(welcome::take))
}

/// Where a static file is served.
pub(crate) fn asset(name: &str) -> String {
    crate::files::address(name)
}

/// Makes a page of a template.
pub(crate) fn page<T: Template>(status: StatusCode, template: &T) -> Result<Response, Failure> {
    let text = template.render().map_err(|error| {
        let message = format!("the page cannot be made: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    })?;
    Ok((status, Html(text)).into_response())
}

/// A form again, with what was wrong; what is wrong with us goes on as it is.
pub(crate) fn again(
    failure: Failure,
    show: impl FnOnce(StatusCode, String) -> Result<Response, Failure>,
) -> Result<Response, Failure> {
    if failure.status.is_server_error() && failure.code != "busy" {
        return Err(failure);
    }
    let mut said = failure.message.clone();
    if let Some(first) = said.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let mut response = show(failure.status, format!("{said}."))?;
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

#[derive(Template)]
#[template(path = "bare_failure.html")]
struct Failed<'a> {
    heading: &'a str,
    message: &'a str,
    status: u16,
    code: &'a str,
    request: &'a str,
}

/// A failure as a page.
pub(crate) fn failure(failure: &Failure, request: &str) -> Response {
    let heading = match failure.status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::FORBIDDEN => "That is not permitted",
        StatusCode::UNAUTHORIZED => "Sign in first",
        StatusCode::PAYLOAD_TOO_LARGE => "That is too much",
        status if status.is_server_error() => "That did not work",
        _ => "That cannot be done",
    };
    let failed = Failed {
        heading,
        message: &failure.message,
        status: failure.status.as_u16(),
        code: failure.code,
        request,
    };
    page(failure.status, &failed).unwrap_or_else(|_| failure.clone().answer(request))
}
