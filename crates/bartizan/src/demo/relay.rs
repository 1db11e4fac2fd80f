//! The way to a real model (`--upstream`): a relay on loopback that counts the requests
//! that reach the model, which the model itself would not tell us.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use bartizan_net::{Client, Limits, Settings};

use super::Served;

// LIMIT: what the application sends is a few kilobytes.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A real model on a slow machine takes its time.
const SILENCE_MAX: Duration = Duration::from_secs(120);

#[derive(Clone)]
struct Relay {
    client: Client,
    /// Up to and with `/v1`.
    base_url: String,
    /// The real model's key; empty when it wants none.
    key: String,
    /// What the relay asks for itself.
    expected: String,
    count: Arc<AtomicU64>,
}

/// Relays to the model at `url` with its `key`, for those who bring `expected`.
pub(super) async fn start(
    url: &str,
    key: &str,
    expected: &str,
    count: Arc<AtomicU64>,
) -> anyhow::Result<Served> {
    let base_url = base_url(url);
    let target: Uri = base_url.parse().with_context(|| {
        format!("`{url}` is not a URL: expected one such as `http://127.0.0.1:11434/v1`")
    })?;
    let host = target.host().with_context(|| {
        format!("`{url}` names no host: expected a URL such as `http://127.0.0.1:11434/v1`")
    })?;
    // The operator typed this address: it may be a private one.
    let settings =
        Settings { allow: vec![host.trim_matches(['[', ']']).to_owned()], ..Settings::default() };
    let client = Client::new(&settings).context("cannot make the relay's HTTP client")?;
    client.check(&target).with_context(|| format!("cannot use `{url}`"))?;
    let relay = Relay {
        client,
        base_url,
        key: key.to_owned(),
        expected: format!("Bearer {expected}"),
        count,
    };
    Served::start(Router::new().fallback(pass).with_state(relay))
        .await
        .context("cannot start the relay")
}

/// The base URL as SDKs take it, with its version.
fn base_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let last = url.rsplit('/').next().unwrap_or_default();
    let versioned =
        last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if versioned { url.to_owned() } else { format!("{url}/v1") }
}

async fn pass(State(relay): State<Relay>, request: Request) -> Response {
    if request
        .headers()
        .get(header::AUTHORIZATION)
        .is_none_or(|given| given != relay.expected.as_str())
    {
        return (StatusCode::UNAUTHORIZED, "this relay belongs to a running demonstration\n")
            .into_response();
    }
    relay.count.fetch_add(1, Ordering::SeqCst);
    match forward(&relay, request).await {
        Ok(response) => response,
        Err(error) => {
            (StatusCode::BAD_GATEWAY, format!("the model cannot be reached: {error:#}\n"))
                .into_response()
        }
    }
}

async fn forward(relay: &Relay, request: Request) -> anyhow::Result<Response> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let url: Uri =
        format!("{}{}", relay.base_url, path.strip_prefix("/v1").unwrap_or(path)).parse()?;
    let mut headers = HeaderMap::new();
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    if !relay.key.is_empty() {
        headers.insert(header::AUTHORIZATION, format!("Bearer {}", relay.key).parse()?);
    }
    let limits = Limits { first_byte: SILENCE_MAX, idle: SILENCE_MAX, ..Limits::default() };
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await?;
    let request = bartizan_net::Request {
        headers,
        body,
        limits,
        ..bartizan_net::Request::new(head.method, url)
    };
    Ok(backward(relay.client.send(request).await?))
}

fn backward(answer: bartizan_net::Response) -> Response {
    let kind = answer.headers.get(header::CONTENT_TYPE).cloned();
    let pieces = futures_util::stream::unfold(answer.body, |mut body| async move {
        let piece = body.next().await.transpose()?;
        Some((piece, body))
    });
    let mut response = (answer.status, Body::from_stream(pieces)).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_with_and_without_its_version() {
        for (given, expected) in [
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
            ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1"),
            ("https://h.example/openai/v1", "https://h.example/openai/v1"),
            ("https://h.example/vault", "https://h.example/vault/v1"),
            ("https://h.example/api/v1beta", "https://h.example/api/v1beta"),
        ] {
            assert_eq!(base_url(given), expected);
        }
    }

    #[tokio::test]
    async fn nonsense_is_refused_before_anything_is_played() {
        for url in ["", "ftp://x", "http://", "::"] {
            let error = start(url, "", "x", Arc::default()).await.expect_err("refused");
            assert!(format!("{error:#}").contains('`'), "{url}: {error:#}");
        }
    }
}
