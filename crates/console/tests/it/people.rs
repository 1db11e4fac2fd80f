//! People: how they get in, what they may, and what is refused.

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Request, header},
};
use bartizan_console::{OidcConfig, People, PeopleConfig, SecondFactor, Setup, Trust};
use bartizan_net::{Client, Settings};
use ring::hmac;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::house::{Answer, House, read};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A browser: it keeps cookies, and sends what browsers send.
pub(crate) struct Browser<'a> {
    pub(crate) house: &'a House,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) address: [u8; 4],
    /// What it says of where a form was, if anything.
    pub(crate) site: Option<&'static str>,
    pub(crate) origin: Option<&'static str>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(house: &'a House) -> Self {
        Self {
            house,
            cookies: Vec::new(),
            address: [192, 0, 2, 1],
            site: Some("same-origin"),
            origin: Some("http://console.test"),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None, &[]).await
    }

    /// Fills a form of a page: its token comes from the page.
    pub(crate) async fn fill(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = csrf(&self.get(page).await);
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        self.post(path, &all).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", path, Some(body), &[]).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        form: Option<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "console.test")
            .header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .header(header::USER_AGENT, "Mozilla/5.0 (a test)");
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        if let Some(site) = self.site {
            request = request.header("sec-fetch-site", site);
        }
        if let (Some(origin), "POST") = (self.origin, method) {
            request = request.header(header::ORIGIN, origin);
        }
        if form.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(form.unwrap_or_default())).unwrap();
        let peer = std::net::SocketAddr::from((self.address, 4711));
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = read(self.house.router(Trust::Token).oneshot(request).await.unwrap()).await;
        for value in answer.headers.get_all(header::SET_COOKIE) {
            self.keep(value.to_str().unwrap());
        }
        answer
    }

    fn keep(&mut self, set: &str) {
        assert!(set.contains("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
        let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
        self.cookies.retain(|(known, _)| known != name);
        if !set.contains("Max-Age=0") {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(crate) fn session(&self) -> Option<String> {
        let found = self.cookies.iter().find(|(name, _)| name == "bartizan_session");
        found.map(|(_, value)| value.clone())
    }

    /// Makes an account by a link, and is signed in by it.
    pub(crate) async fn accept(&mut self, link: &str, name: &str) {
        let path = path(link);
        let secret = path.split("link=").nth(1).unwrap().to_owned();
        let fields = [
            ("link", secret.as_str()),
            ("name", name),
            ("password", PASSWORD),
            ("again", PASSWORD),
        ];
        let answer = self.fill(&path, "/welcome", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert!(self.session().is_some());
    }

    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        self.cookies.retain(|(known, _)| known != "bartizan_session");
        self.fill("/sign-in", "/sign-in", &[("name", name), ("password", password)]).await
    }

    /// Asks the API by the session's cookie.
    pub(crate) async fn api(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = self.session().map(|token| csrf_of(&token)).unwrap_or_default();
        let body = body.map(Value::to_string);
        let headers = [("x-csrf-token", token.as_str()), ("accept", "application/json")];
        self.send_json(method, path, body, &headers).await
    }

    async fn send_json(
        &mut self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut all = headers.to_vec();
        all.push(("content-type", "application/json"));
        let text = body.unwrap_or_default();
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, "console.test");
        for (name, value) in all {
            request = request.header(name, value);
        }
        if let Some(site) = self.site {
            request = request.header("sec-fetch-site", site);
        }
        if let Some(session) = self.session() {
            request = request.header(header::COOKIE, format!("bartizan_session={session}"));
        }
        let request = request.body(Body::from(text)).unwrap();
        read(self.house.router(Trust::Token).oneshot(request).await.unwrap()).await
    }
}

pub(crate) fn path(link: &str) -> String {
    link.strip_prefix("http://console.test").unwrap_or_else(|| panic!("{link}")).to_owned()
}

/// The token of a page's first form.
#[track_caller]
pub(crate) fn csrf(page: &Answer) -> String {
    let rest = page.body.split(r#"name="csrf" value=""#).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no form in {}: {}", page.status, page.body));
    rest.split('"').next().unwrap().to_owned()
}

pub(crate) fn csrf_of(session: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session.as_bytes());
    hmac::sign(&key, b"bartizan csrf").as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// An installation with one administrator, `ada`, and her browser.
pub(crate) async fn first(house: &House) -> Browser<'_> {
    let link = house.admin.first_link().await.unwrap().expect("nobody is there yet");
    let mut browser = Browser::new(house);
    browser.accept(&link, "ada").await;
    browser
}

/// A further person, signed in.
pub(crate) async fn person<'a>(house: &'a House, name: &str, role: &str) -> (Browser<'a>, String) {
    let made = house.post("/api/v1/people", &json!({"name": name, "role": role})).await.ok();
    let mut browser = Browser::new(house);
    browser.accept(made["link"].as_str().unwrap(), "whatever").await;
    (browser, made["person"]["id"].as_str().unwrap().to_owned())
}

fn kinds(house: &House, from: u64) -> Vec<String> {
    house.recorded(from).into_iter().map(|(kind, _)| kind).collect()
}

/// The secret of the second factor that a page shows, and the code for it.
fn code(house: &House, page: &Answer) -> String {
    let uri = page.body.split("otpauth://").nth(1).unwrap();
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    totp(house, secret)
}

pub(crate) fn totp(house: &House, secret: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String =
        secret.chars().map(|c| format!("{:05b}", alphabet.find(c).unwrap())).collect();
    let bits: Vec<char> = bits.chars().collect();
    let bytes: Vec<u8> = bits
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(&byte.iter().collect::<String>(), 2).unwrap())
        .collect();
    let step = house.cx.now().millis() / 30_000;
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes),
        &step.to_be_bytes(),
    );
    let tag = tag.as_ref();
    let offset = usize::from(tag[19] & 15);
    let cut = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", cut % 1_000_000)
}

