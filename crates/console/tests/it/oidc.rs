//! Sign-in through a provider: one that is made by hand, so that it can lie.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use bartizan_console::{OidcConfig, PeopleConfig};
use bartizan_core::Tenant;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    house::{Answer, House},
    people::Browser,
};

/// What the provider does and says.
struct Says {
    issuer: String,
    key: (String, Ed25519KeyPair),
    /// Claims to change in the next tokens; `null` takes one away.
    changes: Value,
    /// What is told on asking.
    userinfo: Value,
    /// What it was sent for a code.
    exchanged: Vec<Value>,
    keys_read: usize,
    challenge: String,
    now: i64,
}

type Shared = Arc<Mutex<Says>>;

fn key(id: &str) -> (String, Ed25519KeyPair) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    (id.to_owned(), Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn discovery(State(says): State<Shared>) -> Json<Value> {
    let issuer = says.lock().unwrap().issuer.clone();
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/me"),
        "jwks_uri": format!("{issuer}/jwks"),
    }))
}

async fn jwks(State(says): State<Shared>) -> Json<Value> {
    let mut says = says.lock().unwrap();
    says.keys_read += 1;
    let (id, pair) = &says.key;
    let x = b64(pair.public_key().as_ref());
    Json(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x, "alg": "EdDSA"}]}))
}

async fn token(State(says): State<Shared>, sent: String) -> Json<Value> {
    let pairs = form_urlencoded::parse(sent.as_bytes());
    let sent: Value = pairs
        .map(|(k, v)| (k.into_owned(), v.into_owned().into()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut says = says.lock().unwrap();
    // PKCE: the verifier must be what the challenge was made of.
    let verifier = sent["code_verifier"].as_str().unwrap();
    assert_eq!(b64(digest(&SHA256, verifier.as_bytes()).as_ref()), says.challenge);
    says.exchanged.push(sent.clone());
    // The test hands the nonce over in the code.
    let mut claims = json!({"iss": says.issuer, "aud": "bartizan", "sub": "u-1", "nonce": sent["code"], "iat": says.now, "exp": says.now + 300});
    for (name, value) in says.changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name.as_str()] = value.clone(),
        }
    }
    let header = json!({"alg": "EdDSA", "kid": says.key.0});
    let message =
        format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()));
    let signature = says.key.1.sign(message.as_bytes());
    let id_token = format!("{message}.{}", b64(signature.as_ref()));
    Json(json!({"access_token": "access-1", "token_type": "Bearer", "id_token": id_token}))
}

async fn userinfo(State(says): State<Shared>) -> Json<Value> {
    Json(says.lock().unwrap().userinfo.clone())
}

async fn provider() -> (Shared, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let says = Arc::new(Mutex::new(Says {
        issuer: issuer.clone(),
        key: key("one"),
        changes: json!({"groups": ["soc"], "preferred_username": "Grace"}),
        userinfo: json!({"sub": "u-1"}),
        exchanged: Vec::new(),
        keys_read: 0,
        challenge: String::new(),
        now: 0,
    }));
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/token", post(token))
        .route("/me", get(userinfo))
        .with_state(says.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (says, issuer)
}

async fn house(issuer: &str) -> House {
    let roles = [("sec", "administrator"), ("soc", "analyst")];
    let roles = roles.map(|(group, role)| (group.to_owned(), role.parse().unwrap()));
    let oidc = OidcConfig {
        issuer: issuer.to_owned(),
        client_id: "bartizan".to_owned(),
        label: "Example".to_owned(),
        roles: roles.into_iter().collect(),
        ..OidcConfig::default()
    };
    House::with("", PeopleConfig { oidc: Some(oidc), ..PeopleConfig::default() }).await
}

/// Goes to the provider; gives the state and the nonce that it was sent with.
async fn leave(browser: &mut Browser<'_>, says: &Shared) -> (String, String) {
    let answer = browser.get("/sign-in/oidc?to=/traffic").await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let place = answer.headers["location"].to_str().unwrap().to_owned();
    let (path, query) = place.split_once('?').unwrap();
    let mut says = says.lock().unwrap();
    assert_eq!(path, format!("{}/auth", says.issuer));
    let sent: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (k.into(), v.into())).collect();
    let get = |name: &str| {
        let found = sent.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name} in {place}")).1.clone()
    };
    assert_eq!(
        (get("response_type"), get("client_id"), get("code_challenge_method")),
        ("code".into(), "bartizan".into(), "S256".into())
    );
    assert_eq!(
        (get("redirect_uri"), get("scope")),
        ("http://console.test/sign-in/oidc/callback".into(), "openid profile email".into())
    );
    says.challenge = get("code_challenge");
    says.now = browser.house.cx.now().millis() / 1000;
    (get("state"), get("nonce"))
}

