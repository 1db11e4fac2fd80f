//! Answers to the client: whole ones, errors in the provider's form, and the
//! headers that every answer carries.

use axum::{body::Body, response::Response};
use bartizan_core::{Id, Verdict};
use bartizan_guard::{Context, Screening};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::{
    budgets,
    exchange::{End, Exchange, Start},
    protocols::{self, Failure, Provider, Usage},
    refusals,
    upstream::Answer,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-bartizan-request-id");
/// Where the official SDKs of OpenAI and Anthropic look for an id to quote.
const SDK_REQUEST_IDS: [HeaderName; 2] =
    [HeaderName::from_static("x-request-id"), HeaderName::from_static("request-id")];
const VERDICT: HeaderName = HeaderName::from_static("x-bartizan-verdict");
/// The largest error body of an upstream that is read, in bytes.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// The longest text of an upstream's error that is passed on, in bytes.
const ERROR_TEXT_MAX: usize = 1024;

/// A JSON answer.
pub(crate) fn json(status: u16, body: &Value, id: Id, verdict: Option<Verdict>) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    with_id(headers, id);
    match verdict {
        Some(verdict) => with_verdict(response, verdict),
        None => response,
    }
}

/// A failure in the provider's own form.
pub(crate) fn failure(provider: Provider, failure: &Failure, id: Id) -> Response {
    let mut response =
        json(failure.status, &protocols::error_body(provider, failure, &id.to_string()), id, None);
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

pub(crate) fn with_id(headers: &mut http::HeaderMap, id: Id) {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        for name in SDK_REQUEST_IDS {
            headers.insert(name, value.clone());
        }
        headers.insert(REQUEST_ID, value);
    }
}

pub(crate) fn with_verdict(mut response: Response, verdict: Verdict) -> Response {
    response.headers_mut().insert(VERDICT, HeaderValue::from_static(verdict.as_str()));
    response
}

/// Inspects and delivers an answer that came whole.
pub(crate) async fn whole(
    exchange: Exchange,
    mut answer: Answer,
    context: Context,
) -> Result<Response, Failure> {
    let max = exchange.start.gateway.live().config.data.answer_bytes_max;
    let target = answer.target.clone();
    let read = match answer.read_all(max).await {
        Ok(bytes) => crate::intake::parse(&bytes, max)
            .map_err(|failure| refusals::upstream_garbage(&failure.message)),
        Err(error) => Err(refusals::upstream(&error)),
    };
    let read = read.and_then(|body| {
        exchange.start.protocol.reply(body).map_err(|error| refusals::upstream_garbage(&error))
    });
    let reply = match read {
        Ok(reply) => reply,
        Err(failure) => return failed(exchange, failure, Some(target)).await,
    };
    let usage = reply.usage();
    let gateway = exchange.start.gateway.clone();
    let route = exchange.start.route.clone();
    let screening = gateway.guard.screen(&gateway.cx, &route.profile, &context, reply);
    let prompt_bytes = exchange.prompt.coverage.bytes_seen;
    match screening {
        Screening::Pass(reply, report) => {
            let verdict = exchange.prompt.verdict.max(report.verdict);
            let mut reply = reply.into_inner();
            let (delivered, said) = reply.text();
            let usage = usage.unwrap_or_else(|| estimate(prompt_bytes, delivered.len()));
            let body = reply.into_body();
            let id = exchange.start.subject.id;
            let end = End {
                status: 200,
                target: Some(target),
                report: Some(report),
                delivered,
                said,
                usage,
                ..End::default()
            };
            exchange.finish(end).await?;
            Ok(json(200, &body, id, Some(verdict)))
        }
        Screening::Held(_, report) | Screening::Stopped(report) => {
            let failure = refusals::answer_stopped(&report, exchange.start.subject.id);
            let usage = usage.unwrap_or_else(|| estimate(prompt_bytes, 0));
            let response = self::failure(
                exchange.start.protocol.meta().provider,
                &failure,
                exchange.start.subject.id,
            );
            let response = with_verdict(response, report.verdict);
            let end = End {
                status: failure.status,
                cut: Some(failure.code),
                target: Some(target),
                report: Some(report),
                usage,
                ..End::default()
            };
            exchange.finish(end).await?;
            Ok(response)
        }
    }
}

/// Tokens by the bytes of the text, where the provider did not count.
pub(crate) fn estimate(input_bytes: usize, output_bytes: usize) -> Usage {
    let tokens = |bytes: usize| budgets::tokens_in(u64::try_from(bytes).unwrap_or(u64::MAX));
    Usage { input: tokens(input_bytes), output: tokens(output_bytes) }
}

/// The upstream's own error: its status where it means the client, and its
/// message once it was inspected like any other text of an answer.
pub(crate) async fn refused_upstream(
    exchange: Exchange,
    mut answer: Answer,
    context: Context,
) -> Result<Response, Failure> {
    let status = answer.status.as_u16();
    let body = answer.read_all(ERROR_BYTES_MAX).await.unwrap_or_default();
    let said = bartizan_core::json::parse(&body, ERROR_BYTES_MAX).ok();
    let said =
        said.as_ref().and_then(|body| body.pointer("/error/message")?.as_str()).unwrap_or("");
    let said = bartizan_core::json::clip(said, ERROR_TEXT_MAX);
    let gateway = &exchange.start.gateway;
    let report = gateway.guard.inspect(
        &gateway.cx,
        &exchange.start.route.profile,
        &context,
        bartizan_guard::Channel::Output,
        said,
    );
    let said = if report.findings.is_empty() { said } else { "(its message was withheld)" };
    let mut failure = refusals::upstream_said(status, said);
    if let Some(seconds) = answer.retry_after() {
        failure = failure.retry_after(seconds);
    }
    let target = answer.target.clone();
    failed(exchange, failure, Some(target)).await
}

/// No answer came, or one that is of no use.
pub(crate) async fn failed(
    exchange: Exchange,
    failure: Failure,
    target: Option<String>,
) -> Result<Response, Failure> {
    let Start { route, subject, .. } = &exchange.start;
    refusals::log(&failure, subject.id, &route.name, target.as_deref());
    let response =
        self::failure(exchange.start.protocol.meta().provider, &failure, exchange.start.subject.id);
    let response = with_verdict(response, exchange.prompt.verdict);
    let end = End { status: failure.status, cut: Some(failure.code), target, ..End::default() };
    exchange.finish(end).await?;
    Ok(response)
}