#[tokio::test]
async fn the_first_account_is_made_by_a_link_that_holds_once() {
    let house = House::new().await;
    let from = house.size();
    let older = house.admin.first_link().await.unwrap().unwrap();
    let link = house.admin.first_link().await.unwrap().unwrap();
    let mut browser = Browser::new(&house);
    assert_eq!(browser.get(&path(&older)).await.status, 404, "a later one voids it");
    browser.accept(&link, " Ada ").await;
    let me = browser.api("GET", "/api/v1/account", None).await.ok();
    assert_eq!((&me["name"], &me["role"]), (&json!("ada"), &json!("administrator")));
    assert_eq!(Browser::new(&house).get(&path(&link)).await.status, 404, "used");
    assert_eq!(house.admin.first_link().await.unwrap(), None);
    let expected = [
        "admin.person.first_link",
        "admin.person.first_link",
        "refused",
        "person.first",
        "person.sign_in",
        "refused",
    ];
    let seen = kinds(&house, from);
    assert_eq!(
        seen.iter()
            .filter(|kind| kind.starts_with("person") || kind.starts_with("admin"))
            .collect::<Vec<_>>(),
        ["admin.person.first_link", "admin.person.first_link", "person.first", "person.sign_in"],
        "{seen:?} {expected:?}"
    );
    let everything = format!("{:?}", house.admin.gateway.ledger.entries(0, 1000).unwrap());
    for hidden in [PASSWORD, link.split("link=").nth(1).unwrap(), &browser.session().unwrap()] {
        assert!(!everything.contains(hidden), "a secret is in the ledger");
    }
}

#[tokio::test]
async fn a_link_expires_and_asks_for_a_password_that_is_one() {
    let house = House::new().await;
    let link = house.admin.first_link().await.unwrap().unwrap();
    let mut browser = Browser::new(&house);
    let page = path(&link);
    let secret = page.split("link=").nth(1).unwrap().to_owned();
    for (name, password, again, says) in [
        ("ada", "short", "short", "12 to 256 characters"),
        ("ada", "password1234", "password1234", "first that are tried"),
        ("ada", PASSWORD, "another horse battery", "not the same"),
        ("a b", PASSWORD, PASSWORD, "cannot name an account"),
    ] {
        let fields =
            [("link", secret.as_str()), ("name", name), ("password", password), ("again", again)];
        let answer = browser.fill(&page, "/welcome", &fields).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains(says), "{says}: {}", answer.body);
        assert!(!answer.body.contains(password), "a password is shown");
    }
    house.clock.advance_ms(24 * 60 * 60 * 1000);
    assert_eq!(browser.get(&page).await.status, 404);
}

#[tokio::test]
async fn a_password_lets_its_person_in_and_nobody_else() {
    let house = House::new().await;
    first(&house).await;
    let mut browser = Browser::new(&house);
    let from = house.size();
    let wrong = browser.sign_in("ada", "another horse battery").await;
    let nobody = browser.sign_in("nobody", "another horse battery").await;
    assert_eq!((wrong.status, nobody.status), (401, 401));
    let plain =
        |answer: &Answer, name: &str| answer.body.replace(&csrf(answer), "").replace(name, "");
    assert_eq!(plain(&wrong, "ada"), plain(&nobody, "nobody"), "the answer tells who exists");
    assert!(browser.session().is_none());
    let right = browser.sign_in("Ada", PASSWORD).await;
    assert_eq!(right.status, 303, "{}", right.body);
    assert!(browser.api("GET", "/api/v1/account", None).await.ok()["signed_in_at"].is_string());
    let seen = kinds(&house, from);
    assert_eq!(seen.len(), 2, "both refusals are one entry: {seen:?}");
    assert_eq!(seen[1], "person.sign_in");
}

