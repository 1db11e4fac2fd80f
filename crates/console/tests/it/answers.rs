//! Every operation's answer is what the document says it is.

use std::{collections::BTreeSet, time::Duration};

use bartizan_console::document;
use bartizan_core::Tenant;
use bartizan_gateway::{
    decisions::{DECISION, FINDING},
    holds::Outcome,
};
use bartizan_ledger::{SigningKey, witness::cosign};
use serde_json::{Value, json};

use crate::{
    fits,
    house::House,
    people::{Browser, PASSWORD},
};

struct Tour {
    house: House,
    document: Value,
    seen: BTreeSet<String>,
}

impl Tour {
    /// Calls an operation, and holds its answer against the document.
    #[track_caller]
    fn fits(&mut self, method: &str, template: &str, answer: &Value) {
        let operation = &self.document["paths"][template][method];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {template} is not in the document");
        fits::check(&self.document, schema, answer, template).unwrap();
        self.seen.insert(operation["operationId"].as_str().unwrap().to_owned());
    }

    async fn get(&mut self, template: &str, path: &str) -> Value {
        let answer = self.house.get(path).await.ok();
        self.fits("get", template, &answer);
        answer
    }

    async fn post(&mut self, template: &str, path: &str, body: &Value) -> Value {
        let answer = self.house.post(path, body).await.ok();
        self.fits("post", template, &answer);
        answer
    }
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let house = House::new().await;
    let mut tour = Tour { house, document: document(), seen: BTreeSet::new() };
    keys(&mut tour).await;
    approvals(&mut tour).await;
    decisions(&mut tour).await;
    ledger(&mut tour).await;
    people(&mut tour).await;
    account(&mut tour).await;
    rest(&mut tour).await;
    let failure = tour.house.get("/api/v1/nothing").await.json();
    let schema = &tour.document["components"]["responses"]["failure"]["content"]["application/json"]
        ["schema"];
    fits::check(&tour.document, schema, &failure, "failure").unwrap();
    let all: BTreeSet<String> = tour.document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    let left: Vec<_> = all.difference(&tour.seen).collect();
    // The export is not JSON but JSON Lines; `acts.rs` reads it.
    assert_eq!(left, ["database.export"]);
}

async fn keys(tour: &mut Tour) {
    let new = json!({"name": "bot", "routes": ["chat"], "expires_at": "2027-01-01T00:00:00Z", "limits": {"requests": 5}});
    let made = tour.post("/api/v1/keys", "/api/v1/keys", &new).await;
    let id = made["key"]["id"].as_str().unwrap().to_owned();
    let rotate = format!("/api/v1/keys/{id}/rotate");
    let rotated = tour.post("/api/v1/keys/{id}/rotate", &rotate, &json!({})).await;
    let revoke = format!("/api/v1/keys/{}/revoke", rotated["key"]["id"].as_str().unwrap());
    tour.post("/api/v1/keys/{id}/revoke", &revoke, &json!({})).await;
    let list = tour.get("/api/v1/keys", "/api/v1/keys").await;
    assert_eq!(list.as_array().unwrap().len(), 2);
}

async fn approvals(tour: &mut Tour) {
    let tenant = Tenant::default();
    let holds = &tour.house.admin.gateway.holds;
    for subject in ["a", "b", "c"] {
        holds.pass(&tenant, subject, "GD001", "key:1", Duration::from_secs(60), ()).await.unwrap();
    }
    let pending = tour.get("/api/v1/approvals", "/api/v1/approvals?state=pending").await;
    for (place, decision) in [(0, "approve"), (1, "deny")] {
        let path = format!("/api/v1/approvals/{}", pending[place]["id"].as_str().unwrap());
        let shown = tour.get("/api/v1/approvals/{id}", &path).await;
        assert_eq!(shown["approval"], pending[place]);
        assert!(shown["request"].is_null(), "what is held here was never a request: {shown}");
        let path = format!("{path}/decision");
        tour.post("/api/v1/approvals/{id}/decision", &path, &json!({"decision": decision})).await;
    }
    let approved = pending[0]["subject"].as_str().unwrap().to_owned();
    let holds = &tour.house.admin.gateway.holds;
    let used = holds.pass(&tenant, &approved, "", "key:1", Duration::from_secs(60), ()).await;
    assert!(matches!(used.unwrap(), Outcome::Released(..)));
    // Pending, approved and used, denied: every state has the described form.
    let all = tour.get("/api/v1/approvals", "/api/v1/approvals").await;
    let states: BTreeSet<&str> =
        all.as_array().unwrap().iter().map(|one| one["state"]["is"].as_str().unwrap()).collect();
    assert_eq!(states, BTreeSet::from(["denied", "pending", "used"]));
}