async fn back(browser: &mut Browser<'_>, state: &str, code: &str) -> Answer {
    // It comes from the provider's page.
    browser.site = Some("cross-site");
    let answer = browser.get(&format!("/sign-in/oidc/callback?state={state}&code={code}")).await;
    browser.site = Some("same-origin");
    answer
}

async fn sign_in(browser: &mut Browser<'_>, says: &Shared) -> Answer {
    let (state, nonce) = leave(browser, says).await;
    back(browser, &state, &nonce).await
}

/// Entries of the ledger. They are written in order: where the last is there, all are.
async fn refusals(house: &House) -> String {
    let gateway = &house.admin.gateway;
    gateway.record(&Tenant::default(), "test", "admin.test", "now", &[]).await.unwrap();
    let entries = house.admin.gateway.ledger.entries(0, 1000).unwrap();
    format!("{entries:?}")
}

#[tokio::test]
async fn the_provider_s_word_makes_an_account_with_the_role_of_its_groups() {
    let (says, issuer) = provider().await;
    let house = house(&issuer).await;
    let mut browser = Browser::new(&house);
    assert!(browser.get("/sign-in").await.body.contains("Continue with Example"));
    let answer = sign_in(&mut browser, &says).await;
    assert_eq!(
        (answer.status, answer.headers["location"].to_str().unwrap()),
        (303, "/traffic"),
        "{}",
        answer.body
    );
    let me = browser.api("GET", "/api/v1/account", None).await.ok();
    assert_eq!(
        (&me["name"], &me["role"], &me["origin"]),
        (&json!("grace"), &json!("analyst"), &json!("oidc"))
    );
    let exchanged = says.lock().unwrap().exchanged[0].clone();
    assert_eq!(exchanged["client_id"], "bartizan");
    assert_eq!(exchanged["redirect_uri"], "http://console.test/sign-in/oidc/callback");

    // The groups change, and what is only told on asking counts, too.
    let before = Browser { cookies: browser.cookies.clone(), ..Browser::new(&house) };
    says.lock().unwrap().changes = json!({"preferred_username": "Grace"});
    says.lock().unwrap().userinfo = json!({"sub": "u-1", "groups": ["soc", "sec"]});
    let mut other = Browser::new(&house);
    assert_eq!(sign_in(&mut other, &says).await.status, 303);
    let again = other.api("GET", "/api/v1/account", None).await.ok();
    assert_eq!((&again["id"], &again["role"]), (&me["id"], &json!("administrator")));
    let mut before = before;
    assert_eq!(before.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
    // Of the provider, not of ours: no password, no link.
    let id = me["id"].as_str().unwrap();
    let link = house.post(&format!("/api/v1/people/{id}/recover"), &json!({})).await;
    assert_eq!(link.refused().0, 400, "{}", link.body);
    let role = house.post(&format!("/api/v1/people/{id}/role"), &json!({"role": "auditor"})).await;
    assert_eq!(role.refused().0, 400);
    house.post(&format!("/api/v1/people/{id}/disable"), &json!({})).await.ok();
    assert_eq!(sign_in(&mut other, &says).await.status, 403);
}

#[tokio::test]
async fn hostile_answers_are_refused_and_recorded() {
    let (says, issuer) = provider().await;
    let house = house(&issuer).await;
    let good = says.lock().unwrap().changes.clone();
    let now = house.cx.now().millis() / 1000;
    for (address, (changes, code)) in [
        (json!({"nonce": "another"}), "oidc_nonce"),
        (json!({"aud": "another"}), "oidc_audience"),
        (json!({"iss": "https://evil.example"}), "oidc_issuer"),
        (json!({"exp": now - 3600}), "oidc_expired"),
        (json!({"iat": now + 3600}), "oidc_expired"),
        (json!({"sub": null}), "oidc_subject"),
        (json!({"sub": "u-2"}), "oidc_subject"),
        (json!({"groups": ["nobody"]}), "oidc_role"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut all = good.clone();
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        if changes["sub"] == "u-2" {
            all.as_object_mut().unwrap().remove("groups");
        }
        says.lock().unwrap().changes = all;
        let mut browser = Browser {
            address: [192, 0, 2, u8::try_from(address).unwrap()],
            ..Browser::new(&house)
        };
        let answer = sign_in(&mut browser, &says).await;
        assert!([401, 403].contains(&answer.status), "{changes}: {}", answer.status);
        assert!(answer.body.contains("role=\"alert\"") && browser.session().is_none(), "{changes}");
        assert!(refusals(&house).await.contains(code), "{code} is not on record");
    }
    assert_eq!(house.get("/api/v1/people").await.ok(), json!([]), "nobody was made");
    // Signed by another under the same name.
    says.lock().unwrap().changes = good;
    let mut browser = Browser::new(&house);
    let (state, nonce) = leave(&mut browser, &says).await;
    says.lock().unwrap().key = key("one");
    assert_eq!(back(&mut browser, &state, &nonce).await.status, 401);
    assert!(refusals(&house).await.contains("oidc_signature"));
}

#[tokio::test]
async fn a_sign_in_holds_once_in_the_browser_that_began_it_and_not_for_long() {
    let (says, issuer) = provider().await;
    let house = house(&issuer).await;
    let mut browser = Browser::new(&house);
    let (state, nonce) = leave(&mut browser, &says).await;
    assert_eq!(
        back(&mut Browser::new(&house), &state, &nonce).await.status,
        401,
        "another browser"
    );
    assert_eq!(back(&mut browser, &state, &nonce).await.status, 401, "it was used up by that");
    let (state, nonce) = leave(&mut browser, &says).await;
    let kept = browser.cookies.clone();
    assert_eq!(back(&mut browser, &state, &nonce).await.status, 303);
    let mut replay = Browser { cookies: kept, ..Browser::new(&house) };
    assert_eq!(back(&mut replay, &state, &nonce).await.status, 401, "replayed");
    let (state, nonce) = leave(&mut browser, &says).await;
    house.clock.advance_ms(600_000);
    assert_eq!(back(&mut browser, &state, &nonce).await.status, 401, "too late");
    for query in ["", "?state=x", "?state=x&code=y", &format!("?state={}", "x".repeat(9000))] {
        assert_eq!(
            browser.get(&format!("/sign-in/oidc/callback{query}")).await.status,
            401,
            "{query:.40}"
        );
    }
    let (state, _) = leave(&mut browser, &says).await;
    let denied = browser
        .get(&format!("/sign-in/oidc/callback?state={state}&error=access_denied%3Cscript%3E"))
        .await;
    assert!(
        denied.body.contains("access_denied") && !denied.body.contains("<script"),
        "{}",
        denied.body
    );
    let (state, nonce) = leave(&mut browser, &says).await;
    let mixed = browser
        .get(&format!("/sign-in/oidc/callback?state={state}&code={nonce}&iss=https://evil.example"))
        .await;
    assert_eq!(mixed.status, 401, "another provider's answer");
    assert!(
        refusals(&house).await.contains("oidc_state")
            && refusals(&house).await.contains("oidc_denied")
    );
}

#[tokio::test]
async fn keys_that_changed_are_read_again_and_not_too_often() {
    let (says, issuer) = provider().await;
    let house = house(&issuer).await;
    let mut browser = Browser::new(&house);
    assert_eq!(sign_in(&mut browser, &says).await.status, 303);
    assert_eq!(says.lock().unwrap().keys_read, 1);
    house.clock.advance_ms(60_000);
    says.lock().unwrap().key = key("two");
    assert_eq!(sign_in(&mut browser, &says).await.status, 303);
    assert_eq!(says.lock().unwrap().keys_read, 2);
    says.lock().unwrap().key = key("three");
    assert_eq!(sign_in(&mut browser, &says).await.status, 401, "within 10 seconds");
    assert_eq!(says.lock().unwrap().keys_read, 2);
    house.clock.advance_ms(10_000);
    assert_eq!(sign_in(&mut browser, &says).await.status, 303);
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_leaves_the_password() {
    let house = house("http://127.0.0.1:9").await;
    let mut browser = Browser::new(&house);
    let answer = browser.get("/sign-in/oidc").await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.body.contains("cannot be reached") && answer.body.contains("name=\"password\""),
        "{}",
        answer.body
    );
    let (says, issuer) = provider().await;
    says.lock().unwrap().issuer = "http://127.0.0.1:9/other".to_owned();
    let house = self::house(&issuer).await;
    let answer = Browser::new(&house).get("/sign-in/oidc").await;
    assert!(answer.body.contains("by another name"), "{}", answer.body);
    let none = House::new().await;
    assert_eq!(Browser::new(&none).get("/sign-in/oidc").await.status, 404);
}
