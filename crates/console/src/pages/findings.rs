//! Findings: what rules found, until someone resolves it.

use askama::Template;
use axum::{
    extract::State,
    http::Uri,
    routing::{get, post},
};
use bartizan_core::{Id, Timestamp};
use bartizan_gateway::decisions::{FINDING, FindingText, Note};
use bartizan_policy::{Access, Area};
use bartizan_store::{Counting, Cursor, Query, Record};
use serde_json::json;

use super::{Page, Section, filters::Filters, traffic};
use crate::{
    Admin, Failure,
    endpoints::{self, Needs},
    facet::{self, Facet, Names},
    frame::{Answer, Frame, go, page},
    params::{Params, back, said},
    people::account,
    record::{Meta, neighbours, pretty},
    saved::Savable,
    take::Of,
    triage::{self, State as Stand, Triage},
    visitor::Visitor,
};

/// Findings of a page: a triage of fifty is one page.
const ROWS: u16 = 50;

const READ: Needs = Needs::Read(Area::Findings);
const MANAGE: Needs = Needs::Manage(Area::Findings);
pub(super) static PAGE: Page = Page {
    path: "/findings",
    title: "Findings",
    letter: Some('f'),
    section: Section::Watch,
    icon: "findings",
    needs: READ,
    serve: || get(list),
};
pub(super) static ONE: Page = Page::below("/findings/{id}", "Finding", READ, || get(one));
pub(super) static TRIAGE: Page = Page::below("/findings/triage", "Triage", MANAGE, || post(act));
pub(super) static UNDO: Page = Page::below("/findings/undo", "Undo", MANAGE, || post(undo));

const NAMES: &[Names] = &[
    Names { facet: "severity", param: "severity", title: "Severity", open: true },
    Names { facet: "code", param: "code", title: "Rule", open: true },
    Names { facet: "assignee", param: "assignee", title: "Assignee", open: false },
    Names { facet: "route", param: "route", title: "Route", open: false },
    Names { facet: "direction", param: "direction", title: "Direction", open: false },
    Names { facet: "read_as", param: "read_as", title: "Read as", open: false },
];
const ASKED: &[&str] =
    &["state", "severity", "code", "assignee", "route", "direction", "read_as", "request", "after"];
const FILTERS: &[&str] =
    &["state", "severity", "code", "assignee", "route", "direction", "read_as", "request"];

pub(super) static SAVABLE: Savable = Savable {
    name: "findings",
    path: "/findings",
    area: Area::Findings,
    read: |query, _| Ok(narrowed(&asked(query)?.0)),
};

