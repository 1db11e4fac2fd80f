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

use crate::{fits, house::House};

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
        assert!(
            shown["request"]["id"].is_string() && shown["request"]["text"].is_object(),
            "{shown}"
        );
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

async fn rest(tour: &mut Tour) {
    tour.get("/api/v1/status", "/api/v1/status").await;
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
