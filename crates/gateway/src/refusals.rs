//! Every refusal that the gateway itself makes: one function, one code, one message.

use std::{fmt::Display, time::Duration};

use bartizan_core::{Id, Mode, Verdict, json};
use bartizan_guard::Report;
use bartizan_store::Reason;

use crate::{
    budgets::Over,
    keys::Unaccepted,
    protocols::{Failure, Opaque, Refusal},
    upstream::UpstreamError,
};

pub(crate) fn body_too_large(max: usize) -> Failure {
    Failure::new(
        413,
        "body_too_large",
        format!(
            "the body is larger than {max} bytes; shorten it, or have `data.body_bytes_max` raised"
        ),
    )
}

pub(crate) fn body_too_slow(max: Duration) -> Failure {
    Failure::new(
        408,
        "body_too_slow",
        format!("the body did not arrive within {} ms; send it again", max.as_millis()),
    )
}

pub(crate) fn body_cut() -> Failure {
    Failure::new(
        400,
        "body_cut",
        "the connection ended before the body did; send it again".to_owned(),
    )
}

pub(crate) fn misframed_body() -> Failure {
    Failure::new(
        400,
        "misframed_body",
        "the body is not framed as its `transfer-encoding` says: a chunk of it cannot be read"
            .to_owned(),
    )
}

pub(crate) fn encoding(name: &str) -> Failure {
    let name = json::clip(name, 32);
    Failure::new(
        415,
        "unknown_encoding",
        format!("the body is encoded as `{name}`; gzip, deflate and identity are read"),
    )
}

pub(crate) fn bad_compression(error: &std::io::Error) -> Failure {
    Failure::new(400, "bad_compression", format!("the body cannot be decompressed: {error}"))
}

pub(crate) fn malformed(problem: &json::Problem) -> Failure {
    match problem {
        json::Problem::TooLong { max, .. } => body_too_large(*max),
        problem => Failure::new(
            400,
            "malformed_json",
            format!("the body is no JSON that is accepted here: {problem}"),
        ),
    }
}

pub(crate) fn unreadable(refusal: &Refusal) -> Failure {
    Failure::new(400, "invalid_request", refusal.message.clone()).param(&refusal.param)
}

pub(crate) fn unaccepted(why: Unaccepted) -> Failure {
    let (code, message) = match why {
        Unaccepted::Missing => (
            "missing_key",
            "no key was sent; send one as `Authorization: Bearer bz_...` or `x-api-key`",
        ),
        Unaccepted::Unknown => {
            ("unknown_key", "this key is not known here; `bartizan keys create NAME` makes one")
        }
        Unaccepted::Revoked => {
            ("revoked_key", "this key was revoked; ask the operator for another")
        }
        Unaccepted::Expired => {
            ("expired_key", "this key has expired; ask the operator for another")
        }
    };
    Failure::new(401, code, message.to_owned())
}

pub(crate) fn no_such_model(model: &str) -> Failure {
    let model = json::clip(model, 128);
    Failure::new(
        404,
        "model_not_found",
        format!("no route serves the model `{model}`; GET /v1/models lists those that are served"),
    )
    .param("model")
}

/// `kind` is what it may not use: a model, a route, a path.
pub(crate) fn not_allowed(key: &str, kind: &str, name: &str, why: &str) -> Failure {
    let name = json::clip(name, 128);
    Failure::new(
        403,
        "not_allowed",
        format!("the key named `{key}` may not use the {kind} `{name}`: {why}"),
    )
}

pub(crate) fn opaque(what: &Opaque, route: &str) -> Failure {
    let message = format!(
        "`{}` at {} cannot be inspected, so route `{route}` refuses it; send the content itself, or have `allow_opaque = [\"{}\"]` set",
        what.kind, what.location, what.kind
    );
    Failure::new(400, "not_inspectable", message).param(&what.location)
}

pub(crate) fn over_limit(over: &Over) -> Failure {
    let Over { exceeded, wanted } = over;
    let what = match exceeded.key.split(':').next() {
        Some("cost") => "millionths of cost",
        what => what.unwrap_or("requests"),
    };
    let wait = exceeded.retry_after;
    let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
    let max = exceeded.limit;
    match exceeded.reason {
        Reason::Unavailable => Failure::new(
            503,
            "limits_unavailable",
            format!(
                "denied: the limit of {max} {what} cannot be counted now; try again in {seconds} s"
            ),
        )
        .retry_after(seconds),
        Reason::UsedUp => Failure::new(
            429,
            "over_limit",
            format!("the limit of {max} {what} is used up; try again in {seconds} s"),
        )
        .retry_after(seconds),
        // No wait helps, so it is no 429, which SDKs repeat.
        Reason::TooLarge => Failure::new(
            400,
            "limit_too_small",
            format!(
                "this request may need up to {wanted} {what}, and the limit is {max}; shorten it, ask for fewer tokens, or have the limit raised"
            ),
        ),
    }
}