async fn decisions(tour: &mut Tour) {
    let tenant = Tenant::default();
    let meta = |value: Value| value.as_object().unwrap().clone();
    let mut ids = Vec::new();
    for (i, verdict) in ["allow", "block", "block"].into_iter().enumerate() {
        tour.house.clock.advance_ms(1);
        let id = bartizan_core::Id::new(&tour.house.cx);
        let text = json!({"prompt": format!("words {i}")});
        let store = &tour.house.admin.gateway.store;
        let about = meta(json!({"verdict": verdict, "route": "chat", "rules": ["GD001"]}));
        store.put(&tenant, &DECISION, id, about, Some(&text)).await.unwrap();
        let about = meta(json!({"code": "GD001", "severity": "high", "request": id}));
        let finding = bartizan_core::Id::new(&tour.house.cx);
        store.put(&tenant, &FINDING, finding, about, None).await.unwrap();
        ids.push(id.to_string());
    }
    let blocked = "/api/v1/decisions?verdict=block&limit=1";
    let first = tour.get("/api/v1/decisions", blocked).await;
    assert_eq!(first["records"][0]["id"], ids[2].as_str());
    assert!(!first.to_string().contains("words"), "a list shows no text");
    let next = format!("{blocked}&after={}", first["next"].as_str().unwrap());
    let second = tour.get("/api/v1/decisions", &next).await;
    assert_eq!(second["records"][0]["id"], ids[1].as_str());
    let one = tour.get("/api/v1/decisions/{id}", &format!("/api/v1/decisions/{}", ids[0])).await;
    assert_eq!(one["text"]["prompt"], "words 0");
    let of = format!("/api/v1/findings?request={}", ids[1]);
    let findings = tour.get("/api/v1/findings", &of).await;
    assert_eq!(findings["records"].as_array().unwrap().len(), 1);
    let back = format!("{blocked}&before={}", second["previous"].as_str().unwrap());
    assert_eq!(tour.get("/api/v1/decisions", &back).await["records"], first["records"]);
    counts(tour).await;
    triage(tour, findings["records"][0]["id"].as_str().unwrap()).await;
}

async fn counts(tour: &mut Tour) {
    let path = "/api/v1/decisions/facets";
    let facets = tour.get(path, &format!("{path}?by=verdict,rules&values=1")).await;
    assert_eq!((&facets["records"], &facets["exact"]), (&json!(3), &json!(true)));
    let verdicts = json!({"name": "verdict", "values": [{"value": "block", "records": 2}], "more": true, "exact": true});
    assert_eq!(facets["facets"][0], verdicts);
    let all = tour.get(path, &format!("{path}?verdict=block")).await;
    assert_eq!((&all["records"], all["facets"].as_array().unwrap().len()), (&json!(2), 7));
    let path = "/api/v1/decisions/histogram";
    let histogram = tour.get(path, &format!("{path}?step=5m&by=verdict")).await;
    assert_eq!(histogram["steps"][0]["records"], 3);
    assert_eq!(histogram["steps"][0]["values"][0], json!({"value": "block", "records": 2}));
    let path = "/api/v1/findings/facets";
    let findings = tour.get(path, &format!("{path}?code=GD001&by=severity")).await;
    assert_eq!(findings["facets"][0]["values"][0], json!({"value": "high", "records": 3}));
    let path = "/api/v1/findings/histogram";
    assert_eq!(tour.get(path, path).await["records"], 3);
    refusals(tour).await;
    for (path, says) in [
        ("/api/v1/decisions/facets?by=colour", "`colour` is no facet of decision"),
        ("/api/v1/decisions/facets?values=0", "from 1 to 500 values"),
        ("/api/v1/decisions/facets?step=1h", "unknown field"),
        ("/api/v1/decisions/histogram?step=1w", "unknown variant"),
        ("/api/v1/decisions?after=a&before=b", "choose one"),
    ] {
        let refused = tour.house.get(path).await;
        assert_eq!(refused.refused(), (400, "invalid".to_owned()), "{path}");
        assert!(refused.message().contains(says), "{}", refused.message());
    }
}

