//! Settings of a target. The doc comments become the configuration reference.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a target expects to be spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenAI, and everything that speaks its protocol (vLLM, Ollama, llama.cpp, most
    /// clouds): the key goes into `authorization: Bearer`.
    #[default]
    OpenAi,
    /// Anthropic: the key goes into `x-api-key`.
    Anthropic,
    /// Azure OpenAI: the key goes into `api-key`.
    Azure,
}

/// One place to which a route's requests can go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TargetConfig {
    /// The address, as an SDK takes it for its base URL, such as
    /// `https://api.openai.com/v1` or `http://127.0.0.1:11434`. One without a path
    /// gets the whole path of the request. Plain HTTP needs the host in `net.allow`.
    pub url: String,
    /// The name in records and metrics; the URL's host when absent.
    pub name: Option<String>,
    /// How it expects the key: `openai`, `anthropic` or `azure`.
    pub provider: Provider,
    /// The environment variable that holds the provider's key.
    pub key_env: Option<String>,
    /// The file that holds the provider's key. Without either none is sent.
    pub key_file: Option<PathBuf>,
    /// The model's name there, when it differs from the one that was asked for.
    pub model: Option<String>,
    /// Further headers to send, such as `openai-organization`. Not for keys.
    pub headers: BTreeMap<String, String>,
    /// Targets of the lowest priority number go first; others when those fail or are full.
    pub priority: u32,
    /// The share of requests among targets of one priority; 0 takes none.
    pub weight: u32,
    /// How many requests may run there at once; 0 sets no bound.
    pub concurrency_max: usize,
    /// How long a request waits for a place when every target is full, in milliseconds.
    pub queue_ms_max: u64,
    /// How often it is tried again, after the other targets, when it cannot be
    /// reached or answers 429, 502, 503, 504 or 529.
    pub retries_max: u32,
    /// Whether to try again also when it broke off or was silent before it began to
    /// answer. It may have worked on the request, and bill for it twice.
    pub retry_unanswered: bool,
    /// How long connecting may take (name, TCP and TLS), in milliseconds.
    pub connect_ms_max: u64,
    /// How long it may take to begin its answer, in milliseconds.
    pub first_byte_ms_max: u64,
    /// How long it may be silent within its answer, in milliseconds.
    pub idle_ms_max: u64,
    /// How long an answer may take as a whole, in milliseconds.
    pub total_ms_max: u64,
    /// After so many failures in a row it is left alone for a while; 0 never does.
    pub breaker_failures: u32,
    /// For how long, in milliseconds. Then one request tries it.
    pub breaker_ms: u64,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: None,
            provider: Provider::OpenAi,
            key_env: None,
            key_file: None,
            model: None,
            headers: BTreeMap::new(),
            priority: 0,
            weight: 1,
            concurrency_max: 0,
            queue_ms_max: 2000,
            retries_max: 1,
            retry_unanswered: false,
            connect_ms_max: 5000,
            first_byte_ms_max: 120_000,
            idle_ms_max: 60_000,
            total_ms_max: 900_000,
            breaker_failures: 5,
            breaker_ms: 10_000,
        }
    }
}
