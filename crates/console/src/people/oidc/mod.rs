//! Sign-in through a provider of OpenID Connect: the authorization code flow with PKCE.
//!
//! Sources: OpenID Connect Core 1.0 (sections 3.1.2 and 3.1.3.7) and Discovery 1.0; RFC
//! 7636 (PKCE); RFC 9207 (issuer in the answer); RFC 9700 (best practice).
//!
//! What the provider says is foreign: it is read with limits, and what is not as it must
//! be is refused, counted and recorded by a code of its own. Names are resolved and
//! addresses checked by the room `net`.

mod jwk;
mod provider;
mod token;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use bartizan_core::{Id, Tenant, Timestamp, json};
use bartizan_policy::{Access, Area, Role};
use bartizan_store::{Class, Retention};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use provider::Provider;

use super::{
    CLOCK_APART_MAX,
    account::{self, Account, from_map, to_map},
    codes, enter,
    sessions::{self, Begun, Origin, Stage},
    throttle,
};
use crate::{Admin, Failure, config::OidcConfig, permit::Act};

/// Sign-ins that are under way.
pub(crate) const UNDERWAY: Class =
    Class { name: "oidc-sign-in", facets: &[], counted: &[], retention: Retention::days(1) };
/// How long a person may take at the provider.
const UNDERWAY_MAX: Duration = Duration::from_secs(600);
/// LIMIT: of what the browser brings back, in bytes.
const PARAMETER_BYTES_MAX: usize = 4096;
/// LIMIT: groups of one person that are looked at.
const GROUPS_MAX: usize = 2000;

/// A sign-in that is under way. Whoever removes the record goes on with it.
#[derive(Debug, Serialize, Deserialize)]
struct Underway {
    /// Of the cookie: the browser that comes back must be the one that went.
    browser: String,
    nonce: String,
    /// At which provider: a reload may have brought another.
    #[serde(default)]
    issuer: String,
    to: String,
    made_at: Timestamp,
}

/// What the browser brings back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Back {
    code: String,
    state: String,
    iss: Option<String>,
    error: Option<String>,
}

/// Why the provider's word was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refused {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let status = match refused.code {
            "oidc_provider" => StatusCode::BAD_GATEWAY,
            "oidc_role" | "oidc_disabled" => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        Self::new(status, refused.code, refused.message)
    }
}

/// Where to send the browser, and the cookie that it must bring back.
pub(crate) async fn begin(
    admin: &Admin,
    to: &str,
    from: &Origin,
) -> Result<(String, String), Failure> {
    let provider = provider(admin)?;
    let gateway = &admin.gateway;
    let limits = gateway.store.limits();
    throttle::beginning(&*limits, gateway.cx.now(), &from.address).await?;
    let (state, nonce) = (codes::secret(&gateway.cx, ""), codes::secret(&gateway.cx, ""));
    let (browser, verifier) = (codes::secret(&gateway.cx, ""), codes::secret(&gateway.cx, ""));
    let underway = Underway {
        browser: codes::hash(&browser),
        nonce: nonce.clone(),
        issuer: provider.config.issuer.clone(),
        to: to.to_owned(),
        made_at: gateway.cx.now(),
    };
    let place =
        provider.place(&gateway.cx).await.inspect_err(|refused| count(admin, from, refused))?;
    let sealed = Value::String(verifier.clone());
    let (tenant, id) = (Tenant::default(), id(&state));
    gateway.store.put(&tenant, &UNDERWAY, id, to_map(&underway)?, Some(&sealed)).await?;
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref());
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.config.client_id)
        .append_pair("redirect_uri", &redirect(admin))
        .append_pair("scope", &scopes(&provider.config))
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .finish();
    let joint = if place.contains('?') { '&' } else { '?' };
    Ok((format!("{place}{joint}{query}"), browser))
}

