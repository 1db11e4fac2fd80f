//! One target: its address, its key, its limits, and how it is doing.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bartizan_core::{Cx, Timestamp, json};
use bartizan_net::{Client, Limits};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    breaker::Breaker,
    config::{Provider, TargetConfig},
};

/// LIMIT: the largest answer after unpacking that is read at all, in bytes;
/// `data.answer_bytes_max` bounds what is accepted.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// LIMIT: requests at once, where the configuration sets none.
const CONCURRENCY_MAX: usize = 100_000;
/// LIMIT: a file of a key, in bytes. More is another file.
const KEY_BYTES_MAX: u64 = 16 * 1024;
/// LIMIT: the longest time limit, so that sums of them stay within the clock.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// The longest rest that a target may ask for with `retry-after`.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// Anthropic's API answers only with a version. It changes with breaking changes only.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// Headers that are not the operator's to set: they frame the message, or carry keys.
const HEADERS_KEPT: &[&str] = &[
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// A target in force.
pub(crate) struct Target {
    pub(crate) config: TargetConfig,
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) limits: Limits,
    pub(crate) breaker: Breaker,
    base: Uri,
    headers: HeaderMap,
    places: Arc<Semaphore>,
    /// Until when it asked to be spared, in milliseconds since 1970.
    busy_until: AtomicI64,
}

// The headers carry the provider's key.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Target");
        out.field("name", &self.name).field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

