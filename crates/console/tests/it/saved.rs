//! Saved filters: each person's own, found again as links, and nothing but what the pages
//! read of an address.

use serde_json::json;

use crate::{
    house::{Answer, House},
    people::{Browser, csrf_of, first, person},
};

const BLOCKED: &str = "?verdict=block&range=7d";

/// Saves a filter by the form of its page.
async fn save(browser: &mut Browser<'_>, page: &str, name: &str, query: &str) -> Answer {
    let fields = [("page", page), ("name", name), ("query", query)];
    browser.fill(&format!("/{page}"), "/filters", &fields).await
}

/// The filters that a person has, by the API: names and addresses.
async fn saved(browser: &mut Browser<'_>) -> Vec<(String, String)> {
    let all = browser.api("GET", "/api/v1/account/filters", None).await.ok();
    let text = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap().to_owned();
    all.as_array().unwrap().iter().map(|one| (text(one, "name"), text(one, "href"))).collect()
}

async fn id_of(browser: &mut Browser<'_>) -> String {
    let all = browser.api("GET", "/api/v1/account/filters", None).await.ok();
    all[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_filter_is_saved_found_on_its_page_and_by_search_and_deleted() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let from = house.size();
    let kept = save(&mut ada, "traffic", " Blocked of late ", BLOCKED).await;
    assert_eq!(kept.status, 303, "{}", kept.body);
    assert_eq!(kept.headers["location"], "/traffic?verdict=block&range=7d&done=kept");
    save(&mut ada, "findings", "All of GD001", "?state=any&code=GD001&after=x&done=undone").await;
    let href = "/traffic?verdict=block&range=7d".to_owned();
    let code = "/findings?state=any&code=GD001".to_owned();
    let both = [("All of GD001".to_owned(), code), ("Blocked of late".to_owned(), href)];
    assert_eq!(saved(&mut ada).await, both);

    // Each stands on its own page, and is marked where it is what is shown.
    let link = "<a href=\"/traffic?verdict=block&#38;range=7d\"";
    let page = ada.get("/traffic").await;
    assert!(page.body.contains(&format!("{link}>")), "{}", page.body);
    assert!(!page.body.contains("All of GD001"), "{}", page.body);
    let page = ada.get("/traffic?verdict=block&range=7d&done=kept").await;
    assert!(page.body.contains(&format!("{link} aria-current=\"true\">")), "{}", page.body);
    assert!(page.body.contains("The filter is saved"), "{}", page.body);
    assert!(ada.get("/findings").await.body.contains("All of GD001"));

    // The palette asks the same.
    let found = ada.get("/search?form=json&q=blocked%20of").await.ok();
    let hit = json!({"title": "Blocked of late", "hint": "saved filter", "href": "/traffic?verdict=block&range=7d"});
    assert_eq!(found["found"], json!([hit]));

    let all = ada.api("GET", "/api/v1/account/filters", None).await.ok();
    let id = all[1]["id"].as_str().unwrap();
    let path = format!("/filters/{id}/delete");
    let gone = ada.fill("/traffic", &path, &[("back", "/traffic?range=1h&done=kept")]).await;
    assert_eq!(gone.headers["location"], "/traffic?range=1h&done=deleted");
    assert!(!ada.get("/traffic").await.body.contains("Blocked of late"));
    assert_eq!(ada.fill("/traffic", &path, &[]).await.status, 404, "gone");
    let kinds: Vec<String> = house.recorded(from).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["person.filter.save", "person.filter.save", "person.filter.delete"]);
    let entries = format!("{:?}", house.admin.gateway.ledger.entries(from, 10).unwrap());
    assert!(!entries.contains("Blocked of late"), "a name is nobody else's business: {entries}");
}

#[tokio::test]
async fn a_filter_is_its_person_s_own_and_an_auditor_has_some_too() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let (mut eve, _) = person(&house, "eve", "auditor").await;
    assert_eq!(save(&mut ada, "traffic", "of ada", BLOCKED).await.status, 303);
    assert_eq!(save(&mut eve, "traffic", "of eve", "").await.status, 303);
    assert_eq!(saved(&mut eve).await, [("of eve".to_owned(), "/traffic".to_owned())]);
    assert!(!eve.get("/traffic").await.body.contains("of ada"));
    assert_eq!(eve.get("/search?form=json&q=of%20ada").await.ok()["found"], json!([]));
    let id = id_of(&mut ada).await;
    let form = eve.fill("/traffic", &format!("/filters/{id}/delete"), &[]).await;
    assert_eq!(form.status, 404, "{}", form.body);
    let path = format!("/api/v1/account/filters/{id}/delete");
    assert_eq!(eve.api("POST", &path, None).await.refused(), (404, "not_found".to_owned()));
    assert_eq!(saved(&mut ada).await.len(), 1);
    // Of another tenant, she has none, and may name one the same.
    let there = "/api/v1/account/filters?tenant=acme";
    assert_eq!(ada.api("GET", there, None).await.ok(), json!([]));
    let new = json!({"page": "traffic", "name": "of ada", "query": ""});
    ada.api("POST", there, Some(&new)).await.ok();
    assert_eq!(saved(&mut ada).await.len(), 1);
    // Who has no account has no filters.
    assert_eq!(house.get("/api/v1/account/filters").await.refused().0, 400);
}