async fn refusals(tour: &mut Tour) {
    let gateway = &tour.house.admin.gateway;
    for _ in 0..3 {
        gateway.count_refusal("192.0.2.7", "unknown_key");
    }
    gateway.write_refusals(true).await;
    let path = "/api/v1/refusals";
    let list = tour.get(path, &format!("{path}?caller=192.0.2.7&code=unknown_key")).await;
    let meta = &list["records"][0]["meta"];
    assert_eq!((list["records"].as_array().unwrap().len(), &meta["count"]), (1, &json!(3)));
    let path = "/api/v1/refusals/facets";
    let facets = tour.get(path, &format!("{path}?by=code&code=unknown_key")).await;
    assert_eq!(facets["facets"][0]["values"][0]["value"], "unknown_key");
    let path = "/api/v1/refusals/histogram";
    assert!(tour.get(path, path).await["records"].as_u64() > Some(0));
}

async fn triage(tour: &mut Tour, id: &str) {
    let path = "/api/v1/findings/triage";
    let said =
        json!({"ids": [id], "state": "acknowledged", "assignee": "person:1", "note": "mine"});
    let done = tour.post(path, path, &said).await;
    assert_eq!(done["changed"][0]["state"], "acknowledged");
    let one = tour.get("/api/v1/findings/{id}", &format!("/api/v1/findings/{id}")).await;
    assert_eq!(one["text"]["notes"][0]["text"], "mine");
    let undo = format!("{path}/{}/undo", done["act"].as_str().unwrap());
    let undone = tour.post("/api/v1/findings/triage/{id}/undo", &undo, &json!({})).await;
    assert_eq!(undone["changed"][0]["assignee"], json!(null));
}

async fn ledger(tour: &mut Tour) {
    let head = tour.get("/api/v1/ledger/head", "/api/v1/ledger/head").await;
    let size = head["size"].as_u64().unwrap();
    let mut from = 0;
    let mut seen = 0;
    loop {
        let path = format!("/api/v1/ledger/entries?from={from}&limit=3");
        let page = tour.get("/api/v1/ledger/entries", &path).await;
        seen += page["entries"].as_array().unwrap().len() as u64;
        let Some(next) = page["next"].as_u64() else { break };
        from = next;
    }
    assert_eq!(seen, size);
    tour.get("/api/v1/ledger/entries/{index}/proof", "/api/v1/ledger/entries/0/proof").await;
    tour.get("/api/v1/ledger/consistency", "/api/v1/ledger/consistency?old=1").await;
    let witness = SigningKey::generate("test.example/witness", &tour.house.cx).unwrap();
    let gateway = &tour.house.admin.gateway;
    let (note, log) = (gateway.ledger.checkpoint(), gateway.ledger.verifier());
    let (_, line) = cosign(&note, &log, None, &[], &witness, 1_767_225_600).unwrap();
    let cosigned =
        json!({"checkpoint": note + &line, "witnesses": [witness.cosigner().to_string()]});
    let path = "/api/v1/ledger/cosignatures";
    let taken = tour.post(path, path, &cosigned).await;
    assert!(taken["checkpoint"].as_str().unwrap().contains("test.example/witness"), "{taken}");
    let stale = tour.house.post(path, &cosigned).await;
    assert_eq!(stale.refused().0, 400, "the head has moved on: {}", stale.body);
    let path = "/api/v1/ledger/key/rotate";
    let rotated = tour.post(path, path, &json!({})).await;
    assert_eq!(tour.get("/api/v1/ledger/head", "/api/v1/ledger/head").await["key"], rotated["key"]);
}