#[tokio::test]
async fn trying_again_takes_longer_each_time_for_any_name() {
    let house = House::new().await;
    first(&house).await;
    for name in ["ada", "nobody"] {
        let mut browser = Browser::new(&house);
        for _ in 0..5 {
            assert_eq!(browser.sign_in(name, "another horse battery").await.status, 401);
        }
        let refused = browser.sign_in(name, PASSWORD).await;
        assert_eq!(refused.status, 429, "{name}");
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=64).contains(&wait), "{wait}");
        // The person at another address is not locked out by it.
        let mut elsewhere = Browser { address: [198, 51, 100, 7], ..Browser::new(&house) };
        let other = elsewhere.sign_in(name, PASSWORD).await.status;
        assert_eq!(other, if name == "ada" { 303 } else { 401 });
    }
    house.clock.advance_ms(64_000);
    assert_eq!(Browser::new(&house).sign_in("ada", PASSWORD).await.status, 303);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_holds_once() {
    let house = House::new().await;
    let mut browser = first(&house).await;
    let before = browser.session();
    let page = browser.get("/sign-in/enrol").await;
    assert!(page.body.contains("<svg") && page.body.contains("Not now"), "{}", page.body);
    let wrong = browser.fill("/sign-in/enrol", "/sign-in/enrol", &[("code", "000000")]).await;
    assert_eq!(wrong.status, 400);
    let right = code(&house, &page);
    let done = browser.fill("/sign-in/enrol", "/sign-in/enrol", &[("code", &right)]).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_ne!(browser.session(), before, "the session is another from then on");
    let recovery: Vec<String> = done
        .body
        .split(r#"<li class="secret">"#)
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect();
    assert_eq!(recovery.len(), 10);

    let halfway = browser.sign_in("ada", PASSWORD).await;
    assert!(halfway.headers["location"].to_str().unwrap().starts_with("/sign-in/factor"));
    let stolen = browser.api("GET", "/api/v1/account", None).await;
    assert_eq!(stolen.refused(), (401, "signed_out".to_owned()), "half-way is not in");
    let form = "/sign-in/factor";
    let replayed = browser.fill(form, form, &[("code", &right)]).await;
    assert_eq!(replayed.status, 401, "the code that set it up was used");
    house.clock.advance_ms(30_000);
    let uri = page.body.split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let next = totp(&house, &uri);
    assert_eq!(browser.fill(form, form, &[("code", &next)]).await.status, 303);
    browser.api("GET", "/api/v1/account", None).await.ok();

    let mut other = Browser::new(&house);
    other.sign_in("ada", PASSWORD).await;
    assert_eq!(other.fill(form, form, &[("code", &next)]).await.status, 401, "used by another");
    assert_eq!(other.fill(form, form, &[("code", &recovery[3])]).await.status, 303);
    other.sign_in("ada", PASSWORD).await;
    assert_eq!(other.fill(form, form, &[("code", &recovery[3])]).await.status, 401, "used");
    let entries = format!("{:?}", house.admin.gateway.ledger.entries(0, 1000).unwrap());
    assert!(entries.contains("recovery-code") && !entries.contains(&recovery[3]), "{entries}");
}

#[tokio::test]
async fn a_session_ends_idle_at_its_end_and_when_someone_ends_it() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    const HOUR: i64 = 60 * 60 * 1000;
    house.clock.advance_ms(11 * HOUR);
    ada.api("GET", "/api/v1/account", None).await.ok();
    house.clock.advance_ms(11 * HOUR);
    ada.api("GET", "/api/v1/account", None).await.ok();
    house.clock.advance_ms(12 * HOUR);
    assert_eq!(ada.api("GET", "/api/v1/account", None).await.refused().1, "signed_out", "idle");

    ada.sign_in("ada", PASSWORD).await;
    for _ in 0..16 {
        ada.api("GET", "/api/v1/account", None).await.ok();
        house.clock.advance_ms(10 * HOUR);
    }
    house.clock.advance_ms(8 * HOUR);
    assert_eq!(ada.api("GET", "/api/v1/account", None).await.refused().1, "signed_out", "7 days");

    // Two at once; one ends the other, which was stolen.
    ada.sign_in("ada", PASSWORD).await;
    let mut thief = Browser::new(&house);
    thief.sign_in("ada", PASSWORD).await;
    let sessions = ada.api("GET", "/api/v1/account/sessions", None).await.ok();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["this"] == false).unwrap();
    assert_eq!(
        (&other["address"], &other["browser"]),
        (&json!("192.0.2.1"), &json!("Mozilla/5.0 (a test)"))
    );
    let end = format!("/api/v1/account/sessions/{}/end", other["id"].as_str().unwrap());
    ada.api("POST", &end, None).await.ok();
    assert_eq!(thief.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
    ada.api("GET", "/api/v1/account", None).await.ok();

    // Signed out, the cookie is worth nothing, whoever kept it.
    let kept = ada.session().unwrap();
    let out = ada.post("/sign-out", &[("csrf", &csrf_of(&kept))]).await;
    assert_eq!((out.status, ada.session()), (303, None));
    ada.cookies.push(("bartizan_session".to_owned(), kept));
    assert_eq!(ada.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
}

#[tokio::test]
async fn people_are_configured_anew_while_they_are_signed_in() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let with = |config: PeopleConfig| {
        let client = Client::new(&Settings::default()).unwrap();
        People::new(Setup { config, url: "http://console.test".to_owned(), client })
    };
    assert!(!ada.get("/sign-in").await.body.contains("Example"));
    let oidc = OidcConfig {
        issuer: "https://login.example".to_owned(),
        client_id: "bartizan".to_owned(),
        label: "Example".to_owned(),
        role_default: Some(bartizan_policy::Role::Auditor),
        ..OidcConfig::default()
    };
    // What is wrong is refused, and changes nothing.
    let poor = OidcConfig { client_id: String::new(), ..oidc.clone() };
    let refused = with(PeopleConfig { oidc: Some(poor), ..PeopleConfig::default() });
    assert!(refused.unwrap_err().message.contains("`client_id` is missing"));
    let new = PeopleConfig {
        second_factor: SecondFactor::Required,
        session_idle_s: 60,
        link_s: 30,
        oidc: Some(oidc),
        ..PeopleConfig::default()
    };
    house.admin.set_people(with(new).unwrap());
    let out = Browser::new(&house).get("/sign-in").await;
    assert!(out.body.contains("Example"), "{}", out.body);
    // Who is in stays in, within the new bounds; who comes is asked for a second factor.
    ada.api("GET", "/api/v1/account", None).await.ok();
    let page = ada.get("/account").await;
    assert!(!page.body.contains("/account/factor/drop"), "{}", page.body);
    let mut other = Browser::new(&house);
    other.sign_in("ada", PASSWORD).await;
    assert_eq!(other.get("/account").await.headers["location"], "/sign-in/enrol");
    house.clock.advance_ms(61_000);
    assert_eq!(ada.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
    let made = house.post("/api/v1/people", &json!({"name": "bob", "role": "auditor"})).await.ok();
    house.clock.advance_ms(31_000);
    let late = Browser::new(&house).get(&path(made["link"].as_str().unwrap())).await;
    assert_eq!(late.status, 404, "{}", late.body);
    // Another address: links begin with it, and cookies are bound to it.
    let url = Some("https://bartizan.example".to_owned());
    house.admin.set_people(with(PeopleConfig { url, ..PeopleConfig::default() }).unwrap());
    let made = house.post("/api/v1/people", &json!({"name": "eve", "role": "auditor"})).await.ok();
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with("https://bartizan.example/welcome?link=bzl_"), "{link}");
    let page = Browser::new(&house).send("GET", "/sign-in", None, &[]).await;
    assert!(!page.body.contains("Example") && page.status == 200, "{}", page.body);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_session_or_link_last() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let made = house.post("/api/v1/people", &json!({"name": "bob", "role": "analyst"})).await.ok();
    house.clock.advance_ms(-60_000);
    ada.api("GET", "/api/v1/account", None).await.ok();
    house.clock.advance_ms(-365 * 24 * 60 * 60 * 1000);
    assert_eq!(ada.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
    let link = path(made["link"].as_str().unwrap());
    assert_eq!(Browser::new(&house).get(&link).await.status, 404);
}

#[tokio::test]
async fn what_another_site_sends_is_refused_and_recorded() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let right = csrf_of(&ada.session().unwrap());
    let from = house.size();
    for (what, token, site, origin) in [
        ("no token", None, Some("same-origin"), Some("http://console.test")),
        ("a wrong one", Some("0".repeat(64)), Some("same-origin"), Some("http://console.test")),
        ("an empty one", Some(String::new()), Some("same-origin"), Some("http://console.test")),
        ("another site", Some(right.clone()), Some("cross-site"), Some("http://console.test")),
        ("a neighbour", Some(right.clone()), Some("same-site"), None),
        ("another origin", Some(right.clone()), None, Some("http://evil.test")),
        ("a hidden origin", Some(right.clone()), None, Some("null")),
        (
            "a host that begins alike",
            Some(right.clone()),
            None,
            Some("http://console.test.evil.test"),
        ),
    ] {
        (ada.site, ada.origin) = (site, origin);
        let fields: Vec<(&str, &str)> =
            token.iter().map(|token| ("csrf", token.as_str())).collect();
        let answer = ada.post("/sign-out", &fields).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.body);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    }
    assert_eq!(house.recorded(from).len(), 1, "recorded once a minute");
    // Somebody else's token does not do, nor does that of a session that has ended.
    let (bob, _) = person(&house, "bob", "analyst").await;
    (ada.site, ada.origin) = (None, None);
    let answer = ada.post("/sign-out", &[("csrf", &csrf_of(&bob.session().unwrap()))]).await;
    assert_eq!(answer.status, 403);
    ada.api("GET", "/api/v1/account", None).await.ok();
    assert_eq!(ada.post("/sign-out", &[("csrf", &right)]).await.status, 303);
}

