//! Assets, with what is known of each.

use std::time::Duration;

use bartizan_core::{Id, Tenant};
use bartizan_gateway::decisions::{DECISION, FINDING};
use serde_json::{Value, json};

use crate::{
    house::House,
    people::{first, person},
};

impl House {
    async fn happened(&self, class: &'static bartizan_store::Class, meta: Value) {
        self.clock.advance_ms(1);
        let (store, tenant) = (&self.admin.gateway.store, Tenant::default());
        let meta = meta.as_object().unwrap().clone();
        store.put(&tenant, class, Id::new(&self.cx), meta, None).await.unwrap();
    }
}

/// The row of an asset: its cells, without markup.
#[track_caller]
fn row(body: &str, id: &str) -> Vec<String> {
    let rest = body.split(&format!("<tr data-id=\"{id}\">")).nth(1);
    let row = rest.unwrap_or_else(|| panic!("no {id} in {body}")).split("</tr>").next().unwrap();
    let text = |cell: &str| {
        let pieces = cell.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, t)| t));
        pieces.collect::<String>().trim().to_owned()
    };
    row.split("<td").skip(1).map(|cell| text(&format!("<td{cell}"))).collect()
}

#[tokio::test]
async fn an_asset_says_how_it_does_and_what_it_did_of_late() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let made = house.post("/api/v1/keys", &json!({"name": "bot"})).await.ok();
    let key = made["key"]["id"].as_str().unwrap().to_owned();
    let decision = |model: &str| json!({"verdict": "allow", "route": "chat", "model": model, "key": key, "target": "one"});
    for _ in 0..3 {
        house.happened(&DECISION, decision("gpt-a")).await;
    }
    house.happened(&FINDING, json!({"code": "GD001", "severity": "high", "route": "chat"})).await;
    let long_ago = house.cx.now();
    house.clock.advance_ms(i64::try_from(Duration::from_secs(50 * 60 * 60).as_millis()).unwrap());
    house.happened(&DECISION, decision("gpt-b")).await;
    house.happened(&FINDING, json!({"code": "GD002", "severity": "low", "route": "chat"})).await;
    ada.sign_in("ada", crate::people::PASSWORD).await;
    let page = ada.get("/assets").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let cells = |id: &str| row(&page.body, id);
    let (then, now) = (long_ago.to_string(), house.cx.now().to_string());
    let seen = |cell: &str, at: &str| assert_eq!(cell.split(' ').next(), at.split('T').next());

    let bot = cells(&format!("application-{key}"));
    assert_eq!(bot[2..4], ["active", "4 requests in all"], "{bot:?}");
    assert_eq!(bot[5..], ["", "1"], "{bot:?}");
    seen(&bot[4], &now);
    let chat = cells("route-chat");
    assert_eq!(chat[2..4], ["takes requests", "4 requests in all; serves *"], "{chat:?}");
    assert_eq!(chat[5..], ["1", "1"], "{chat:?}");
    let old = cells("model-gpt-a");
    assert_eq!((old[2].as_str(), old[6].as_str()), ("quiet", "0"), "{old:?}");
    seen(&old[4], &then);
    let new = cells("model-gpt-b");
    assert_eq!((new[2].as_str(), new[6].as_str()), ("in use", "1"), "{new:?}");

    house.post(&format!("/api/v1/keys/{key}/revoke"), &json!({})).await.ok();
    let page = ada.get("/assets").await;
    assert_eq!(row(&page.body, &format!("application-{key}"))[2], "revoked");
}

#[tokio::test]
async fn who_may_not_read_findings_is_told_no_number_of_them() {
    let forbid = r#"@id("none") forbid (principal is Person, action == Action::"read", resource == Area::"findings");"#;
    let house = House::with_policies(forbid).await;
    let (mut eve, _) = person(&house, "eve", "auditor").await;
    house.happened(&FINDING, json!({"code": "GD001", "severity": "high", "route": "chat"})).await;
    let page = eve.get("/assets").await;
    assert_eq!(row(&page.body, "route-chat")[5], "", "{}", page.body);
}
