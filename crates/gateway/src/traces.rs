//! Traces for an OpenTelemetry collector: a span a request, under the semantic
//! conventions for generative AI, sent as OTLP/HTTP JSON.
//!
//! Sources: OpenTelemetry protocol 1.5 (JSON encoding), semantic conventions
//! 1.37 (`gen_ai.*`), W3C Trace Context level 1.

use std::time::Duration;

use bartizan_core::{Cx, Timestamp};
use bartizan_net::{Client, Limits, Request};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Spans that wait to be sent; beyond it they are dropped and counted: telemetry
/// never slows a request.
const QUEUE: usize = 4096;
/// Spans in one message.
const BATCH: usize = 256;
/// How long spans are gathered before they are sent.
const GATHER: Duration = Duration::from_secs(2);

/// A request's place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    trace: [u8; 16],
    parent: Option<[u8; 8]>,
    span: [u8; 8],
}

impl Trace {
    /// Goes on with the caller's trace (`traceparent`), or begins one.
    pub(crate) fn of(cx: &Cx, headers: &HeaderMap) -> Self {
        let span = cx.random();
        let parent =
            headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parse);
        match parent {
            Some((trace, parent)) => Self { trace, parent: Some(parent), span },
            None => Self { trace: cx.random(), parent: None, span },
        }
    }
}

/// Version 00 of the header; all zeros are invalid.
fn parse(value: &str) -> Option<([u8; 16], [u8; 8])> {
    let mut parts = value.split('-');
    let version = parts.next()?;
    let (trace, span) = (parts.next()?, parts.next()?);
    if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|n| *n != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|n| *n != 0)?;
    Some((trace.to_be_bytes(), span.to_be_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is said of a request.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) trace: Trace,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// `chat`, `embeddings` and so on (`gen_ai.operation.name`).
    pub(crate) operation: &'static str,
    /// `openai` or `anthropic` (`gen_ai.provider.name`).
    pub(crate) provider: &'static str,
    pub(crate) model: String,
    pub(crate) status: u16,
    pub(crate) tokens_in: u64,
    pub(crate) tokens_out: u64,
    pub(crate) route: String,
    pub(crate) verdict: &'static str,
    pub(crate) request: String,
}

impl Span {
    /// The OTLP form.
    fn json(&self) -> Value {
        // Kind 2 is a server's span; status 2 is an error.
        const SERVER: u8 = 2;
        const ERROR: u8 = 2;
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let number =
            |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
        let mut attributes = vec![
            text("gen_ai.operation.name", self.operation),
            text("gen_ai.provider.name", self.provider),
            text("gen_ai.request.model", &self.model),
            number("gen_ai.usage.input_tokens", self.tokens_in),
            number("gen_ai.usage.output_tokens", self.tokens_out),
            number("http.response.status_code", u64::from(self.status)),
            text("bartizan.route", &self.route),
            text("bartizan.verdict", self.verdict),
            text("bartizan.request.id", &self.request),
        ];
        if self.status >= 400 {
            attributes.push(text("error.type", &self.status.to_string()));
        }
        let mut span = json!({
            "traceId": hex(&self.trace.trace), "spanId": hex(&self.trace.span),
            "name": format!("{} {}", self.operation, self.model), "kind": SERVER,
            "startTimeUnixNano": nanos(self.start), "endTimeUnixNano": nanos(self.end),
            "attributes": attributes,
            "status": if self.status >= 500 { json!({"code": ERROR}) } else { json!({}) },
        });
        if let (Some(parent), Some(span)) = (self.trace.parent, span.as_object_mut()) {
            span.insert("parentSpanId".to_owned(), hex(&parent).into());
        }
        span
    }
}

fn nanos(at: Timestamp) -> String {
    (i128::from(at.millis()) * 1_000_000).to_string()
}

/// Takes spans and sends them in batches; without a collector it drops them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exporter(Option<mpsc::Sender<Span>>);

impl Exporter {
    /// Sends to a collector's URL, such as `http://127.0.0.1:4318/v1/traces`.
    pub(crate) fn new(url: Option<&Uri>, client: Client) -> Self {
        let Some(url) = url else { return Self(None) };
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(export(receiver, url.clone(), client));
        Self(Some(sender))
    }

    pub(crate) fn send(&self, span: Span) {
        if let Some(sender) = &self.0
            && sender.try_send(span).is_err()
        {
            tracing::debug!("a span was dropped: the collector is slow or away");
        }
    }
}

async fn export(mut spans: mpsc::Receiver<Span>, url: Uri, client: Client) {
    let mut batch = Vec::new();
    while spans.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH {
                let Ok(span) = spans.try_recv() else { break };
                batch.push(span);
            }
        }
        let message = message(&std::mem::take(&mut batch));
        let mut request = Request::new(Method::POST, url.clone());
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Bytes::from(message.to_string());
        request.limits = Limits {
            total: Duration::from_secs(10),
            body_bytes_max: 64 * 1024,
            ..Limits::default()
        };
        match client.send(request).await {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => tracing::warn!(status = %answer.status, "the collector refused spans"),
            Err(error) => tracing::warn!(%error, "spans could not be sent"),
        }
    }
}

fn message(spans: &[Span]) -> Value {
    let spans: Vec<Value> = spans.iter().map(Span::json).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "bartizan"}}]},
        "scopeSpans": [{"scope": {"name": "bartizan-gateway", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
    }]})
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", value.parse().expect("a value"));
        headers
    }

    #[test]
    fn a_callers_trace_goes_on() {
        // The example of the W3C recommendation, section 3.2.
        let (cx, _) = bartizan_core::sim::cx(1);
        let trace = Trace::of(&cx, &headers(PARENT));
        assert_eq!(hex(&trace.trace), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent.map(|parent| hex(&parent)).as_deref(), Some("00f067aa0ba902b7"));
        assert_ne!(hex(&trace.span), "00f067aa0ba902b7");
    }

    #[test]
    fn a_broken_trace_begins_anew() {
        let (cx, _) = bartizan_core::sim::cx(1);
        for bad in [
            "",
            "00-xx-yy-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Trace::of(&cx, &headers(bad)).parent, None, "{bad}");
        }
    }

    #[test]
    fn a_span_has_the_names_of_the_conventions() {
        let (cx, _) = bartizan_core::sim::cx(1);
        let span = Span {
            trace: Trace::of(&cx, &headers(PARENT)),
            start: cx.now(),
            end: cx.now(),
            operation: "chat",
            provider: "openai",
            model: "gpt-4o".into(),
            status: 502,
            tokens_in: 5,
            tokens_out: 7,
            route: "chat".into(),
            verdict: "allow",
            request: "r".into(),
        };
        let json = span.json();
        assert_eq!(json["name"], "chat gpt-4o");
        assert_eq!(json["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!(json["startTimeUnixNano"], "1767225600000000000");
        assert_eq!(json["status"]["code"], 2);
        assert_eq!(
            json["attributes"][3],
            json!({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}})
        );
    }
}
