//! Approvals: what a rule holds, and the person's word.

use askama::Template;
use axum::{
    extract::State,
    http::Uri,
    routing::{get, post},
};
use bartizan_core::{Id, Timestamp};
use bartizan_gateway::decisions::DECISION;
use bartizan_policy::{Access, Approval, Area, Decision, State as Stand};
use bartizan_store::{Order, Query};

use super::{Page, Section, findings::name_of, keys, traffic};
use crate::{
    Admin, Failure,
    conversation::Turn,
    endpoints::{self, Needs},
    frame::{Answer, Frame, go, page},
    params::{Params, back, said},
    record::Meta,
    take::Of,
    view,
    visitor::Visitor,
};

/// LIMIT: approvals that one page shows.
const ROWS_MAX: usize = 50;

pub(super) static PAGE: Page = Page {
    path: "/approvals",
    title: "Approvals",
    letter: Some('a'),
    section: Section::Watch,
    icon: "approvals",
    needs: Needs::Read(Area::Approvals),
    serve: || get(list),
};
// What is asked for more than reading, the handler asks for this very approval.
pub(super) static DECIDE: Page =
    Page::below("/approvals/{id}/decide", "Decide", Needs::Manage(Area::Approvals), || {
        post(decide)
    });

#[derive(Template)]
#[template(path = "approvals.html")]
struct Approvals {
    f: Frame,
    which: String,
    may: bool,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    /// The list, with this one opened.
    open_href: String,
    reason: String,
    state: &'static str,
    /// Whether it still waits for a word.
    open: bool,
    by: String,
    by_href: Option<String>,
    subject: String,
    /// The request that was held, where its record is there.
    request: Option<String>,
    /// For whom, by which route, to which model.
    facts: Vec<(&'static str, String, Option<String>)>,
    /// What it says, where that was asked for.
    turns: Option<Vec<Turn>>,
    requested_at: Timestamp,
    expires_at: Timestamp,
    /// By whom, when and why it was decided.
    word: Option<(String, Timestamp, String)>,
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["state", "read"])?;
    let read = params.ids("read")?.first().copied();
    let which = params.get("state").unwrap_or("pending").to_owned();
    let state = match which.as_str() {
        "any" => None,
        known @ ("pending" | "approved" | "denied" | "used") => Some(known),
        other => {
            let shown = bartizan_core::json::clip(other, 32);
            return Err(Failure::invalid(format!(
                "`state` is `{shown}`: expected `pending`, `approved`, `denied`, `used` or `any`"
            )));
        }
    };
    let mut approvals = admin.gateway.holds.list(visitor.permit.tenant(), state).await?;
    approvals.truncate(ROWS_MAX);
    let names = keys::names(&admin, &visitor.permit).await?;
    let mut rows = Vec::with_capacity(approvals.len());
    for approval in approvals {
        let text = read == Some(approval.id);
        rows.push(row(&admin, &visitor, (&names, &which), &approval, text).await?);
    }
    let may = visitor.permit.also(&admin, Access::Manage(Area::Approvals)).is_ok();
    page(&Approvals { f: Frame::new(&visitor, &PAGE, &uri), which, may, rows })
}

/// By whom, when and why an approval was decided.
type Word = (String, Timestamp, String);

/// Where an approval stands, and by whose word.
async fn stand(
    admin: &Admin,
    approval: &Approval,
) -> Result<(&'static str, Option<Word>), Failure> {
    let word = match &approval.state {
        Stand::Pending if approval.is_expired(&admin.gateway.cx) => return Ok(("expired", None)),
        Stand::Pending => None,
        Stand::Approved { by, at, why } | Stand::Denied { by, at, why } => {
            Some((name_of(admin, by).await?, *at, why.clone()))
        }
        Stand::Used { by, at } => {
            let by = name_of(admin, by).await?;
            Some((by, *at, "its request was let through".to_owned()))
        }
    };
    Ok((approval.state_name(), word))
}

