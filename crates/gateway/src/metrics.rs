//! Counters and histograms in the Prometheus text format.

use std::time::Duration;

use bartizan_core::{Mode, Verdict};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    protocol: &'static str,
    verdict: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
    mode: &'static str,
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    code: &'static str,
}

/// The gateway's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    findings: Family<RuleLabels, Counter>,
    tokens: Family<RouteLabels, Counter>,
    seconds: Histogram,
    own_seconds: Histogram,
    running: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("bartizan");
        let requests = Family::default();
        registry.register(
            "requests",
            "Requests, by route, protocol, verdict and status",
            requests.clone(),
        );
        let refusals = Family::default();
        registry.register(
            "refusals",
            "Requests refused before a verdict, by code",
            refusals.clone(),
        );
        let findings = Family::default();
        registry.register("findings", "Findings, by rule, mode and direction", findings.clone());
        let tokens = Family::default();
        registry.register("tokens", "Tokens used, by route", tokens.clone());
        let seconds = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        registry.register(
            "request_seconds",
            "From the request's head to the last byte",
            seconds.clone(),
        );
        let own_seconds = Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        registry.register(
            "own_seconds",
            "The gateway's own share before the request goes out",
            own_seconds.clone(),
        );
        let running = Gauge::default();
        registry.register("requests_running", "Requests that run now", running.clone());
        Self { registry, requests, refusals, findings, tokens, seconds, own_seconds, running }
    }
}

impl Metrics {
    pub fn request(
        &self,
        route: &str,
        protocol: &'static str,
        verdict: Verdict,
        status: u16,
        took: Duration,
    ) {
        let labels =
            RequestLabels { route: route.to_owned(), protocol, verdict: verdict.as_str(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub fn refusal(&self, code: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { code }).inc();
    }

    pub fn finding(&self, rule: &str, mode: Mode, direction: &'static str) {
        let labels = RuleLabels { rule: rule.to_owned(), mode: mode.as_str(), direction };
        self.findings.get_or_create(&labels).inc();
    }

    pub fn tokens(&self, route: &str, tokens: u64) {
        self.tokens.get_or_create(&RouteLabels { route: route.to_owned() }).inc_by(tokens);
    }

    pub fn own_share(&self, took: Duration) {
        self.own_seconds.observe(took.as_secs_f64());
    }

    /// Counts a request as running until the guard is dropped.
    pub fn running(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// The Prometheus text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        match encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(_) => "# metrics could not be written\n".to_owned(),
        }
    }
}

/// A request that runs.
#[derive(Debug)]
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown() {
        let metrics = Metrics::default();
        let running = metrics.running();
        metrics.request("chat", "openai-chat", Verdict::Block, 400, Duration::from_millis(3));
        metrics.finding("GD001", Mode::Enforce, "in");
        let text = metrics.render();
        assert!(text.contains(r#"bartizan_requests_total{route="chat",protocol="openai-chat",verdict="block",status="400"} 1"#), "{text}");
        assert!(text.contains("bartizan_requests_running 1"));
        drop(running);
        assert!(metrics.render().contains("bartizan_requests_running 0"));
    }
}