pub(crate) fn unknown_path(path: &str) -> Failure {
    let path = json::clip(path, 128);
    Failure::new(
        404,
        "unknown_path",
        format!("`{path}` is no path of this gateway; a route's `pass_paths` may list it"),
    )
}

pub(crate) fn wrong_method(method: &str, path: &str) -> Failure {
    let (method, path) = (json::clip(method, 16), json::clip(path, 128));
    Failure::new(405, "wrong_method", format!("`{path}` does not take {method}"))
}

/// Which rules spoke, for people: codes and names, never the text.
pub(crate) fn reason(report: &Report) -> String {
    let stopping = report
        .findings
        .iter()
        .filter(|judged| judged.mode == Mode::Enforce && judged.action.stops());
    let mut names: Vec<String> =
        stopping.map(|judged| format!("{} ({})", judged.code, judged.finding.title)).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() && !report.coverage.not_fully_inspected.is_empty() {
        return "it could not be inspected in full".to_owned();
    }
    names.join(", ")
}

pub(crate) fn blocked(report: &Report, id: Id) -> Failure {
    Failure::new(
        400,
        "blocked",
        format!("refused by policy: {}; request {id} is on record", reason(report)),
    )
}

pub(crate) fn held(id: Id) -> Failure {
    Failure::new(
        403,
        "held",
        format!(
            "held for review as {id}; send the same request again once `bartizan approvals approve {id}` released it"
        ),
    )
}

pub(crate) fn hold_refused(id: Id) -> Failure {
    Failure::new(403, "hold_refused", format!("a person refused this request (approval {id})"))
}

pub(crate) fn answer_stopped(report: &Report, id: Id) -> Failure {
    let code = if report.verdict == Verdict::Hold { "answer_held" } else { "answer_blocked" };
    Failure::new(
        400,
        code,
        format!("the answer was stopped by policy: {}; request {id} is on record", reason(report)),
    )
}

/// Says in the log what the client is not told.
pub(crate) fn log(failure: &Failure, request: Id, route: &str, target: Option<&str>) {
    if let Some(error) = &failure.detail {
        let code = failure.code;
        tracing::warn!(%request, route, target, code, error, "an upstream failed");
    }
}

pub(crate) fn upstream(error: &UpstreamError) -> Failure {
    let failure = Failure::new(error.status(), error.code(), error.public()).detail(error);
    match error.retry_after() {
        Some(seconds) => failure.retry_after(seconds),
        None => failure,
    }
}

pub(crate) fn upstream_garbage(what: &dyn Display) -> Failure {
    Failure::new(
        502,
        "upstream_garbage",
        "the model's answer could not be read, so nothing of it was delivered".to_owned(),
    )
    .detail(what)
}

pub(crate) fn upstream_cut() -> Failure {
    Failure::new(502, "upstream_cut", "the model's answer ended before it was whole".to_owned())
}

pub(crate) fn upstream_too_long(max: usize) -> Failure {
    Failure::new(
        502,
        "upstream_too_long",
        format!("the model's answer is longer than {max} bytes (`data.answer_bytes_max`)"),
    )
}

pub(crate) fn upstream_does_not_stream() -> Failure {
    Failure::new(
        502,
        "upstream_does_not_stream",
        "a stream was asked for, and the model's endpoint does not stream; ask without `stream`"
            .to_owned(),
    )
}

pub(crate) fn internal(what: &str, error: &dyn Display) -> Failure {
    tracing::error!(%error, what, "a request was denied because the gateway failed");
    Failure::new(503, "unavailable", format!("denied: {what}; the gateway's log says more"))
}

/// What the upstream answered, as it concerns the client: an upstream that does
/// not accept the gateway's own key, or fails, is the gateway's trouble.
pub(crate) fn upstream_said(status: u16, said: &str) -> Failure {
    let about = |code, status| {
        Failure::new(status, code, format!("the model's provider answered {status}: {said}"))
    };
    match status {
        401 | 403 => Failure::new(
            502,
            "upstream_auth",
            "the model's provider does not accept the gateway's key; tell the operator".to_owned(),
        ),
        408 | 429 | 529 => about("upstream_busy", status),
        400..=499 => about("upstream_refused", status),
        503 => about("upstream_unavailable", 503),
        _ => Failure::new(
            502,
            "upstream_failed",
            format!("the model's provider answered {status}: {said}"),
        ),
    }
}