/// Takes the provider's word for who the person is. Gives the session and where to go.
pub(crate) async fn come_back(
    admin: &Admin,
    back: Back,
    browser: Option<&str>,
    from: &Origin,
) -> Result<(Begun, String), Failure> {
    let provider = provider(admin)?;
    let told = tell(admin, &provider, &back, browser).await?;
    let (claims, to) = told.inspect_err(|refused| count(admin, from, refused))?;
    let account = known(admin, &provider, &claims).await?;
    let mut account = account.inspect_err(|refused| count(admin, from, refused))?;
    let begun = enter::open(admin, &mut account, Stage::Full, from, "oidc").await?;
    Ok((begun, to))
}

type Told = Result<(Map<String, Value>, String), Refused>;

async fn tell(
    admin: &Admin,
    provider: &Provider,
    back: &Back,
    browser: Option<&str>,
) -> Result<Told, Failure> {
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    let unknown = || {
        Refused::new(
            "oidc_state",
            "this sign-in was not begun here, took too long, or was used before; begin again",
        )
    };
    if [&back.code, &back.state].iter().any(|text| text.len() > PARAMETER_BYTES_MAX) {
        return Ok(Err(unknown()));
    }
    let (tenant, id) = (Tenant::default(), id(&back.state));
    let Some(record) = store.get(&tenant, &UNDERWAY, id).await? else { return Ok(Err(unknown())) };
    // It holds once, whatever comes of it; and of two at once, for one.
    if !store.delete(&tenant, &UNDERWAY, id).await? {
        return Ok(Err(unknown()));
    }
    let underway: Underway = from_map(record.meta)?;
    let verifier = record.sealed.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    let now = cx.now();
    let in_time = underway.made_at.after(UNDERWAY_MAX) > now
        && underway.made_at <= now.after(CLOCK_APART_MAX);
    let same = codes::same(cx, &codes::hash(browser.unwrap_or_default()), &underway.browser);
    if !in_time || !same || underway.issuer != provider.config.issuer {
        return Ok(Err(unknown()));
    }
    if back.iss.as_ref().is_some_and(|iss| *iss != provider.config.issuer) {
        return Ok(Err(Refused::new(
            "oidc_issuer",
            "the answer is another provider's; nothing of it was used",
        )));
    }
    if let Some(error) = &back.error {
        let shown: String = json::clip(error, 64).chars().filter(char::is_ascii_graphic).collect();
        return Ok(Err(Refused::new(
            "oidc_denied",
            format!("the provider did not let you in: {shown}"),
        )));
    }
    let exchange = provider::Exchange {
        code: &back.code,
        verifier: &verifier,
        redirect: &redirect(admin),
        nonce: &underway.nonce,
    };
    Ok(provider.claims(cx, &exchange).await.map(|claims| (claims, underway.to)))
}

/// The account of these claims: made when the person comes for the first time, and with
/// the role that the groups say now.
async fn known(
    admin: &Admin,
    provider: &Provider,
    claims: &Map<String, Value>,
) -> Result<Result<Account, Refused>, Failure> {
    let (store, config) = (&admin.gateway.store, &provider.config);
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let Some(role) = role(config, claims) else {
        return Ok(Err(Refused::new(
            "oidc_role",
            "you are in none of the groups that have a role here; ask an administrator (`people.oidc.roles`)",
        )));
    };
    let id = Account::oidc_id(&config.issuer, subject);
    let name = name(config, claims, id);
    let found = account::find(store, id).await?;
    let is_new = found.is_none();
    let mut account =
        found.unwrap_or_else(|| Account::oidc(id, &name, role, admin.gateway.cx.now()));
    if !account.is_active() {
        return Ok(Err(Refused::new(
            "oidc_disabled",
            "your account is disabled; ask an administrator",
        )));
    }
    let before = account.facts.role;
    if !is_new && before == role && account.facts.name == name {
        return Ok(Ok(account));
    }
    (account.facts.role, account.facts.name) = (role, name.clone());
    let permit = enter::permit(admin, &account, Access::Read(Area::Account))?;
    let person = account.subject();
    let details =
        [("name", name.as_str()), ("from", before.as_str()), ("to", role.as_str()), ("by", "oidc")];
    let kind = if is_new { "person.join" } else { "person.role" };
    let work = async {
        account.save(store).await?;
        if before != role {
            sessions::end_all(store, id, None).await?;
        }
        Ok::<_, Failure>(account)
    };
    permit.act(admin, Act { kind, subject: &person, details: &details }, work).await.map(Ok)
}