#[tokio::test]
async fn the_api_takes_a_cookie_with_the_token_alone() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let path = "/api/v1/keys";
    let body = json!({"name": "bot"}).to_string();
    let none = ada.send_json("POST", path, Some(body.clone()), &[]).await;
    assert_eq!(none.refused(), (403, "csrf".to_owned()));
    let wrong = ada.send_json("POST", path, Some(body), &[("x-csrf-token", "x")]).await;
    assert_eq!(wrong.refused(), (403, "csrf".to_owned()));
    ada.site = Some("cross-site");
    let read = ada.api("GET", "/api/v1/database/export", None).await;
    assert_eq!(read.refused(), (403, "csrf".to_owned()), "nor may another site make it read");
    ada.site = Some("same-origin");
    ada.api("POST", path, Some(&json!({"name": "bot"}))).await.ok();
}

#[tokio::test]
async fn a_form_of_ten_megabytes_is_refused() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    let csrf = csrf(&browser.get("/sign-in").await);
    let long = "x".repeat(10 << 20);
    let answer =
        browser.post("/sign-in", &[("csrf", &csrf), ("name", "ada"), ("password", &long)]).await;
    assert_eq!(answer.status, 413);
    let many = vec![("a", "b"); 50_000];
    let answer = browser.post("/sign-in", &many).await;
    assert_eq!(answer.status, 403, "the token is not among the first fields");
    let name = "x".repeat(100_000);
    let answer =
        browser.post("/sign-in", &[("csrf", &csrf), ("name", &name), ("password", &name)]).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn roles_bound_what_people_do_and_administrators_change_them() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let (mut eve, id) = person(&house, "eve", "auditor").await;
    eve.api("GET", "/api/v1/people", None).await.ok();
    eve.api("GET", "/api/v1/decisions", None).await.ok();
    for (path, body) in [
        ("/api/v1/keys", json!({"name": "bot"})),
        ("/api/v1/people", json!({"name": "mallory", "role": "administrator"})),
        ("/api/v1/database", json!({"work": "sweep"})),
        ("/api/v1/admin-token", json!({})),
    ] {
        assert_eq!(
            eve.api("POST", path, Some(&body)).await.refused(),
            (403, "denied".to_owned()),
            "{path}"
        );
    }
    assert_eq!(eve.api("GET", "/api/v1/database/export", None).await.refused().0, 403);
    let entries = format!("{:?}", house.admin.gateway.ledger.entries(0, 1000).unwrap());
    assert!(entries.contains("denied"), "what a person may not is on record");
    let own = format!("/api/v1/people/{id}/role");
    assert_eq!(
        eve.api("POST", &own, Some(&json!({"role": "administrator"}))).await.refused().0,
        403
    );

    ada.api("POST", &own, Some(&json!({"role": "operator"}))).await.ok();
    assert_eq!(eve.api("GET", "/api/v1/people", None).await.refused().1, "signed_out", "rotated");
    eve.sign_in("eve", PASSWORD).await;
    eve.api("POST", "/api/v1/keys", Some(&json!({"name": "bot"}))).await.ok();
    // What would make an administrator of an operator.
    for (path, body) in [
        ("/api/v1/admin-token", json!({})),
        ("/api/v1/people", json!({"name": "mallory", "role": "administrator"})),
        ("/api/v1/database", json!({"work": "rotate-master-key"})),
    ] {
        assert_eq!(eve.api("POST", path, Some(&body)).await.refused().0, 403, "{path}");
    }

    let disable = format!("/api/v1/people/{id}/disable");
    ada.api("POST", &disable, None).await.ok();
    assert_eq!(eve.api("GET", "/api/v1/people", None).await.refused().1, "signed_out");
    assert_eq!(eve.sign_in("eve", PASSWORD).await.status, 401);
    ada.api("POST", &format!("/api/v1/people/{id}/enable"), None).await.ok();
    assert_eq!(eve.sign_in("eve", PASSWORD).await.status, 303);

    let me = ada.api("GET", "/api/v1/account", None).await.ok()["id"].as_str().unwrap().to_owned();
    for act in ["disable", "role"] {
        let path = format!("/api/v1/people/{me}/{act}");
        let answer = ada.api("POST", &path, Some(&json!({"role": "auditor"}))).await;
        assert_eq!(answer.refused().0, 400, "{act}: one does not do it to oneself");
    }
    let entries = format!("{:?}", house.admin.gateway.ledger.entries(0, 1000).unwrap());
    assert!(entries.contains(&format!("person:{me}")), "who did it is on record");
}

