//! Settings of the gateway. The doc comments become the configuration reference.

use std::{collections::BTreeMap, path::PathBuf};

use bartizan_core::{Mode, Verdict, constants};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::upstream::TargetConfig;

/// The gateway's part of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// The data plane: where applications send their requests.
    pub data: DataConfig,
    /// Routes by name: which models go where, under which rules and limits.
    pub routes: BTreeMap<String, RouteConfig>,
    /// Prices by model name, for limits on cost.
    pub prices: BTreeMap<String, Price>,
    /// Which addresses the gateway may reach.
    pub net: NetConfig,
    /// Where traces go.
    pub telemetry: TelemetryConfig,
}

/// Where traces go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The URL of an OpenTelemetry collector that takes OTLP over HTTP as JSON,
    /// such as `http://127.0.0.1:4318/v1/traces`. Read at the start only.
    pub otlp_url: Option<String>,
}

/// The data plane's listener and what it accepts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The address and port to listen on.
    pub listen: String,
    /// TLS by certificate file; without it the listener speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Networks (CIDR) of proxies whose `x-forwarded-for` header is believed.
    pub trusted_proxies: Vec<String>,
    /// The largest request body, in bytes, after decompression.
    pub body_bytes_max: usize,
    /// The largest answer of an upstream that is read, in bytes.
    pub answer_bytes_max: usize,
    /// The largest head of a request (request line and headers), in bytes.
    pub header_bytes_max: usize,
    /// How long a client may take to send a request's head, in milliseconds.
    pub header_ms_max: u64,
    /// How long a client may take to send a request's body, in milliseconds.
    pub body_ms_max: u64,
    /// How long a client may leave an answer unread, in milliseconds.
    pub stall_ms_max: u64,
    /// How many connections may be open at once.
    pub connections_max: usize,
    /// How long running requests may go on after SIGTERM, in milliseconds.
    pub drain_ms_max: u64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            listen: constants::DATA_LISTEN.to_owned(),
            tls: None,
            trusted_proxies: Vec::new(),
            body_bytes_max: 10 * 1024 * 1024,
            answer_bytes_max: 32 * 1024 * 1024,
            header_bytes_max: 64 * 1024,
            header_ms_max: 10_000,
            body_ms_max: 60_000,
            stall_ms_max: 60_000,
            connections_max: 10_000,
            drain_ms_max: 30_000,
        }
    }
}

/// A certificate and its key. Both files are read again on SIGHUP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// Which addresses the gateway may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    /// Hosts and networks (CIDR) that may be reached although they are private,
    /// loopback or link-local, such as `127.0.0.1` for a model on this machine.
    pub allow: Vec<String>,
    /// A file of further certificate authorities (PEM) to trust.
    pub ca_file: Option<PathBuf>,
}

/// A route: which models it serves, from where, and under which rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// The model names that take this route; `*` stands for any characters.
    pub models: Vec<String>,
    /// Where requests go.
    pub targets: Vec<TargetConfig>,
    /// What rules may do here, by code; a rule that is not named does as shipped.
    pub rules: BTreeMap<String, RuleConfig>,
    /// What the gateway cannot see and lets through all the same, marked as not
    /// inspected: `file_id`, `previous_response_id`, `fetched_url`, `provider_tool`, `batch`,
    /// `token_ids`.
    pub allow_opaque: Vec<String>,
    /// Marks planted in system prompts: an answer that contains one is a leak.
    pub canaries: Vec<String>,
    /// Hosts to which links and images in answers may point.
    pub link_hosts: Vec<String>,
    /// The header that names the end user; where it is absent, the body's own field does.
    pub end_user_header: Option<String>,
    /// Limits of each key on this route.
    pub per_key: LimitConfig,
    /// Limits of each end user on this route.
    pub per_end_user: LimitConfig,
    /// How long a request that is held may be approved and retried, in seconds.
    pub hold_s: u64,
    /// Whether the text of prompts and answers is kept (encrypted, under retention).
    pub keep_text: bool,
    /// Further paths of the provider that are passed on uninspected, such as `/v1/audio/speech`.
    pub pass_paths: Vec<String>,
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            targets: Vec::new(),
            rules: BTreeMap::new(),
            allow_opaque: Vec::new(),
            canaries: Vec::new(),
            link_hosts: Vec::new(),
            end_user_header: None,
            per_key: LimitConfig::default(),
            per_end_user: LimitConfig::default(),
            hold_s: 3600,
            keep_text: true,
            pass_paths: Vec::new(),
        }
    }
}

/// What one rule may do on a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// `enforce`, `monitor` or `off`.
    #[schemars(with = "Option<String>")]
    pub mode: Option<Mode>,
    /// `allow`, `annotate`, `redact`, `hold` or `block`.
    #[schemars(with = "Option<String>")]
    pub action: Option<Verdict>,
}

/// How much may be used within a window of time. What is absent is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// The length of the window, in seconds; 60 when it is 0.
    pub window_s: u64,
    /// Requests in a window.
    pub requests: Option<u64>,
    /// Tokens (prompt and answer) in a window.
    pub tokens: Option<u64>,
    /// Cost in a window, in millionths of the price table's currency.
    pub cost_micros: Option<u64>,
}

/// What a model costs, in millionths of a currency unit per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Millionths per million tokens of the prompt: 2.50 a million is 2500000.
    pub input_micros: u64,
    /// Millionths per million tokens of the answer.
    pub output_micros: u64,
}

impl Price {
    /// What so many tokens cost, in millionths, rounded up.
    pub fn of(self, input: u64, output: u64) -> u64 {
        let product = u128::from(input) * u128::from(self.input_micros)
            + u128::from(output) * u128::from(self.output_micros);
        u64::try_from(product.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_up_to_the_next_millionth() {
        let price = Price { input_micros: 2_500_000, output_micros: 10_000_000 };
        assert_eq!(price.of(1_000_000, 0), 2_500_000);
        assert_eq!(price.of(1, 1), 13);
        assert_eq!(Price::default().of(u64::MAX, u64::MAX), 0);
        assert_eq!(Price { input_micros: u64::MAX, output_micros: 1 }.of(u64::MAX, 0), u64::MAX);
    }
}