/// The mightiest role of the person's groups.
fn role(config: &OidcConfig, claims: &Map<String, Value>) -> Option<Role> {
    let groups: Vec<&str> = match claims.get(&config.groups_claim) {
        Some(Value::Array(groups)) => {
            groups.iter().take(GROUPS_MAX).filter_map(Value::as_str).collect()
        }
        Some(Value::String(group)) => vec![group],
        _ => Vec::new(),
    };
    let roles = groups.iter().filter_map(|group| config.roles.get(*group).copied());
    roles.min().or(config.role_default)
}

/// A name as accounts have it, from what the provider calls the person.
fn name(config: &OidcConfig, claims: &Map<String, Value>, id: Id) -> String {
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    let said = claim(&config.name_claim).or_else(|| claim("email")).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._@+-".contains(c) { c } else { '-' };
    let text: String = said.trim().chars().take(128).map(plain).collect();
    account::name(text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()))
        .unwrap_or_else(|_| format!("person-{}", json::clip(&id.to_string(), 8)))
}

fn provider(admin: &Admin) -> Result<Arc<Provider>, Failure> {
    let missing =
        || Failure::not_found("no provider is configured (`people.oidc`); sign in with a password");
    admin.people().oidc.clone().ok_or_else(missing)
}

fn redirect(admin: &Admin) -> String {
    format!("{}/sign-in/oidc/callback", admin.people().url)
}

fn scopes(config: &OidcConfig) -> String {
    let mut all = vec!["openid"];
    all.extend(config.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid"));
    all.join(" ")
}

fn count(admin: &Admin, from: &Origin, refused: &Refused) {
    tracing::warn!(
        code = refused.code,
        problem = refused.message,
        "a sign-in through the provider was refused"
    );
    enter::refused(admin, from, refused.code);
}

fn id(state: &str) -> Id {
    codes::id_of("oidc-sign-in", state)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> OidcConfig {
        let roles =
            [("sec", Role::Administrator), ("soc", Role::Analyst), ("audit", Role::Auditor)];
        OidcConfig {
            roles: roles.into_iter().map(|(group, role)| (group.to_owned(), role)).collect(),
            ..OidcConfig::default()
        }
    }

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn the_mightiest_group_counts_and_no_group_is_no_role() {
        let of = |groups: Value| role(&config(), &claims(json!({"groups": groups})));
        assert_eq!(of(json!(["audit", "soc", "x"])), Some(Role::Analyst));
        assert_eq!(of(json!("sec")), Some(Role::Administrator));
        for none in
            [json!([]), json!(["x", "SEC"]), json!({"sec": true}), json!(null), json!([["sec"]])]
        {
            assert_eq!(of(none.clone()), None, "{none}");
        }
        let default = OidcConfig { role_default: Some(Role::Auditor), ..config() };
        assert_eq!(role(&default, &claims(json!({}))), Some(Role::Auditor));
    }

    #[test]
    fn whatever_the_provider_calls_a_person_becomes_a_name() {
        let id = codes::id_of("x", "y");
        let of = |said: &str| name(&config(), &claims(json!({"preferred_username": said})), id);
        assert_eq!(of("Ada Lovelace"), "ada-lovelace");
        assert_eq!(of("ada@example.com"), "ada@example.com");
        for odd in ["", "<script>", "日本", "\u{202e}x", &"a".repeat(500)] {
            let made = of(odd);
            assert!(account::name(&made).is_ok_and(|name| name == made), "{odd}: {made}");
        }
    }
}