#[tokio::test]
async fn whose_a_session_or_a_token_is_nobody_else_ends() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let (mut bob, id) = person(&house, "bob", "operator").await;
    let sessions = ada.api("GET", &format!("/api/v1/people/{id}/sessions"), None).await.ok();
    let of_bob = sessions[0]["id"].as_str().unwrap().to_owned();
    let sessions = ada.api("GET", "/api/v1/account/sessions", None).await.ok();
    let of_ada = sessions[0]["id"].as_str().unwrap().to_owned();
    let end = |id: &str| format!("/api/v1/account/sessions/{id}/end");
    assert_eq!(bob.api("POST", &end(&of_ada), None).await.refused().0, 404);
    assert_eq!(
        bob.api("POST", &format!("/api/v1/sessions/{of_ada}/end"), None).await.refused().0,
        403
    );
    let new = json!({"name": "t", "scopes": ["keys:read"], "expires_at": "2026-02-01T00:00:00Z"});
    let made = ada.api("POST", "/api/v1/account/tokens", Some(&new)).await.ok();
    let revoke = format!("/api/v1/account/tokens/{}/revoke", made["token"]["id"].as_str().unwrap());
    assert_eq!(bob.api("POST", &revoke, None).await.refused().0, 404);
    ada.api("POST", &format!("/api/v1/sessions/{of_bob}/end"), None).await.ok();
    assert_eq!(bob.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
    // Accounts are the installation's: another tenant's name changes nothing.
    ada.api("GET", "/api/v1/account?tenant=acme", None).await.ok();
    assert_eq!(
        house
            .post("/api/v1/people/019b76da-a800-715c-8289-ec2d0a9167ec/disable", &json!({}))
            .await
            .refused()
            .0,
        404
    );
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_never_more_than_its_person() {
    let house = House::new().await;
    first(&house).await;
    let (mut bob, id) = person(&house, "bob", "operator").await;
    let new = json!({"name": "nightly", "scopes": ["keys:manage", "people:read", "people:manage"], "expires_at": "2026-02-01T00:00:00Z"});
    let made = bob.api("POST", "/api/v1/account/tokens", Some(&new)).await.ok();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("bzp_"));
    let call = async |method: &str, path: &str, body: &Value| {
        house.call_as(Some(&secret), method, path, &body.to_string()).await
    };
    call("POST", "/api/v1/keys", &json!({"name": "bot"})).await.ok();
    call("GET", "/api/v1/people", &json!({})).await.ok();
    let beyond = call("GET", "/api/v1/decisions", &json!({})).await;
    assert!(beyond.message().contains("scope `decisions:read`"), "{}", beyond.body);
    let more = call("POST", "/api/v1/people", &json!({"name": "eve", "role": "auditor"})).await;
    assert_eq!(more.refused(), (403, "denied".to_owned()), "the person may not");
    let own = bob.api("GET", "/api/v1/account/tokens", None).await.ok();
    assert!(own[0]["used_at"].is_string(), "{own}");
    assert!(!own.to_string().contains(&secret));
    // The person's role falls, and so does what the token may.
    let role = format!("/api/v1/people/{id}/role");
    house.post(&role, &json!({"role": "auditor"})).await.ok();
    assert_eq!(call("POST", "/api/v1/keys", &json!({"name": "bot"})).await.refused().0, 403);
    call("GET", "/api/v1/people", &json!({})).await.ok();
    house.post(&format!("/api/v1/people/{id}/disable"), &json!({})).await.ok();
    assert_eq!(
        call("GET", "/api/v1/people", &json!({})).await.refused(),
        (401, "token_refused".to_owned())
    );
    // Who is let in again makes a new one.
    house.post(&format!("/api/v1/people/{id}/enable"), &json!({})).await.ok();
    assert_eq!(call("GET", "/api/v1/people", &json!({})).await.refused().1, "token_refused");
    bob.sign_in("bob", PASSWORD).await;
    let again =
        json!({"name": "again", "scopes": ["people:read"], "expires_at": "2026-02-01T00:00:00Z"});
    let made = bob.api("POST", "/api/v1/account/tokens", Some(&again)).await.ok();
    let secret = made["secret"].as_str().unwrap().to_owned();
    house.call_as(Some(&secret), "GET", "/api/v1/people", "").await.ok();
    // Revoked at once, and expired to the millisecond.
    let revoke = format!("/api/v1/account/tokens/{}/revoke", made["token"]["id"].as_str().unwrap());
    bob.api("POST", &revoke, None).await.ok();
    let gone = house.call_as(Some(&secret), "GET", "/api/v1/people", "").await;
    assert_eq!(gone.refused().1, "token_refused");
    let soon = house.cx.now().after(std::time::Duration::from_secs(60)).to_string();
    let new = json!({"name": "short", "scopes": ["people:read"], "expires_at": soon});
    let made = bob.api("POST", "/api/v1/account/tokens", Some(&new)).await.ok();
    let secret = made["secret"].as_str().unwrap().to_owned();
    house.call_as(Some(&secret), "GET", "/api/v1/people", "").await.ok();
    house.clock.advance_ms(60_000);
    assert_eq!(house.call_as(Some(&secret), "GET", "/api/v1/people", "").await.refused().0, 401);
    for poor in [
        json!({"name": "t", "scopes": [], "expires_at": "2027-02-01T00:00:00Z"}),
        json!({"name": "t", "scopes": ["everything"], "expires_at": "2027-02-01T00:00:00Z"}),
        json!({"name": "t", "scopes": ["keys:read"], "expires_at": "2020-02-01T00:00:00Z"}),
        json!({"name": "t", "scopes": ["keys:read"]}),
    ] {
        assert_eq!(
            bob.api("POST", "/api/v1/account/tokens", Some(&poor)).await.refused().0,
            400,
            "{poor}"
        );
    }
}