async fn row(
    admin: &Admin,
    visitor: &Visitor,
    (names, which): (&[(Id, String)], &str),
    approval: &Approval,
    with_text: bool,
) -> Result<Row, Failure> {
    let (state, word) = stand(admin, approval).await?;
    let key: Option<Id> = approval.requested_by.strip_prefix("key:").and_then(|id| id.parse().ok());
    let name = names.iter().find(|(id, _)| Some(*id) == key).map(|(_, name)| name.clone());
    let query = Query {
        filters: vec![("approval", approval.id.to_string())],
        order: Order::Oldest,
        limit: 1,
        sealed: false,
        ..Query::new(&DECISION)
    };
    let held = admin.gateway.store.list(visitor.permit.tenant(), &query).await?;
    let held = held.records.first();
    let turns = match held.filter(|_| with_text) {
        // Whoever sees the text reads a decision, which is on record.
        Some(record) => {
            visitor.permit.also(admin, Access::Read(Area::Decisions))?;
            Some(traffic::turns(admin, visitor, record.id).await?)
        }
        None => None,
    };
    let open = Params::default().with("state", which).with("read", &approval.id.to_string());
    Ok(Row {
        open_href: format!("{}#a-{}", open.at("/approvals"), approval.id),
        facts: held.map(|record| facts(Meta(&record.meta))).unwrap_or_default(),
        turns,
        id: approval.id.to_string(),
        reason: approval.reason.clone(),
        state,
        open: approval.is_pending(&admin.gateway.cx),
        by: name.unwrap_or_else(|| approval.requested_by.clone()),
        by_href: key.map(|id| format!("/keys/{id}")),
        subject: approval.subject.clone(),
        request: held.map(|record| record.id.to_string()),
        requested_at: approval.requested_at,
        expires_at: approval.expires_at,
        word,
    })
}

fn facts(meta: Meta<'_>) -> Vec<(&'static str, String, Option<String>)> {
    let to = |name: &str| Some(Params::default().with(name, meta.text(name)).at("/traffic"));
    let mut out = vec![
        ("Route", meta.text("route").to_owned(), to("route")),
        ("Model", meta.text("model").to_owned(), to("model")),
    ];
    if !meta.text("end_user").is_empty() {
        out.push(("End user", view::user(meta.text("end_user")), to("end_user")));
    }
    out
}

/// The approval of a request, on the request's own page.
pub(super) struct Waits {
    pub(super) id: String,
    pub(super) state: &'static str,
    /// Who decided, and why.
    pub(super) word: String,
    /// Whether it waits for a word.
    pub(super) open: bool,
    pub(super) may: bool,
    pub(super) expires_at: Timestamp,
}

impl Waits {
    /// Of the approval's id, which is empty where the request needs none.
    pub(super) async fn of(
        admin: &Admin,
        visitor: &Visitor,
        id: &str,
    ) -> Result<Option<Self>, Failure> {
        if id.is_empty() || visitor.permit.also(admin, Access::Read(Area::Approvals)).is_err() {
            return Ok(None);
        }
        let Ok(id) = id.parse::<Id>() else { return Ok(None) };
        // Its record may be over although the request's is not.
        let Ok(approval) = admin.gateway.holds.get(visitor.permit.tenant(), id).await else {
            return Ok(None);
        };
        let may = visitor.permit.also(admin, Access::Decide(&approval)).is_ok();
        let open = approval.is_pending(&admin.gateway.cx);
        let (state, word) = stand(admin, &approval).await?;
        let word = word.map_or_else(String::new, |(by, _, why)| match why.is_empty() {
            true => format!("by {by}"),
            false => format!("by {by}: {why}"),
        });
        let (id, expires_at) = (id.to_string(), approval.expires_at);
        Ok(Some(Self { id, state, word, open, may, expires_at }))
    }
}

async fn decide(State(admin): State<Admin>, visitor: Visitor, Of(id): Of, form: Params) -> Answer {
    let (decision, done) = match form.need("decision")? {
        "approve" => (Decision::Approve, "approved"),
        "deny" => (Decision::Deny, "denied"),
        other => {
            let shown = bartizan_core::json::clip(other, 32);
            return Err(Failure::invalid(format!(
                "`decision` is `{shown}`: expected `approve` or `deny`"
            )));
        }
    };
    let why = form.get("why").unwrap_or_default().trim();
    if decision == Decision::Deny && bartizan_core::text::is_blank(why) {
        let message = "say why it is denied: whoever asked, and whoever audits, will want to know";
        return Err(Failure::invalid(message));
    }
    endpoints::approvals::say(&admin, &visitor.permit, id, decision, why).await?;
    admin.desk.forget_waiting();
    let back = form.get("back").map_or_else(|| PAGE.path.to_owned(), |to| back(Some(to)));
    go(&said(&back, &[("done", done)]))
}