#[tokio::test]
async fn a_filter_is_not_saved_without_the_token_of_the_form() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let fields = [("page", "traffic"), ("name", "x"), ("query", "")];
    assert_eq!(ada.post("/filters", &fields).await.status, 403);
    let wrong = [("csrf", "00"), ("page", "traffic"), ("name", "x"), ("query", "")];
    assert_eq!(ada.post("/filters", &wrong).await.status, 403);
    save(&mut ada, "traffic", "x", "").await;
    let path = format!("/filters/{}/delete", id_of(&mut ada).await);
    assert_eq!(ada.post(&path, &[]).await.status, 403);
    assert_eq!(ada.get("/filters").await.status, 405);
    ada.site = Some("cross-site");
    let right = csrf_of(&ada.session().unwrap());
    assert_eq!(ada.post(&path, &[("csrf", &right)]).await.status, 403);
    ada.site = Some("same-origin");
    assert_eq!(saved(&mut ada).await.len(), 1);
    let mut nobody = Browser::new(&house);
    assert_eq!(nobody.post("/filters", &fields).await.status, 403);
}

#[tokio::test]
async fn thirty_two_fit_and_a_name_is_taken_once_a_page() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    for n in 0..31 {
        assert_eq!(save(&mut ada, "traffic", &format!("filter {n}"), "").await.status, 303);
    }
    let again = save(&mut ada, "traffic", "filter 0", BLOCKED).await;
    assert_eq!(again.status, 409, "{}", again.body);
    assert_eq!(save(&mut ada, "findings", "filter 0", "").await.status, 303, "of another page");
    let full = save_full(&mut ada).await;
    assert!(full.status == 400 && full.body.contains("32 saved filters"), "{}", full.body);
    for page in ["/traffic", "/findings"] {
        let shown = ada.get(page).await.body;
        assert!(shown.contains("32 are saved: delete one"), "{shown}");
        assert!(!shown.contains("saved-name"), "{shown}");
    }
    let path = format!("/filters/{}/delete", id_of(&mut ada).await);
    assert_eq!(ada.fill("/traffic", &path, &[]).await.headers["location"], "/?done=deleted");
    assert_eq!(save_full(&mut ada).await.status, 303);
}

async fn save_full(browser: &mut Browser<'_>) -> Answer {
    save(browser, "traffic", "one more", "").await
}

#[tokio::test]
async fn of_two_who_take_the_last_place_at_once_no_33rd_is_left() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    for n in 0..31 {
        save(&mut ada, "traffic", &format!("filter {n}"), "").await;
    }
    let twin = || Browser { cookies: ada.cookies.clone(), ..Browser::new(&house) };
    let (mut one, mut two) = (twin(), twin());
    tokio::join!(save(&mut one, "traffic", "a", ""), save(&mut two, "traffic", "b", ""));
    assert!(saved(&mut ada).await.len() <= 32);
}

#[tokio::test]
async fn what_the_page_does_not_read_is_not_saved() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let from = house.size();
    let long = ["model", "key", "route", "rule", "protocol"]
        .map(|name| format!("{name}={}", "x".repeat(512)))
        .join("&");
    let name = "ä".repeat(65);
    for (page, name, query, says) in [
        ("traffic", "x", "?verdikt=block", "takes no `verdikt`"),
        ("traffic", "x", "?state=open", "takes no `state`"),
        ("traffic", "x", "?range=2h", "`range` is `2h`"),
        ("traffic", "x", "?since=now", "expected a time"),
        ("traffic", "x", "#verdict=block", "takes no"),
        ("traffic", "x", "https://evil.example/?x=1", "takes no"),
        ("traffic", "x", long.as_str(), "at most 2048"),
        ("findings", "x", "?range=7d", "takes no `range`"),
        ("findings", "x", "?state=shut", "`state` is `shut`"),
        ("keys", "x", "", "no filter of `keys`"),
        ("../people", "x", "", "no filter of"),
        ("traffic", " ", "", "1 to 64 characters"),
        ("traffic", "a\nb", "", "1 to 64 characters"),
        ("traffic", name.as_str(), "", "1 to 64 characters"),
    ] {
        let fields = [("page", page), ("name", name), ("query", query)];
        let form = ada.fill("/traffic", "/filters", &fields).await;
        assert_eq!(form.status, 400, "{page} {name} {query}");
        let new = json!({"page": page, "name": name, "query": query});
        let refused = ada.api("POST", "/api/v1/account/filters", Some(&new)).await;
        assert_eq!(refused.refused(), (400, "invalid".to_owned()), "{new}");
        assert!(refused.message().contains(says), "{new}: {}", refused.message());
    }
    for absent in [&[("page", "traffic")][..], &[("name", "x")], &[]] {
        assert_eq!(ada.fill("/traffic", "/filters", absent).await.status, 400);
    }
    assert_eq!(saved(&mut ada).await, []);
    assert_eq!(house.recorded(from), [], "what was not begun is not on record");
}

#[tokio::test]
async fn names_and_values_are_shown_as_text() {
    let house = House::new().await;
    let mut ada = first(&house).await;
    let text = "\"><img src=x onerror=alert(1)>";
    let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let kept = save(&mut ada, "traffic", text, &format!("?model={query}")).await;
    assert_eq!(kept.status, 303, "{}", kept.body);
    for path in ["/traffic", "/search?q=img", kept.headers["location"].to_str().unwrap()] {
        let page = ada.get(path).await;
        assert!(page.body.contains("img src"), "{path}: {}", page.body);
        assert!(!page.body.contains("<img"), "{path}: {}", page.body);
    }
}