async fn people(tour: &mut Tour) {
    let new = json!({"name": "bob", "role": "analyst"});
    let made = tour.post("/api/v1/people", "/api/v1/people", &new).await;
    let id = made["person"]["id"].as_str().unwrap().to_owned();
    for (act, body) in [
        ("role", json!({"role": "operator"})),
        ("disable", json!({})),
        ("enable", json!({})),
        ("recover", json!({})),
        ("sessions/end", json!({})),
    ] {
        let path = format!("/api/v1/people/{id}/{act}");
        tour.post(&format!("/api/v1/people/{{id}}/{act}"), &path, &body).await;
    }
    tour.get("/api/v1/people", "/api/v1/people").await;
}

/// By the cookie of a session: the administrator's token has no account.
async fn account(tour: &mut Tour) {
    let house = &tour.house;
    let id = house.get("/api/v1/people").await.ok()[0]["id"].as_str().unwrap().to_owned();
    let link = house.post(&format!("/api/v1/people/{id}/recover"), &json!({})).await.ok();
    let mut browser = Browser::new(house);
    browser.accept(link["link"].as_str().unwrap(), "bob").await;
    let cookies = browser.cookies.clone();
    let sessions =
        tour.get("/api/v1/people/{id}/sessions", &format!("/api/v1/people/{id}/sessions")).await;
    let asks =
        async |tour: &mut Tour, method: &str, template: &str, path: &str, body: Option<&Value>| {
            let mut browser = Browser { cookies: cookies.clone(), ..Browser::new(&tour.house) };
            let answer = browser.api(method, path, body).await.ok();
            tour.fits(&method.to_lowercase(), template, &answer);
            answer
        };
    asks(tour, "GET", "/api/v1/account", "/api/v1/account", None).await;
    let path = "/api/v1/account/preferences";
    asks(tour, "POST", path, path, Some(&json!({"scheme": "dark", "density": "compact"}))).await;
    let path = "/api/v1/account/tokens";
    let new = json!({"name": "t", "scopes": ["keys:read"], "expires_at": "2027-01-01T00:00:00Z"});
    let made = asks(tour, "POST", path, path, Some(&new)).await;
    asks(tour, "GET", path, path, None).await;
    let revoke = format!("/api/v1/account/tokens/{}/revoke", made["token"]["id"].as_str().unwrap());
    asks(tour, "POST", "/api/v1/account/tokens/{id}/revoke", &revoke, None).await;
    let path = "/api/v1/account/filters";
    let new = json!({"page": "traffic", "name": "blocked", "query": "verdict=block"});
    let made = asks(tour, "POST", path, path, Some(&new)).await;
    asks(tour, "GET", path, path, None).await;
    let delete = format!("{path}/{}/delete", made["id"].as_str().unwrap());
    asks(tour, "POST", "/api/v1/account/filters/{id}/delete", &delete, None).await;
    let path = "/api/v1/account/sessions";
    asks(tour, "GET", path, path, None).await;
    let path = "/api/v1/account/sessions/end";
    asks(tour, "POST", path, path, None).await;
    let own = sessions[0]["id"].as_str().unwrap();
    let mut other = Browser::new(&tour.house);
    other.sign_in("bob", PASSWORD).await;
    let all = other.api("GET", "/api/v1/account/sessions", None).await.ok();
    let this = all.as_array().unwrap().iter().find(|one| one["this"] == true).unwrap();
    let end = format!("/api/v1/account/sessions/{}/end", this["id"].as_str().unwrap());
    asks(tour, "POST", "/api/v1/account/sessions/{id}/end", &end, None).await;
    tour.post("/api/v1/sessions/{id}/end", &format!("/api/v1/sessions/{own}/end"), &json!({}))
        .await;
}

async fn rest(tour: &mut Tour) {
    tour.get("/api/v1/status", "/api/v1/status?check=true").await;
    let routes = tour.get("/api/v1/routes", "/api/v1/routes").await;
    assert_eq!(routes[0]["targets"][0]["condition"], "closed");
    for work in [
        json!({"work": "sweep"}),
        json!({"work": "backup", "to": "copy.db"}),
        json!({"work": "rotate-master-key"}),
        json!({"work": "erase-tenant"}),
    ] {
        tour.post("/api/v1/database", "/api/v1/database?tenant=gone", &work).await;
    }
    tour.post("/api/v1/admin-token", "/api/v1/admin-token", &json!({})).await;
}