/// Facets, and the values that they must have.
type Wanted = Vec<(&'static str, String)>;

#[derive(Template)]
#[template(path = "findings.html")]
struct Findings {
    f: Frame,
    may: bool,
    total: String,
    state: &'static str,
    states: Vec<(&'static str, String, bool)>,
    chips: Vec<(String, String)>,
    facets: Vec<Facet>,
    saved: Filters,
    rows: Vec<Row>,
    filtered: bool,
    query: String,
    me: String,
    people: Vec<(String, String)>,
    newest: Option<String>,
    older: Option<String>,
}

struct Row {
    id: String,
    code: String,
    title: String,
    severity: String,
    action: String,
    route: String,
    direction: String,
    read_as: String,
    state: String,
    assignee: String,
    time: Timestamp,
}

impl Row {
    fn of(record: &Record, people: &[(String, String)]) -> Self {
        let meta = Meta(&record.meta);
        Self {
            id: record.id.to_string(),
            code: meta.text("code").to_owned(),
            title: meta.text("/finding/title").to_owned(),
            severity: meta.text("severity").to_owned(),
            action: meta.text("action").to_owned(),
            route: meta.text("route").to_owned(),
            direction: direction(meta.text("direction")).to_owned(),
            read_as: match meta.text("read_as") {
                "plain" => String::new(),
                other => other.to_owned(),
            },
            state: state_of(meta).to_owned(),
            assignee: named(people, meta.text("assignee")),
            time: record.time,
        }
    }
}

/// The state of a finding; one from before there were states is open.
fn state_of(meta: Meta<'_>) -> &str {
    match meta.text("state") {
        "" => Stand::Open.as_str(),
        state => state,
    }
}

/// Whose a finding is, by name where it is a person's.
fn named(people: &[(String, String)], assignee: &str) -> String {
    let person = people.iter().find(|(id, _)| id == assignee);
    person.map_or(assignee, |(_, name)| name).to_owned()
}

pub(super) fn direction(word: &str) -> &str {
    match word {
        "in" => "prompt",
        "out" => "answer",
        other => other,
    }
}

/// Which state is asked for.
fn state(params: &Params) -> Result<&'static str, Failure> {
    let asked = params.get("state").unwrap_or("open");
    let known = Stand::ALL.iter().map(|state| state.as_str()).chain(["any"]);
    known.into_iter().find(|known| *known == asked).ok_or_else(|| {
        let shown = bartizan_core::json::clip(asked, 32);
        let message =
            format!("`state` is `{shown}`: expected `open`, `acknowledged`, `resolved` or `any`");
        Failure::invalid(message)
    })
}

fn filters(params: &Params) -> Result<Wanted, Failure> {
    params.one_of("severity", &["informational", "low", "medium", "high", "critical"])?;
    params.one_of("direction", &["in", "out"])?;
    let mut filters = facet::filters(NAMES, params);
    filters.extend(params.get("request").map(|request| ("request", request.to_owned())));
    let state = state(params)?;
    if state != "any" {
        filters.push(("state", state.to_owned()));
    }
    Ok(filters)
}

/// Reads the address of the list; a saved filter is read by the same.
fn asked(query: Option<&str>) -> Result<(Params, Wanted), Failure> {
    let params = Params::of_query(query, ASKED)?;
    let filters = filters(&params)?;
    Ok((params, filters))
}

/// The query without its place: what a detail goes on by.
fn narrowed(params: &Params) -> Params {
    let mut out = Params::default();
    for (name, value) in params.of(FILTERS) {
        out = out.with(name, value);
    }
    out
}

fn may(admin: &Admin, visitor: &Visitor) -> bool {
    visitor.permit.also(admin, Access::Manage(Area::Findings)).is_ok()
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let (params, filters) = asked(uri.query())?;
    let (store, tenant) = (&admin.gateway.store, visitor.permit.tenant());
    let query = Query {
        filters: filters.clone(),
        after: params.get("after").map(Cursor::from),
        limit: ROWS,
        sealed: false,
        ..Query::new(&FINDING)
    };
    let found = store.list(tenant, &query).await?;
    let counting = Counting {
        filters,
        by: NAMES.iter().map(|one| one.facet).collect(),
        values_max: 12,
        ..Counting::new(&FINDING)
    };
    let counts = store.count(tenant, &counting).await?;
    let state = state(&params)?;
    let people = people(&admin).await?;
    let say = |facet: &str, value: &str| match facet {
        "direction" => direction(value).to_owned(),
        "assignee" => named(&people, value),
        _ => value.to_owned(),
    };
    let states =
        [("Open", "open"), ("In work", "acknowledged"), ("Resolved", "resolved"), ("All", "any")];
    let states = states
        .map(|(title, name)| (title, params.with("state", name).at("/findings"), name == state));
    let mut chips = facet::chips(NAMES, &params, "/findings", say);
    chips.extend(
        params
            .get("request")
            .map(|id| (format!("request: {id}"), params.without("request").at("/findings"))),
    );
    page(&Findings {
        f: Frame::new(&visitor, &PAGE, &uri),
        may: may(&admin, &visitor),
        total: facet::total(&counts, "finding", "findings"),
        state,
        states: states.into(),
        filtered: !chips.is_empty() || params.get("after").is_some(),
        chips,
        facets: facet::facets(NAMES, &counts, &params, "/findings", say),
        saved: Filters::of(&admin, &visitor, &SAVABLE, &narrowed(&params)).await?,
        rows: found.records.iter().map(|record| Row::of(record, &people)).collect(),
        query: narrowed(&params).query(),
        me: format!("person:{}", visitor.person.id),
        people,
        newest: params.get("after").map(|_| params.without("after").at("/findings")),
        older: found.next.map(|next| params.with("after", next.as_str()).at("/findings")),
    })
}

/// Who can be an assignee: what records call the person, and the name.
async fn people(admin: &Admin) -> Result<Vec<(String, String)>, Failure> {
    let all = account::all(&admin.gateway.store).await?;
    let person = |account: account::Account| (account.subject(), account.person().name);
    Ok(all.into_iter().filter(account::Account::is_active).map(person).collect())
}

/// What a person is called whom a record names, whether active or not.
pub(super) async fn name_of(admin: &Admin, subject: &str) -> Result<String, Failure> {
    let id = subject.strip_prefix("person:").and_then(|id| id.parse().ok());
    let found = match id {
        Some(id) => account::find(&admin.gateway.store, id).await?,
        None => None,
    };
    Ok(found.map_or_else(|| subject.to_owned(), |account| account.person().name))
}

#[derive(Template)]
#[template(path = "finding.html")]
struct One {
    f: Frame,
    api: String,
    tab: &'static str,
    here_query: String,
    raw_query: String,
    may: bool,
    id: String,
    code: String,
    title: String,
    severity: String,
    state: String,
    assignee: String,
    request: String,
    remediation: String,
    evidence: Vec<Seen>,
    /// Whether what was seen is shown only to who asks for it: a secret, or a person's data.
    veiled: bool,
    facts: Vec<(&'static str, String, Option<String>)>,
    notes: Vec<Said>,
    people: Vec<(String, String)>,
    time: Timestamp,
    newer: Option<String>,
    older: Option<String>,
    raw: String,
}

/// What a person wrote about it.
struct Said {
    by: String,
    at: String,
    text: String,
}

/// A piece of evidence.
struct Seen {
    place: String,
    start: usize,
    end: usize,
    view: String,
    excerpt: String,
    decoded: String,
}

async fn one(State(admin): State<Admin>, visitor: Visitor, uri: Uri, Of(id): Of) -> Answer {
    let names: Vec<&str> = FILTERS.iter().copied().chain(["tab"]).collect();
    let params = Params::of_query(uri.query(), &names)?;
    let tenant = visitor.permit.tenant();
    let record = endpoints::findings::read(&admin, &visitor.permit, id).await?;
    let people = people(&admin).await?;
    let (newer, older) =
        neighbours(&admin, tenant, &FINDING, &filters(&params)?, (record.time, id)).await?;
    let kept = narrowed(&params);
    let query = kept.query();
    let to = |id: Option<Id>| id.map(|id| format!("/findings/{id}{query}"));
    let meta = Meta(&record.meta);
    let title = format!("{} {}", meta.text("code"), meta.text("/finding/title"));
    let finding = traffic::finding(&record);
    let text = FindingText::of(record.sealed.as_ref()).unwrap_or_default();
    let note = |note: Note| Said { by: named(&people, &note.by), at: note.at, text: note.text };
    let seen = finding.iter().flat_map(|finding| &finding.evidence).map(|one| Seen {
        place: one.location.clone(),
        start: one.span.start,
        end: one.span.end,
        view: one.view.clone(),
        excerpt: one.excerpt.clone().unwrap_or_default(),
        decoded: one.decoded.clone().unwrap_or_default(),
    });
    let veiled = admin
        .gateway
        .guard
        .rules()
        .iter()
        .any(|rule| rule.meta.code == meta.text("code") && rule.tells_data());
    let raw = json!({"id": id, "time": record.time, "meta": record.meta, "text": record.sealed});
    page(&One {
        f: Frame::new(&visitor, &PAGE, &uri).below(&title, format!("/findings{query}")),
        api: format!("/api/v1/findings/{id}"),
        tab: if params.get("tab") == Some("raw") { "raw" } else { "finding" },
        here_query: format!("/findings/{id}{query}"),
        raw_query: kept.with("tab", "raw").at(&format!("/findings/{id}")),
        may: may(&admin, &visitor),
        id: id.to_string(),
        code: meta.text("code").to_owned(),
        title: meta.text("/finding/title").to_owned(),
        severity: meta.text("severity").to_owned(),
        state: state_of(meta).to_owned(),
        assignee: meta.text("assignee").to_owned(),
        request: meta.text("request").to_owned(),
        remediation: meta.text("/finding/remediation").to_owned(),
        evidence: seen.collect(),
        veiled,
        facts: facts(id, meta, &people),
        notes: text.notes.into_iter().map(note).collect(),
        people,
        time: record.time,
        newer: to(newer),
        older: to(older),
        raw: pretty(&raw),
    })
}

fn facts(
    id: Id,
    meta: Meta<'_>,
    people: &[(String, String)],
) -> Vec<(&'static str, String, Option<String>)> {
    let assignee = match meta.text("assignee") {
        "" => "nobody".to_owned(),
        id => named(people, id),
    };
    let mut out = vec![
        ("Id", id.to_string(), None),
        (
            "Request",
            meta.text("request").to_owned(),
            Some(format!("/traffic/{}", meta.text("request"))),
        ),
        (
            "Route",
            meta.text("route").to_owned(),
            Some(Params::default().with("route", meta.text("route")).at("/findings")),
        ),
        ("In the", direction(meta.text("direction")).to_owned(), None),
        ("Mode", meta.text("mode").to_owned(), None),
        ("Did", did(meta.text("action")).to_owned(), None),
        (
            "Confidence",
            meta.number("/finding/confidence").map_or_else(String::new, |n| format!("{n} %")),
            None,
        ),
        ("Assignee", assignee, None),
    ];
    if !meta.text("triaged_by").is_empty() {
        out.push(("Last changed by", named(people, meta.text("triaged_by")), None));
        out.push(("Changed at", meta.text("triaged_at").to_owned(), None));
    }
    out.push(("References", meta.texts("/finding/references").join(", "), None));
    out
}

/// What a rule did, in the word of the lists.
fn did(action: &str) -> &str {
    match action {
        "allow" => "reported",
        other => traffic::word_of(other),
    }
}

async fn act(State(admin): State<Admin>, visitor: Visitor, form: Params) -> Answer {
    let ids = form.ids("ids")?;
    if ids.is_empty() {
        let message = "no finding is selected: tick some, or press `x` on a row";
        return Err(Failure::invalid(message));
    }
    let mut wanted = Triage { ids, ..Triage::default() };
    let done = match form.need("action")? {
        "resolve" => {
            wanted.state = Some(Stand::Resolved);
            "resolved"
        }
        "reopen" => {
            wanted.state = Some(Stand::Open);
            "reopened"
        }
        "acknowledge" => {
            wanted.state = Some(Stand::Acknowledged);
            "acknowledged"
        }
        "assign" => {
            let to = form.get("assignee").unwrap_or_default();
            if !to.is_empty() && !people(&admin).await?.iter().any(|(id, _)| id == to) {
                let shown = bartizan_core::json::clip(to, 64);
                let message = format!("`{shown}` is nobody who can sign in here");
                return Err(Failure::invalid(message));
            }
            wanted.assignee = Some(to.to_owned());
            "assigned"
        }
        "note" => {
            wanted.note = Some(form.need("note")?.to_owned());
            "noted"
        }
        other => {
            let shown = bartizan_core::json::clip(other, 32);
            let message = format!(
                "`action` is `{shown}`: expected `resolve`, `acknowledge`, `reopen`, `assign` or `note`"
            );
            return Err(Failure::invalid(message));
        }
    };
    // Who resolves one goes on to the next.
    let then = form.get("then").filter(|_| wanted.state == Some(Stand::Resolved));
    let told = triage::triage(&admin, &visitor.permit, wanted).await?;
    let n = u64::try_from(told.changed.len()).unwrap_or(u64::MAX);
    go(&said(
        &back(then.or(form.get("back"))),
        &[("done", done), ("n", &n.to_string()), ("undo", &told.act)],
    ))
}

async fn undo(State(admin): State<Admin>, visitor: Visitor, form: Params) -> Answer {
    let batch = form
        .ids("batch")?
        .first()
        .copied()
        .ok_or_else(|| Failure::invalid("`batch` is missing"))?;
    let told = triage::undo(&admin, &visitor.permit, batch).await?;
    let n = u64::try_from(told.changed.len()).unwrap_or(u64::MAX);
    go(&said(&back(form.get("back")), &[("done", "undone"), ("n", &n.to_string())]))
}
