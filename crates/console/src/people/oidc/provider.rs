//! What the provider is asked: where things are, its keys, and its word for a code.

use std::time::Duration;

use axum::http::{HeaderValue, Method, Uri, header};
use bartizan_core::{Cx, Timestamp, json};
use bartizan_net::{Client, Limits, Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::{
    Refused,
    jwk::{self, Key},
    token::{Expected, Unchecked},
};
use crate::{Failure, config::OidcConfig};

/// LIMIT: an answer of the provider, in bytes. Those of the large ones have 20 KiB.
const ANSWER_BYTES_MAX: u64 = 512 * 1024;
/// How long one exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// How long what the provider says of itself is believed.
const TRUST_MAX: Duration = Duration::from_secs(3600);
/// How often its keys are read at most because of one that is not known: tokens that
/// name keys by chance must not make us a flood.
const KEYS_EVERY: Duration = Duration::from_secs(10);
/// LIMIT: a client's secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4096;

/// A provider that is configured.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(super) config: OidcConfig,
    client: Client,
    secret: Option<Secret>,
    known: Mutex<Option<Known>>,
}

struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the provider said of itself.
#[derive(Clone, Debug)]
struct Known {
    authorization: String,
    token: String,
    userinfo: Option<String>,
    keys_at: String,
    /// Whether the client's secret goes into the body, since the header is not taken.
    secret_in_body: bool,
    keys: Vec<Key>,
    read_at: Timestamp,
    keys_read_at: Timestamp,
}

/// What a code is exchanged with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'a> {
    pub(super) code: &'a str,
    pub(super) verifier: &'a str,
    pub(super) redirect: &'a str,
    pub(super) nonce: &'a str,
}

impl Provider {
    /// A provider of this configuration. It is asked when somebody signs in.
    ///
    /// # Errors
    /// Says what is wrong with the configuration.
    pub(crate) fn new(config: &OidcConfig, client: Client) -> Result<Self, Failure> {
        let wrong = |problem: String| Failure::invalid(format!("`people.oidc`: {problem}"));
        for (key, value) in [("issuer", &config.issuer), ("client_id", &config.client_id)] {
            if value.is_empty() {
                return Err(wrong(format!("`{key}` is missing")));
            }
        }
        let issuer: Uri =
            config.issuer.parse().map_err(|_| wrong("`issuer` is no URL".to_owned()))?;
        client.check(&issuer).map_err(|error| wrong(format!("`issuer`: {error}")))?;
        if issuer.query().is_some() {
            return Err(wrong("`issuer` has a query, which an issuer never has".to_owned()));
        }
        if config.roles.is_empty() && config.role_default.is_none() {
            return Err(wrong(
                "neither `roles` nor `role_default` is set, so nobody could get in".to_owned(),
            ));
        }
        let secret = secret(config).map_err(wrong)?.map(Secret);
        Ok(Self { config: config.clone(), client, secret, known: Mutex::new(None) })
    }

    /// Where browsers are sent.
    pub(super) async fn place(&self, cx: &Cx) -> Result<String, Refused> {
        Ok(self.known(cx).await?.authorization)
    }

    /// The claims of whom the code is for: those of the ID token, and what is only told
    /// on asking.
    pub(super) async fn claims(
        &self,
        cx: &Cx,
        exchange: &Exchange<'_>,
    ) -> Result<Map<String, Value>, Refused> {
        let known = self.known(cx).await?;
        let answer = self.exchange(&known, exchange).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let token = text("id_token").ok_or_else(|| unusable("its answer holds no ID token"))?;
        let unchecked = Unchecked::read(token)?;
        let mut keys = known.keys.clone();
        if unchecked.candidates(&keys).is_empty() {
            // It may have changed its keys since.
            keys = self.fresh_keys(cx).await?;
        }
        let expected = Expected {
            issuer: &self.config.issuer,
            client: &self.config.client_id,
            nonce: exchange.nonce,
            now: cx.now(),
            access: text("access_token"),
        };
        let mut claims = unchecked.check(&keys, &expected)?;
        let (groups, name) = (&self.config.groups_claim, &self.config.name_claim);
        let all = claims.contains_key(groups) && claims.contains_key(name);
        if let (false, Some(place), Some(access)) = (all, &known.userinfo, text("access_token")) {
            self.add_userinfo(&mut claims, place, access).await?;
        }
        Ok(claims)
    }

