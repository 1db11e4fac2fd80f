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

use super::{Page, Section, keys};
use crate::{
    Admin, Failure,
    endpoints::{self, Needs},
    frame::{Answer, Frame, go, page},
    params::Params,
    take::Of,
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
    reason: String,
    state: &'static str,
    /// Whether it still waits for a word.
    open: bool,
    by: String,
    by_href: Option<String>,
    subject: String,
    /// The request that was held, where its record is there.
    request: Option<String>,
    requested_at: Timestamp,
    expires_at: Timestamp,
    /// By whom, when and why it was decided.
    word: Option<(String, Timestamp, String)>,
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["state"])?;
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
        rows.push(row(&admin, &visitor, &names, &approval).await?);
    }
    let may = visitor.permit.also(&admin, Access::Manage(Area::Approvals)).is_ok();
    page(&Approvals { f: Frame::new(&visitor, &PAGE, &uri), which, may, rows })
}

async fn row(
    admin: &Admin,
    visitor: &Visitor,
    names: &[(Id, String)],
    approval: &Approval,
) -> Result<Row, Failure> {
    let expired = approval.is_expired(&admin.gateway.cx);
    let key: Option<Id> = approval.requested_by.strip_prefix("key:").and_then(|id| id.parse().ok());
    let name = names.iter().find(|(id, _)| Some(*id) == key).map(|(_, name)| name.clone());
    let word = match &approval.state {
        Stand::Pending => None,
        Stand::Approved { by, at, why } | Stand::Denied { by, at, why } => {
            Some((by.clone(), *at, why.clone()))
        }
        Stand::Used { by, at } => Some((by.clone(), *at, "its request was let through".to_owned())),
    };
    let query = Query {
        filters: vec![("approval", approval.id.to_string())],
        order: Order::Oldest,
        limit: 1,
        sealed: false,
        ..Query::new(&DECISION)
    };
    let held = admin.gateway.store.list(visitor.permit.tenant(), &query).await?;
    Ok(Row {
        id: approval.id.to_string(),
        reason: approval.reason.clone(),
        state: if expired && approval.state == Stand::Pending {
            "expired"
        } else {
            approval.state_name()
        },
        open: approval.is_pending(&admin.gateway.cx),
        by: name.unwrap_or_else(|| approval.requested_by.clone()),
        by_href: key.map(|id| format!("/keys/{id}")),
        subject: approval.subject.clone(),
        request: held.records.first().map(|record| record.id.to_string()),
        requested_at: approval.requested_at,
        expires_at: approval.expires_at,
        word,
    })
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
    let why = form.get("why").unwrap_or_default();
    endpoints::approvals::say(&admin, &visitor.permit, id, decision, why).await?;
    go(&format!("/approvals?done={done}"))
}
