//! What administrators do leaves a trace, and the policies decide what they may.

use std::time::Duration;

use bartizan_core::Tenant;
use bartizan_gateway::holds::Outcome;
use serde_json::{Value, json};

use crate::house::House;

fn kinds(recorded: &[(String, String)]) -> Vec<&str> {
    recorded.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[tokio::test]
async fn a_key_s_life_is_on_record_and_its_secret_is_not() {
    let house = House::new().await;
    let from = house.size();
    let made = house.post("/api/v1/keys", &json!({"name": "bot", "models": ["gpt-*"]})).await.ok();
    let (id, secret) = (made["key"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let rotated = house.post(&format!("/api/v1/keys/{id}/rotate"), &json!({})).await.ok();
    let new = rotated["key"]["id"].as_str().unwrap();
    house.post(&format!("/api/v1/keys/{new}/revoke"), &json!({})).await.ok();
    let recorded = house.recorded(from);
    let expected = [
        ("admin.key.create".to_owned(), "bot".to_owned()),
        ("admin.key.created".to_owned(), format!("key:{id}")),
        ("admin.key.rotate".to_owned(), format!("key:{id}")),
        ("admin.key.created".to_owned(), format!("key:{new}")),
        ("admin.key.revoke".to_owned(), format!("key:{new}")),
    ];
    assert_eq!(recorded, expected);
    let entries = format!("{:?}", house.admin.gateway.ledger.entries(0, 1000).unwrap());
    for hidden in [secret, rotated["secret"].as_str().unwrap(), house.token.as_str()] {
        assert!(!entries.contains(hidden), "a secret is in the ledger");
    }
    assert!(entries.contains("administrator:token"), "{entries}");
}

#[tokio::test]
async fn an_act_that_fails_is_on_record_as_failed() {
    let house = House::new().await;
    let from = house.size();
    let nobody = "019b76da-a800-715c-8289-ec2d0a9167ec";
    let answer = house.post(&format!("/api/v1/keys/{nobody}/revoke"), &json!({})).await;
    assert_eq!(answer.refused(), (404, "not_found".to_owned()));
    let subject = format!("key:{nobody}");
    let expected =
        [("admin.key.revoke".to_owned(), subject.clone()), ("admin.failed".to_owned(), subject)];
    assert_eq!(house.recorded(from), expected);
}

#[tokio::test]
async fn looking_leaves_no_trace_but_reading_words_does() {
    let house = House::new().await;
    let from = house.size();
    for path in ["status", "keys", "routes", "approvals", "decisions", "findings", "ledger/head"] {
        house.get(&format!("/api/v1/{path}")).await.ok();
    }
    assert_eq!(house.recorded(from), []);
    house.get("/api/v1/decisions/019b76da-a800-715c-8289-ec2d0a9167ec").await;
    assert_eq!(kinds(&house.recorded(from)), ["admin.decision.read", "admin.failed"]);
}

#[tokio::test]
async fn policies_of_the_operator_bind_the_administrator() {
    let forbid = r#"@id("no-keys") @reason("keys are made by the platform team")
        forbid (principal, action == Action::"manage", resource == Area::"keys");"#;
    let house = House::with_policies(forbid).await;
    let from = house.size();
    let answer = house.post("/api/v1/keys", &json!({"name": "bot"})).await;
    assert_eq!(answer.refused(), (403, "denied".to_owned()));
    assert!(answer.message().contains("platform team"), "{}", answer.message());
    assert_eq!(house.get("/api/v1/keys").await.ok(), json!([]));
    assert_eq!(house.recorded(from), [], "what was not done is not recorded as done");
}

#[tokio::test]
async fn what_waits_is_decided_once_and_the_word_is_on_record() {
    let house = House::new().await;
    let tenant = Tenant::default();
    let hold = Duration::from_secs(60);
    let asked = house.admin.gateway.holds.pass(&tenant, "digest", "GD001", "key:1", hold, ()).await;
    let Outcome::Waiting(id) = asked.unwrap() else { panic!("nobody approved it") };
    let waiting = house.get("/api/v1/approvals?state=pending").await.ok();
    assert_eq!(waiting[0]["id"], id.to_string());
    let from = house.size();
    let path = format!("/api/v1/approvals/{id}/decision");
    let word = json!({"decision": "approve", "why": "a drill"});
    let decided = house.post(&path, &word).await.ok();
    assert_eq!(decided["state"]["by"], "administrator:token");
    let again = house.post(&path, &json!({"decision": "deny"})).await;
    assert_eq!(again.refused(), (409, "conflict".to_owned()));
    let long = house.post(&path, &json!({"decision": "deny", "why": "x".repeat(1001)})).await;
    assert_eq!(long.refused(), (400, "invalid".to_owned()));
    // What was refused is not on record as if it had been decided.
    assert_eq!(kinds(&house.recorded(from)), ["admin.approval.approve"]);
    let (_, entry) = house.admin.gateway.ledger.entries(from, 1).unwrap().remove(0);
    assert_eq!(
        (&entry["body"]["why"], &entry["body"]["of"]),
        (&json!("a drill"), &json!("digest"))
    );
}

#[tokio::test]
async fn tenants_are_apart_and_an_erased_one_is_gone_at_once() {
    let house = House::new().await;
    let made = house.post("/api/v1/keys?tenant=acme", &json!({"name": "bot"})).await.ok();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(house.get("/api/v1/keys").await.ok(), json!([]));
    let keys = &house.admin.gateway.keys;
    assert!(keys.authenticate(Some(secret)).await.unwrap().is_ok());
    let erased = house.post("/api/v1/database?tenant=acme", &json!({"work": "erase-tenant"})).await;
    assert_eq!(erased.ok(), json!({"done": "tenant-erased", "tenant": "acme", "records": 1}));
    assert!(keys.authenticate(Some(secret)).await.unwrap().is_err(), "its key still opens");
    assert_eq!(house.get("/api/v1/keys?tenant=acme").await.ok(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_on_record_and_in_clear_only_when_asked() {
    let house = House::new().await;
    for i in 0..300 {
        house.post("/api/v1/keys", &json!({"name": format!("bot-{i}")})).await.ok();
    }
    let from = house.size();
    let export = house.get("/api/v1/database/export").await;
    assert_eq!(export.headers["content-type"], "application/jsonl");
    let lines: Vec<Value> =
        export.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 300, "{} lines", lines.len());
    let clear = house.get("/api/v1/database/export?clear=true&every_tenant=true").await;
    assert!(clear.body.len() > 64 * 1024, "fits into one piece: {} bytes", clear.body.len());
    assert_eq!(kinds(&house.recorded(from)), ["admin.database.export", "admin.database.export"]);
    let (_, entry) = house.admin.gateway.ledger.entries(from + 1, 1).unwrap().remove(0);
    assert_eq!(entry["body"]["texts"], "clear");
}

#[tokio::test]
async fn the_database_is_kept_while_it_is_in_use() {
    let house = House::new().await;
    let to = "copy.db";
    let done = house.post("/api/v1/database", &json!({"work": "backup", "to": to})).await.ok();
    assert_eq!(done["done"], "backed-up");
    let folder = house.dir.path().join("backups");
    assert_eq!(done["file"], folder.join(to).display().to_string());
    assert!(folder.join(to).is_file());
    std::os::unix::fs::symlink("target", folder.join("link.db")).unwrap();
    let outside = house.dir.path().join("outside.db").display().to_string();
    for (to, says) in [
        (outside.as_str(), "cannot name a backup"),
        ("../copy.db", "cannot name a backup"),
        ("a/b", "cannot name a backup"),
        ("..", "cannot name a backup"),
        ("", "cannot name a backup"),
        ("link.db", "exists already"),
    ] {
        let refused = house.post("/api/v1/database", &json!({"work": "backup", "to": to})).await;
        assert_eq!(refused.refused().0, 400, "{to}: {}", refused.body);
        assert!(refused.message().contains(says), "{to}: {}", refused.message());
    }
    assert!(!folder.join("target").exists() && !std::path::Path::new(&outside).exists());
    let again = house.post("/api/v1/database", &json!({"work": "backup", "to": to})).await;
    assert_eq!(again.refused().0, 400, "a backup is never written over: {}", again.body);
    let before = done["master_key"].clone();
    let done = house.post("/api/v1/database", &json!({"work": "rotate-master-key"})).await.ok();
    assert_ne!(done["master_key"], before);
    house.post("/api/v1/database", &json!({"work": "sweep"})).await.ok();
    assert_eq!(house.get("/api/v1/status?check=true").await.ok()["database"], json!([]));
}