impl Target {
    /// A target as configured, with its key.
    ///
    /// # Errors
    /// Says which setting is wrong.
    pub(crate) fn new(config: &TargetConfig, client: &Client) -> Result<Self, String> {
        let base = base(&config.url)?;
        client.check(&base).map_err(|e| format!("`url`: {e}"))?;
        let authority = base.authority().map(ToString::to_string).unwrap_or_default();
        let millis =
            |millis| Duration::from_millis(millis).clamp(Duration::from_millis(1), TIME_MAX);
        let limits = Limits {
            first_byte: millis(config.first_byte_ms_max),
            idle: millis(config.idle_ms_max),
            total: millis(config.total_ms_max),
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        let places = match config.concurrency_max {
            0 => CONCURRENCY_MAX,
            some => some.min(CONCURRENCY_MAX),
        };
        Ok(Self {
            name: config.name.clone().unwrap_or(authority),
            client: client.connect_within(millis(config.connect_ms_max)),
            limits,
            breaker: Breaker::new(
                config.breaker_failures,
                Duration::from_millis(config.breaker_ms),
            ),
            headers: headers(config)?,
            base,
            places: Arc::new(Semaphore::new(places)),
            busy_until: AtomicI64::new(i64::MIN),
            config: config.clone(),
        })
    }

    /// Where a request for a path of the protocol goes.
    ///
    /// # Errors
    /// When the path makes no URL.
    pub(crate) fn url(&self, path: &str) -> Result<Uri, String> {
        let base = self.base.path().trim_end_matches('/');
        let rest = match path.strip_prefix("/v1/") {
            // An SDK's base URL stands for `/v1`, but for Anthropic's, which has none.
            Some(rest) if base.ends_with("/v1") || (!base.is_empty() && !self.is_anthropic()) => {
                rest
            }
            _ => path.trim_start_matches('/'),
        };
        let mut parts = self.base.clone().into_parts();
        let joined = format!("{base}/{rest}");
        parts.path_and_query = Some(joined.parse().map_err(|_| unfit(path))?);
        Uri::from_parts(parts).map_err(|_| unfit(path))
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// A place for one request, if there is one now.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// A place for one request, once there is one.
    pub(crate) async fn wait_for_place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// How many requests run there.
    pub(crate) fn running(&self) -> usize {
        let places = match self.config.concurrency_max {
            0 => CONCURRENCY_MAX,
            some => some.min(CONCURRENCY_MAX),
        };
        places.saturating_sub(self.places.available_permits())
    }

    /// It asked to be spared for a while.
    pub(crate) fn spare(&self, cx: &Cx, wait: Duration) {
        self.busy_until.store(cx.now().after(wait.min(BUSY_MAX)).millis(), Ordering::Relaxed);
    }

    pub(crate) fn is_spared(&self, now: Timestamp) -> bool {
        let until = Timestamp::from_millis(self.busy_until.load(Ordering::Relaxed));
        // Later than it could ask for: the clock was set back meanwhile.
        now < until && until <= now.after(BUSY_MAX)
    }

    fn is_anthropic(&self) -> bool {
        self.config.provider == Provider::Anthropic
    }
}

fn unfit(path: &str) -> String {
    format!("`{}` makes no URL", json::clip(path, 200))
}

fn base(url: &str) -> Result<Uri, String> {
    let wrong = |problem: &str| format!("`url`: `{}` {problem}", json::clip(url, 200));
    let expected = "is no URL: expected such as `https://api.openai.com/v1`";
    let base: Uri = url.parse().map_err(|_| wrong(expected))?;
    if base.query().is_some() {
        return Err(wrong("has a query, which requests would lose; leave it out"));
    }
    Ok(base)
}

fn headers(config: &TargetConfig) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let agent = concat!("bartizan/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    if config.provider == Provider::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    for (name, value) in &config.headers {
        let lower = name.to_ascii_lowercase();
        if HEADERS_KEPT.contains(&lower.as_str()) {
            let hint = "keys come from `key_env` or `key_file`, the rest is the gateway's to set";
            return Err(format!("`headers`: `{name}` cannot be set here; {hint}"));
        }
        let name = HeaderName::from_bytes(lower.as_bytes())
            .map_err(|_| format!("`headers`: `{name}` is no header name"))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| format!("`headers`: the value of `{name}` is no header value"))?;
        headers.insert(name, value);
    }
    if let Some(key) = key(config)? {
        let (name, value) = credentials(config.provider, &key)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn credentials(provider: Provider, key: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, text) = match provider {
        Provider::OpenAi => (header::AUTHORIZATION, format!("Bearer {key}")),
        Provider::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
        Provider::Azure => (HeaderName::from_static("api-key"), key.to_owned()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the provider's key holds characters that no header can".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The provider's key. No message quotes it.
fn key(config: &TargetConfig) -> Result<Option<String>, String> {
    let text = match (&config.key_env, &config.key_file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err("`key_env` and `key_file` are both set; keep one".to_owned());
        }
        (Some(name), None) => std::env::var(name)
            .map_err(|_| format!("`key_env`: the environment variable `{name}` is not set"))?,
        (None, Some(path)) => read_key(path)?,
    };
    match text.trim() {
        "" => Err("the provider's key is empty; remove the setting if none is needed".to_owned()),
        key => Ok(Some(key.to_owned())),
    }
}

fn read_key(path: &Path) -> Result<String, String> {
    let wrong = |problem: &str| format!("`key_file`: `{}`: {problem}", path.display());
    let size = std::fs::metadata(path).map_err(|e| wrong(&e.to_string()))?.len();
    if size > KEY_BYTES_MAX {
        return Err(wrong(&format!("it has {size} bytes, and a key at most {KEY_BYTES_MAX}")));
    }
    std::fs::read_to_string(path).map_err(|e| wrong(&e.to_string()))
}

#[cfg(test)]
mod tests {
    use bartizan_net::Settings;

    use super::*;

    fn target(config: &TargetConfig) -> Result<Target, String> {
        let settings = Settings { allow: vec!["127.0.0.1".to_owned()], ..Settings::default() };
        Target::new(config, &Client::new(&settings).expect("a client"))
    }

    fn at(url: &str, provider: Provider) -> TargetConfig {
        TargetConfig { url: url.to_owned(), provider, ..TargetConfig::default() }
    }

    #[test]
    fn a_base_url_stands_where_an_sdk_has_it() {
        use Provider::{Anthropic, OpenAi};
        for (base, provider, path, expected) in [
            ("https://api.openai.com", OpenAi, "/v1/models", "https://api.openai.com/v1/models"),
            ("https://api.openai.com/v1", OpenAi, "/v1/models", "https://api.openai.com/v1/models"),
            (
                "https://api.openai.com/v1/",
                OpenAi,
                "/v1/models",
                "https://api.openai.com/v1/models",
            ),
            (
                "https://x.test/beta/openai",
                OpenAi,
                "/v1/models",
                "https://x.test/beta/openai/models",
            ),
            (
                "https://api.anthropic.com",
                Anthropic,
                "/v1/messages",
                "https://api.anthropic.com/v1/messages",
            ),
            (
                "https://x.test/anthropic",
                Anthropic,
                "/v1/messages",
                "https://x.test/anthropic/v1/messages",
            ),
            ("https://x.test/v1", Anthropic, "/v1/messages", "https://x.test/v1/messages"),
            ("http://127.0.0.1:1", OpenAi, "/healthz?a=b", "http://127.0.0.1:1/healthz?a=b"),
        ] {
            let url = target(&at(base, provider)).expect("valid").url(path).expect("a URL");
            assert_eq!(url.to_string(), expected);
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let ok = at("https://x.test", Provider::OpenAi);
        let header = |name: &str| [(name.to_owned(), "v".to_owned())].into();
        for (config, says) in [
            (at("", Provider::OpenAi), "is no URL"),
            (at("x.test/v1", Provider::OpenAi), "is no URL"),
            (at("ftp://x.test", Provider::OpenAi), "neither `https://` nor"),
            (at("http://x.test", Provider::OpenAi), "`net.allow`"),
            (at("https://u:p@x.test", Provider::OpenAi), "credentials"),
            (at("https://x.test?key=1", Provider::OpenAi), "query"),
            (
                TargetConfig { key_env: Some("BARTIZAN_TEST_UNSET".into()), ..ok.clone() },
                "`BARTIZAN_TEST_UNSET` is not set",
            ),
            (
                TargetConfig { key_file: Some("/no/such/file".into()), ..ok.clone() },
                "/no/such/file",
            ),
            (TargetConfig { key_file: Some("/dev/null".into()), ..ok.clone() }, "is empty"),
            (
                TargetConfig {
                    key_env: Some("A".into()),
                    key_file: Some("b".into()),
                    ..ok.clone()
                },
                "keep one",
            ),
            (
                TargetConfig { headers: header("Authorization"), ..ok.clone() },
                "`Authorization` cannot be set here",
            ),
            (TargetConfig { headers: header("a b"), ..ok.clone() }, "no header name"),
        ] {
            let problem = target(&config).expect_err(says);
            assert!(problem.contains(says), "{problem}");
            assert!(!problem.contains("u:p"), "{problem}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_spares_no_target_for_long() {
        let target = target(&at("https://x.test", Provider::OpenAi)).expect("valid");
        let (cx, clock) = bartizan_core::sim::cx(1);
        target.spare(&cx, Duration::from_secs(30));
        assert!(target.is_spared(cx.now()));
        clock.advance_ms(-3_600_000);
        assert!(!target.is_spared(cx.now()));
    }

    #[test]
    fn a_key_is_sent_and_never_shown() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "sk-secret-1\n").expect("written");
        for (provider, name, value) in [
            (Provider::OpenAi, "authorization", "Bearer sk-secret-1"),
            (Provider::Anthropic, "x-api-key", "sk-secret-1"),
            (Provider::Azure, "api-key", "sk-secret-1"),
        ] {
            let config = TargetConfig {
                key_file: Some(file.path().into()),
                ..at("https://x.test", provider)
            };
            let target = target(&config).expect("valid");
            assert_eq!(target.headers().get(name).and_then(|v| v.to_str().ok()), Some(value));
            let shown = format!("{target:?} {:?} {config:?}", target.headers());
            assert!(!shown.contains("sk-secret"), "{shown}");
        }
    }
}