    async fn exchange(&self, known: &Known, exchange: &Exchange<'_>) -> Result<Value, Refused> {
        self.ask(self.request(known, exchange)?).await
    }

    fn request(&self, known: &Known, exchange: &Exchange<'_>) -> Result<Request, Refused> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("grant_type", "authorization_code")
            .append_pair("code", exchange.code)
            .append_pair("redirect_uri", exchange.redirect)
            .append_pair("code_verifier", exchange.verifier);
        let mut request = Request::new(Method::POST, uri(&known.token)?);
        match &self.secret {
            Some(secret) if !known.secret_in_body => {
                let mut value = basic(&self.config.client_id, &secret.0)?;
                value.set_sensitive(true);
                request.headers.insert(header::AUTHORIZATION, value);
            }
            Some(secret) => {
                body.append_pair("client_id", &self.config.client_id);
                body.append_pair("client_secret", &secret.0);
            }
            None => {
                body.append_pair("client_id", &self.config.client_id);
            }
        }
        request.body = body.finish().into();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(header::CONTENT_TYPE, form);
        Ok(request)
    }

    /// Adds what the provider tells of the person on asking. It may not be of another,
    /// and what the signed token says stands.
    async fn add_userinfo(
        &self,
        claims: &mut Map<String, Value>,
        place: &str,
        access: &str,
    ) -> Result<(), Refused> {
        let mut request = Request::new(Method::GET, uri(place)?);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {access}"))
            .map_err(|_| unusable("its access token cannot be sent"))?;
        bearer.set_sensitive(true);
        request.headers.insert(header::AUTHORIZATION, bearer);
        let Value::Object(told) = self.ask(request).await? else {
            return Err(unusable("what it tells of the person cannot be read"));
        };
        if told.get("sub") != claims.get("sub") {
            return Err(Refused::new(
                "oidc_subject",
                "the provider told of another person than it signed for",
            ));
        }
        for (name, value) in told {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// What is known of the provider, read when it is not or no longer.
    async fn known(&self, cx: &Cx) -> Result<Known, Refused> {
        let mut slot = self.known.lock().await;
        let now = cx.now();
        if let Some(known) = slot.as_ref().filter(|known| fresh(known.read_at, now, TRUST_MAX)) {
            return Ok(known.clone());
        }
        let base = self.config.issuer.trim_end_matches('/');
        let place = format!("{base}/.well-known/openid-configuration");
        let said = self.ask(Request::new(Method::GET, uri(&place)?)).await?;
        if said.get("issuer").and_then(Value::as_str) != Some(self.config.issuer.as_str()) {
            return Err(Refused::new(
                "oidc_issuer",
                "the provider calls itself by another name than `people.oidc.issuer`",
            ));
        }
        let place = |name: &str| {
            let place = said.get(name).and_then(Value::as_str);
            // What began by TLS goes on by TLS.
            place.filter(|place| !base.starts_with("https://") || place.starts_with("https://"))
        };
        let must = |name: &'static str| {
            place(name).map(str::to_owned).ok_or_else(|| unusable(&format!("it names no `{name}`")))
        };
        let methods = said.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let takes = |name: &str| methods.is_some_and(|all| all.iter().any(|one| one == name));
        let keys_at = must("jwks_uri")?;
        let known = Known {
            authorization: must("authorization_endpoint")?,
            token: must("token_endpoint")?,
            userinfo: place("userinfo_endpoint").map(str::to_owned),
            secret_in_body: takes("client_secret_post") && !takes("client_secret_basic"),
            keys: self.keys(&keys_at).await?,
            keys_at,
            read_at: now,
            keys_read_at: now,
        };
        *slot = Some(known.clone());
        Ok(known)
    }

    async fn fresh_keys(&self, cx: &Cx) -> Result<Vec<Key>, Refused> {
        let mut slot = self.known.lock().await;
        let Some(known) = slot.as_mut() else { return Ok(Vec::new()) };
        if !fresh(known.keys_read_at, cx.now(), KEYS_EVERY) {
            known.keys_read_at = cx.now();
            known.keys = self.keys(&known.keys_at).await?;
        }
        Ok(known.keys.clone())
    }

    async fn keys(&self, place: &str) -> Result<Vec<Key>, Refused> {
        let set = self.ask(Request::new(Method::GET, uri(place)?)).await?;
        jwk::keys(&set).ok_or_else(|| unusable("its keys cannot be read"))
    }

    async fn ask(&self, mut request: Request) -> Result<Value, Refused> {
        request.limits = Limits {
            first_byte: EXCHANGE_MAX,
            idle: EXCHANGE_MAX,
            total: EXCHANGE_MAX,
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let failed = |error: bartizan_net::Error| unusable(&error.to_string());
        let answer = self.client.send(request).await.map_err(failed)?;
        let status = answer.status;
        let body = answer.body.all().await.map_err(failed)?;
        let max = usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX);
        let value = json::parse(&body, max).ok();
        if !status.is_success() {
            let error = value.as_ref().and_then(|value| value.get("error")?.as_str());
            let shown: String = json::clip(error.unwrap_or("no reason"), 64)
                .chars()
                .filter(|c| c.is_ascii_graphic() || *c == ' ')
                .collect();
            return Err(unusable(&format!("it answered {status}: {shown}")));
        }
        value.ok_or_else(|| unusable("its answer is not JSON"))
    }
}

/// RFC 6749, section 2.3.1: name and secret are encoded as in a form first.
fn basic(name: &str, secret: &str) -> Result<HeaderValue, Refused> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encode(name), encode(secret)));
    HeaderValue::from_str(&format!("Basic {pair}"))
        .map_err(|_| unusable("the client's secret cannot be sent"))
}