#[tokio::test]
async fn who_is_locked_out_gets_back_in_by_a_link_and_others_out() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let page = ada.get("/sign-in/enrol").await;
    let right = code(&house, &page);
    ada.fill("/sign-in/enrol", "/sign-in/enrol", &[("code", &right)]).await;
    let me = ada.api("GET", "/api/v1/account", None).await.ok();
    assert_eq!(me["second_factor"], true);
    let recover = format!("/api/v1/people/{}/recover", me["id"].as_str().unwrap());
    let link = house.post(&recover, &json!({})).await.ok()["link"].as_str().unwrap().to_owned();
    ada.api("GET", "/api/v1/account", None).await.ok();
    let mut back = Browser::new(&house);
    back.accept(&link, "ada").await;
    assert_eq!(back.api("GET", "/api/v1/account", None).await.ok()["second_factor"], false);
    assert_eq!(ada.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
}

#[tokio::test]
async fn who_gets_back_in_leaves_nobody_else_in() {
    let house = House::new().await;
    first(&house).await;
    let (mut thief, id) = person(&house, "bob", "operator").await;
    let new = json!({"name": "t", "scopes": ["keys:read"], "expires_at": "2027-02-01T00:00:00Z"});
    let mut secrets = Vec::new();
    for _ in 0..3 {
        let made = thief.api("POST", "/api/v1/account/tokens", Some(&new)).await.ok();
        secrets.push(made["secret"].as_str().unwrap().to_owned());
    }
    let all = thief.api("GET", "/api/v1/account/tokens", None).await.ok();
    let gone = all[0]["id"].as_str().unwrap();
    thief.api("POST", &format!("/api/v1/account/tokens/{gone}/revoke"), None).await.ok();
    let recover = format!("/api/v1/people/{id}/recover");
    let old = house.post(&recover, &json!({})).await.ok()["link"].as_str().unwrap().to_owned();
    let link = house.post(&recover, &json!({})).await.ok()["link"].as_str().unwrap().to_owned();
    // Nothing changes until the link is used.
    thief.api("GET", "/api/v1/account", None).await.ok();
    let from = house.size();
    let mut bob = Browser::new(&house);
    let fields = |link: &str| {
        let secret = path(link).split("link=").nth(1).unwrap().to_owned();
        [secret, "bob".to_owned(), "quite another sentence".to_owned()]
    };
    let [secret, name, password] = fields(&link);
    let form =
        [("link", secret.as_str()), ("name", &name), ("password", &password), ("again", &password)];
    assert_eq!(bob.fill(&path(&link), "/welcome", &form).await.status, 303);
    assert_eq!(thief.api("GET", "/api/v1/account", None).await.refused().1, "signed_out");
    for secret in &secrets {
        let answer = house.call_as(Some(secret), "GET", "/api/v1/keys", "").await;
        assert_eq!(answer.refused(), (401, "token_refused".to_owned()));
    }
    assert_eq!(thief.sign_in("bob", PASSWORD).await.status, 401);
    assert_eq!(Browser::new(&house).get(&path(&old)).await.status, 404, "an older link");
    // The ledger says of each what ended it, and of none twice.
    let recorded = house.recorded(from);
    let ended = |kind: &str| recorded.iter().filter(|(found, _)| found == kind).count();
    assert_eq!((ended("person.recover"), ended("person.token.revoke")), (1, 2), "{recorded:?}");
    assert!(!recorded.contains(&("person.token.revoke".to_owned(), format!("token:{gone}"))));
    let entries = format!("{:?}", house.admin.gateway.ledger.entries(from, 10).unwrap());
    assert!(entries.contains("the account was recovered"), "{entries}");
    // An invitation finds nothing to end, and says nothing of it.
    let from = house.size();
    person(&house, "eve", "auditor").await;
    assert!(!kinds(&house, from).contains(&"person.token.revoke".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_while_the_account_is_recovered_is_not_left_in() {
    let house = House::new().await;
    first(&house).await;
    let (_, id) = person(&house, "bob", "operator").await;
    for round in 0..4 {
        let old = if round == 0 { PASSWORD.to_owned() } else { format!("sentence number {round}") };
        let new = format!("sentence number {}", round + 1);
        let link = house.post(&format!("/api/v1/people/{id}/recover"), &json!({})).await.ok();
        let link = path(link["link"].as_str().unwrap());
        let secret = link.split("link=").nth(1).unwrap().to_owned();
        let (mut bob, mut thief) = (Browser::new(&house), Browser::new(&house));
        thief.address = [198, 51, 100, 7];
        let form =
            [("link", secret.as_str()), ("name", "bob"), ("password", &new), ("again", &new)];
        let (back, _) =
            tokio::join!(bob.fill(&link, "/welcome", &form), thief.sign_in("bob", &old));
        assert_eq!(back.status, 303, "{}", back.body);
        bob.api("GET", "/api/v1/account", None).await.ok();
        if thief.session().is_some() {
            assert_eq!(thief.api("GET", "/api/v1/account", None).await.status, 401, "{round}");
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_guard_it() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    for path in [
        "/sign-in",
        "/welcome?link=x",
        "/nowhere",
        "/api/v1/status",
        "/api/v1/openapi.json",
        "/metrics",
    ] {
        let answer = browser.get(path).await;
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(
                answer.headers.get(name).map(|value| value.to_str().unwrap()),
                Some(value),
                "{path} {name}"
            );
        }
        assert!(!answer.body.contains("<script") && !answer.body.contains(" style="), "{path}");
    }
}

#[tokio::test]
async fn what_people_type_is_shown_as_text() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    for name in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{7*7}}",
        "javascript:alert(1)",
    ] {
        let answer = browser.sign_in(name, name).await;
        assert!(
            !answer.body.contains("<script") && !answer.body.contains("<img"),
            "{}",
            answer.body
        );
        let to: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let page = browser.get(&format!("/sign-in?to={to}")).await;
        assert!(page.body.contains(r#"name="to" value="/""#), "{}", page.body);
        let page = browser.get(&format!("/welcome?link={to}")).await;
        assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
    }
}

#[tokio::test]
async fn people_and_accounts_are_kept_on_their_pages() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let away = Browser::new(&house).get("/people?x=1").await;
    assert_eq!(away.headers["location"], "/sign-in?to=%2Fpeople%3Fx%3D1");
    let page = ada.fill("/people", "/people/invite", &[("name", "bob"), ("role", "auditor")]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let link =
        page.body.split(r#"<code class="secret">"#).nth(1).unwrap().split('<').next().unwrap();
    let mut bob = Browser::new(&house);
    bob.accept(&link.replace("&#61;", "=").replace("&amp;", "&"), "bob").await;
    // An auditor reads the page, and changes nothing by it.
    let listed = bob.get("/people").await;
    assert_eq!(listed.status, 200);
    assert!(!listed.body.contains("/people/invite"), "{}", listed.body);
    let own = csrf_of(&bob.session().unwrap());
    let more = [("csrf", own.as_str()), ("name", "eve"), ("role", "administrator")];
    assert_eq!(bob.post("/people/invite", &more).await.status, 403);
    let people = house.get("/api/v1/people").await.ok();
    let id = people.as_array().unwrap().iter().find(|one| one["name"] == "bob").unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let one = format!("/people/{id}");
    let changed = ada.fill(&one, &format!("{one}/role"), &[("role", "analyst")]).await;
    assert_eq!(changed.status, 303, "{}", changed.body);
    assert_eq!(bob.get("/people").await.status, 303, "signed out by it");

    // The own password: the present one is asked for, and every other session ends.
    let mut other = Browser::new(&house);
    other.sign_in("ada", PASSWORD).await;
    let fields = [
        ("old", "wrong horse battery"),
        ("new", "quite another sentence"),
        ("again", "quite another sentence"),
    ];
    assert_eq!(ada.fill("/account", "/account/password", &fields).await.status, 403);
    let fields = [("old", PASSWORD), ("new", "password1234"), ("again", "password1234")];
    assert_eq!(ada.fill("/account", "/account/password", &fields).await.status, 400);
    let before = ada.session();
    let fields =
        [("old", PASSWORD), ("new", "quite another sentence"), ("again", "quite another sentence")];
    assert_eq!(ada.fill("/account", "/account/password", &fields).await.status, 303);
    assert_ne!(ada.session(), before, "rotated");
    assert_eq!(ada.get("/account").await.status, 200);
    assert_eq!(other.get("/account").await.status, 303, "ended");
    assert_eq!(other.sign_in("ada", PASSWORD).await.status, 401);

    // A token, shown once.
    let fields =
        [("name", "nightly"), ("days", "30"), ("scope", "decisions:read"), ("scope", "keys:read")];
    let made = ada.fill("/account", "/account/tokens", &fields).await;
    let secret =
        made.body.split(r#"<code class="secret">"#).nth(1).unwrap().split('<').next().unwrap();
    assert!(secret.starts_with("bzp_"), "{}", made.body);
    house.call_as(Some(secret), "GET", "/api/v1/keys", "").await.ok();
    assert!(!ada.get("/account").await.body.contains(secret));
    // A second factor in place of another needs the password.
    let page = ada.get("/sign-in/enrol").await;
    let right = code(&house, &page);
    assert_eq!(ada.fill("/sign-in/enrol", "/sign-in/enrol", &[("code", &right)]).await.status, 200);
    let page = ada.get("/sign-in/enrol").await;
    let right = code(&house, &page);
    assert_eq!(ada.fill("/sign-in/enrol", "/sign-in/enrol", &[("code", &right)]).await.status, 403);
    let off = ada
        .fill("/account", "/account/factor/drop", &[("password", "quite another sentence")])
        .await;
    assert_eq!(off.status, 303, "{}", off.body);
}
