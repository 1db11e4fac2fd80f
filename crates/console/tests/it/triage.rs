//! What people say of findings is on record, counted, and can be taken back.

use bartizan_core::{Id, Tenant};
use bartizan_gateway::decisions::FINDING;
use serde_json::{Value, json};

use crate::house::House;

const PATH: &str = "/api/v1/findings/triage";

impl House {
    /// Puts open findings; their ids.
    async fn findings(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..count {
            self.clock.advance_ms(1);
            let id = Id::new(&self.cx);
            let meta = json!({"code": "GD001", "severity": "high", "state": "open"});
            let meta = meta.as_object().unwrap().clone();
            let text = json!({"evidence": [], "notes": []});
            let (store, tenant) = (&self.admin.gateway.store, Tenant::default());
            store.put(&tenant, &FINDING, id, meta, Some(&text)).await.unwrap();
            ids.push(id.to_string());
        }
        ids
    }

    async fn states(&self) -> Vec<(String, u64)> {
        let facets = self.get("/api/v1/findings/facets?by=state").await.ok();
        let values = facets["facets"][0]["values"].as_array().unwrap();
        let value = |value: &Value| {
            (value["value"].as_str().unwrap().to_owned(), value["records"].as_u64().unwrap())
        };
        values.iter().map(value).collect()
    }

    async fn undo(&self, done: &Value) -> crate::house::Answer {
        let path = format!("{PATH}/{}/undo", done["act"].as_str().unwrap());
        self.post(&path, &json!({})).await
    }
}

fn shown(states: &[(&str, u64)]) -> Vec<(String, u64)> {
    states.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect()
}

#[tokio::test]
async fn many_are_resolved_in_one_act_and_taken_back_in_another() {
    let house = House::new().await;
    let ids = house.findings(60).await;
    let from = house.size();
    let body =
        json!({"ids": ids[..50], "state": "resolved", "assignee": "person:7", "note": "a drill"});
    let done = house.post(PATH, &body).await.ok();
    assert_eq!(done["changed"].as_array().unwrap().len(), 50);
    assert_eq!(done["left"], json!([]));
    assert_eq!(house.states().await, shown(&[("resolved", 50), ("open", 10)]));
    let theirs =
        house.get("/api/v1/findings?assignee=person:7&state=resolved&limit=500").await.ok();
    assert_eq!(theirs["records"].as_array().unwrap().len(), 50);
    assert_eq!(theirs["records"][0]["meta"]["triaged_by"], "administrator:token");
    assert!(!theirs.to_string().contains("a drill"), "a note stands in clear");

    let undone = house.undo(&done).await.ok();
    assert_eq!(undone["changed"].as_array().unwrap().len(), 50);
    assert_eq!(house.states().await, shown(&[("open", 60)]));
    let one = house.get(&format!("/api/v1/findings/{}", ids[0])).await.ok();
    assert_eq!((&one["meta"]["assignee"], &one["text"]["notes"]), (&json!(null), &json!([])));

    // An entry for each act, which names every finding, and says nothing of the note.
    let kinds = ["admin.findings.triage", "admin.findings.undo", "admin.finding.read"];
    let recorded = house.recorded(from);
    assert_eq!(recorded.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), kinds);
    let entries = house.admin.gateway.ledger.entries(from, 2).unwrap();
    for (_, entry) in &entries {
        let text = entry.to_string();
        assert!(ids[..50].iter().all(|id| text.contains(id)), "{text}");
        assert!(!text.contains(&ids[50]) && !text.contains("a drill"), "{text}");
    }
    assert_eq!(entries[0].1["body"]["state"], "resolved");
    assert_eq!(house.undo(&done).await.refused(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn what_was_changed_since_is_not_taken_back() {
    let house = House::new().await;
    let ids = house.findings(2).await;
    let first = house.post(PATH, &json!({"ids": ids, "state": "acknowledged"})).await.ok();
    house.post(PATH, &json!({"ids": [ids[0]], "state": "resolved"})).await.ok();
    let undone = house.undo(&first).await.ok();
    assert_eq!(undone["changed"][0]["id"], ids[1].as_str());
    assert_eq!(
        (&undone["left"][0]["id"], &undone["left"][0]["code"]),
        (&json!(ids[0]), &json!("conflict"))
    );
    assert_eq!(house.states().await, shown(&[("open", 1), ("resolved", 1)]));
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_and_what_is_not_there_is_left() {
    let house = House::new().await;
    let ids = house.findings(1).await;
    let nobody = "019b76da-a800-715c-8289-ec2d0a9167ec";
    let both = house.post(PATH, &json!({"ids": [ids[0], nobody], "state": "resolved"})).await.ok();
    assert_eq!(
        (&both["left"][0]["code"], both["changed"].as_array().unwrap().len()),
        (&json!("not_found"), 1)
    );
    let from = house.size();
    let gone = house.post(PATH, &json!({"ids": [nobody], "state": "resolved"})).await;
    assert_eq!(gone.refused(), (404, "not_found".to_owned()));
    assert_eq!(house.recorded(from)[1].0, "admin.failed");
    let from = house.size();
    let many: Vec<String> = (0..501).map(|n| format!("019b76da-a800-715c-8289-{n:012x}")).collect();
    for (body, says) in [
        (json!({"ids": [], "state": "open"}), "expected 1 to 500"),
        (json!({"ids": many, "state": "open"}), "501 findings"),
        (json!({"ids": [ids[0]]}), "nothing is said"),
        (json!({"ids": [ids[0]], "note": " "}), "nothing is said"),
        (json!({"ids": [ids[0]], "state": "closed"}), "unknown variant"),
        (json!({"ids": ["x"], "state": "open"}), "`ids[0]` in the body"),
        (json!({"ids": [ids[0]], "note": "x".repeat(4097)}), "at most 4096"),
        (json!({"ids": [ids[0]], "assignee": "x".repeat(129)}), "at most 128"),
    ] {
        let refused = house.post(PATH, &body).await;
        assert_eq!(refused.refused(), (400, "invalid".to_owned()), "{body}");
        assert!(refused.message().contains(says), "{}", refused.message());
    }
    let (path, body) = (format!("{PATH}?tenant=acme"), json!({"ids": ids, "state": "open"}));
    assert_eq!(house.post(&path, &body).await.refused(), (404, "not_found".to_owned()));
    let kinds: Vec<String> = house.recorded(from).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["admin.findings.triage", "admin.failed"], "only the last was begun");
}

#[tokio::test]
async fn of_two_who_say_something_at_once_one_is_told() {
    let house = House::new().await;
    let ids = house.findings(20).await;
    let say = |state: &str| {
        let (house, body) = (&house, json!({"ids": ids, "state": state}));
        async move { house.post(PATH, &body).await }
    };
    let (a, b) = tokio::join!(say("acknowledged"), say("resolved"));
    let done = |answer: &crate::house::Answer| match answer.status {
        200 => answer.json()["changed"].as_array().unwrap().len(),
        _ => 0,
    };
    // Each is told of every finding whether it was in time for it, and one was.
    for answer in [&a, &b] {
        let left = answer.json()["left"].as_array().map_or(0, Vec::len);
        assert!(answer.status != 200 || done(answer) + left == 20, "{answer:?}");
    }
    assert!((20..=40).contains(&(done(&a) + done(&b))), "{a:?} {b:?}");
    let states = house.states().await;
    assert_eq!(states.iter().map(|(_, count)| count).sum::<u64>(), 20, "{states:?}");
}