fn fresh(at: Timestamp, now: Timestamp, max: Duration) -> bool {
    at <= now && now < at.after(max)
}

fn uri(text: &str) -> Result<Uri, Refused> {
    text.parse().map_err(|_| unusable("a place that it names is no URL"))
}

fn unusable(problem: &str) -> Refused {
    Refused::new("oidc_provider", format!("the provider cannot be used: {problem}"))
}

fn secret(config: &OidcConfig) -> Result<Option<String>, String> {
    let text = match (&config.client_secret_env, &config.client_secret_file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(
                "`client_secret_env` and `client_secret_file` are both set; keep one".to_owned()
            );
        }
        (Some(name), None) => std::env::var(name).map_err(|_| {
            format!("`client_secret_env`: the environment variable `{name}` is not set")
        })?,
        (None, Some(path)) => {
            let wrong =
                |problem: &str| format!("`client_secret_file`: `{}`: {problem}", path.display());
            let size = std::fs::metadata(path).map_err(|e| wrong(&e.to_string()))?.len();
            if size > SECRET_BYTES_MAX {
                return Err(wrong(&format!(
                    "it has {size} bytes, and a secret at most {SECRET_BYTES_MAX}"
                )));
            }
            std::fs::read_to_string(path).map_err(|e| wrong(&e.to_string()))?
        }
    };
    match text.trim() {
        "" => Err("the client's secret is empty; remove the setting if there is none".to_owned()),
        secret => Ok(Some(secret.to_owned())),
    }
}
