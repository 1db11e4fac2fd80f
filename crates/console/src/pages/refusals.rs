//! Refused: requests that came to no verdict, for a key that is not known, a limit that is used
//! up, a body that cannot be read. Of each kind, one line a minute with how many there were.

use askama::Template;
use axum::{extract::State, http::Uri, routing::get};
use bartizan_core::{Id, Tenant, Timestamp};
use bartizan_gateway::REFUSAL;
use bartizan_policy::Area;
use bartizan_store::{Counting, Cursor, PAGE_RECORDS_MAX, Query, Record};

use super::{Page, Section, keys, traffic};
use crate::{
    Admin, Failure, charts,
    endpoints::Needs,
    facet::{self, Facet, Names},
    frame::{Answer, Frame, page},
    params::Params,
    range::Range,
    record::Meta,
    view,
    visitor::Visitor,
};

/// Lines of a page.
const ROWS: u16 = 50;
/// LIMIT: pages of lines that are added up.
const ADDED_MAX: usize = 8;

pub(super) static PAGE: Page = Page {
    path: "/refusals",
    title: "Refused",
    letter: Some('r'),
    section: Section::Watch,
    icon: "close",
    needs: Needs::Read(Area::Decisions),
    serve: || get(list),
};

const NAMES: &[Names] = &[
    Names { facet: "code", param: "code", title: "Why", open: true },
    Names { facet: "key", param: "key", title: "Key", open: true },
    Names { facet: "route", param: "route", title: "Route", open: true },
    Names { facet: "plane", param: "plane", title: "Where", open: false },
];
const ASKED: &[&str] =
    &["code", "key", "route", "plane", "caller", "end_user", "range", "since", "until", "after"];
/// Facets that are not counted: a line leads to those of the same.
const OTHERS: &[&str] = &["caller", "end_user"];

#[derive(Template)]
#[template(path = "refusals.html")]
struct Refusals {
    f: Frame,
    ranges: Vec<(&'static str, String, bool)>,
    chips: Vec<(String, String)>,
    facets: Vec<Facet>,
    rows: Vec<Row>,
    filtered: bool,
    total: String,
    newest: Option<String>,
    older: Option<String>,
}

struct Row {
    id: String,
    time: Timestamp,
    code: String,
    count: String,
    key: Option<(String, String)>,
    caller: (String, String),
    route: String,
    user: Option<(String, String)>,
    several: bool,
    entries: Vec<u64>,
}

impl Row {
    fn of(record: &Record, names: &[(Id, String)]) -> Self {
        let meta = Meta(&record.meta);
        let to = |name: &str| Params::default().with(name, meta.text(name)).at("/refusals");
        let entries = meta.at("entries").and_then(serde_json::Value::as_array);
        let (key, user) = (meta.text("key"), meta.text("end_user"));
        let name = names.iter().find(|(id, _)| id.to_string() == key);
        let name = name.map_or(key, |(_, name)| name.as_str()).to_owned();
        Self {
            id: record.id.to_string(),
            time: record.time,
            code: meta.text("code").to_owned(),
            count: charts::number(meta.number("count").unwrap_or(0)),
            key: (!key.is_empty()).then(|| (name, format!("/keys/{key}"))),
            caller: (meta.text("caller").to_owned(), to("caller")),
            route: meta.text("route").to_owned(),
            user: (!user.is_empty()).then(|| (view::user(user), to("end_user"))),
            several: meta.at("several_users").and_then(serde_json::Value::as_bool) == Some(true),
            entries: entries.into_iter().flatten().filter_map(serde_json::Value::as_u64).collect(),
        }
    }
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), ASKED)?;
    params.one_of("plane", &["data", "admin"])?;
    let range = Range::of(&params, admin.gateway.cx.now())?;
    let mut filters = facet::filters(NAMES, &params);
    filters.extend(params.of(OTHERS).map(|(name, value)| (name, value.to_owned())));
    let (store, tenant) = (&admin.gateway.store, visitor.permit.tenant());
    let query = Query {
        filters: filters.clone(),
        since: Some(range.since),
        until: range.until(),
        after: params.get("after").map(Cursor::from),
        limit: ROWS,
        sealed: false,
        ..Query::new(&REFUSAL)
    };
    let found = store.list(tenant, &query).await?;
    let counting = Counting {
        filters: filters.clone(),
        since: Some(range.since),
        until: range.until(),
        by: NAMES.iter().map(|one| one.facet).collect(),
        values_max: 12,
        ..Counting::new(&REFUSAL)
    };
    let counts = store.count(tenant, &counting).await?;
    let names = keys::names(&admin, &visitor.permit).await?;
    let say = |facet: &str, value: &str| match (facet, value) {
        ("plane", "data") => "the gateway".to_owned(),
        ("plane", "admin") => "administration".to_owned(),
        _ => traffic::say(&names, facet, value),
    };
    let mut chips = facet::chips(NAMES, &params, PAGE.path, say);
    for (name, value) in params.of(OTHERS) {
        let words = if name == "end_user" { view::user(value) } else { format!("from: {value}") };
        chips.push((words, params.without(name).at(PAGE.path)));
    }
    page(&Refusals {
        ranges: traffic::ranges(&params, &range, PAGE.path),
        facets: facet::facets(NAMES, &counts, &params, PAGE.path, say),
        rows: found.records.iter().map(|record| Row::of(record, &names)).collect(),
        filtered: !chips.is_empty() || range.name != Some("24h") || params.get("after").is_some(),
        chips,
        total: facet::total(&counts, "line", "lines"),
        newest: params.get("after").map(|_| params.without("after").at(PAGE.path)),
        older: found.next.map(|next| params.with("after", next.as_str()).at(PAGE.path)),
        f: Frame::new(&visitor, &PAGE, &uri),
    })
}

/// Requests that were refused in a range of time.
pub(super) struct Total {
    pub(super) requests: u64,
    /// Whether those are all.
    pub(super) exact: bool,
    pub(super) counted: Vec<(Timestamp, Vec<u64>)>,
}

/// Adds up how many requests of applications were refused.
pub(super) async fn total(admin: &Admin, tenant: &Tenant, range: &Range) -> Result<Total, Failure> {
    let mut query = Query {
        filters: vec![("plane", "data".to_owned())],
        since: Some(range.since),
        until: range.until(),
        limit: PAGE_RECORDS_MAX,
        sealed: false,
        ..Query::new(&REFUSAL)
    };
    let mut total = Total { requests: 0, exact: false, counted: Vec::new() };
    for _ in 0..ADDED_MAX {
        let found = admin.gateway.store.list(tenant, &query).await?;
        for record in &found.records {
            let count = Meta(&record.meta).number("count").unwrap_or(0);
            total.requests = total.requests.saturating_add(count);
            total.counted.push((record.time, vec![count]));
        }
        query.after = found.next;
        if query.after.is_none() {
            total.exact = true;
            break;
        }
    }
    Ok(total)
}
