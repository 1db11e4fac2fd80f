//! What was decided about requests, and what was found in them.

use axum::{Json, extract::State, routing::get};
use bartizan_core::Timestamp;
use bartizan_gateway::decisions::{DECISION, FINDING};
use bartizan_policy::Area;
use bartizan_store::{Class, Cursor, Order, PAGE_RECORDS_MAX, Query, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
    take::{Asked, Of},
};

/// Records of a page, when the query is silent.
const PAGE: u16 = 100;

pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/decisions",
    operations: &[Operation::get::<Records>(
        "decisions.list",
        "List decisions about requests, newest first, a page at a time",
        Area::Decisions,
    )
    .asks::<WhichDecisions>()],
    serve: || get(decisions),
};
pub(super) const ONE: Endpoint = Endpoint {
    path: "/api/v1/decisions/{id}",
    operations: &[Operation::get::<Whole>(
        "decisions.read",
        "One decision with its text; that it was read is on record",
        Area::Decisions,
    )],
    serve: || get(one),
};
pub(super) const FINDINGS: Endpoint = Endpoint {
    path: "/api/v1/findings",
    operations: &[Operation::get::<Records>(
        "findings.list",
        "List findings, newest first, a page at a time",
        Area::Findings,
    )
    .asks::<WhichFindings>()],
    serve: || get(findings),
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct WhichDecisions {
    /// Only of this verdict: `allow`, `annotate`, `redact`, `hold` or `block`.
    verdict: Option<String>,
    /// Only through this route.
    route: Option<String>,
    /// Only of this model, as the application named it.
    model: Option<String>,
    /// Only by the key of this id.
    key: Option<String>,
    /// Only where the rule of this code found something.
    rule: Option<String>,
    /// Not before this time (RFC 3339).
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
    /// `next` of the page before.
    after: Option<String>,
    /// Records of a page: 1 to 500; 100 when absent.
    limit: Option<u16>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct WhichFindings {
    /// Only of the rule of this code.
    code: Option<String>,
    /// Only of this severity: `informational`, `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// Only through this route.
    route: Option<String>,
    /// Only in the request of this id.
    request: Option<String>,
    /// Not before this time (RFC 3339).
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
    /// `next` of the page before.
    after: Option<String>,
    /// Records of a page: 1 to 500; 100 when absent.
    limit: Option<u16>,
}

/// A page of records.
#[derive(Debug, Serialize, JsonSchema)]
struct Records {
    records: Vec<Listed>,
    /// What to ask for `after`; absent at the end.
    next: Option<String>,
}

/// A record without its text.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    id: String,
    /// RFC 3339.
    time: String,
    meta: Map<String, Value>,
}

/// A record with its text.
#[derive(Debug, Serialize, JsonSchema)]
struct Whole {
    id: String,
    /// RFC 3339.
    time: String,
    meta: Map<String, Value>,
    /// What was sent, answered and found; absent where the route keeps no text, or
    /// its retention has ended.
    text: Option<Value>,
}

impl From<Record> for Listed {
    fn from(record: Record) -> Self {
        Self { id: record.id.to_string(), time: record.time.to_string(), meta: record.meta }
    }
}

impl WhichDecisions {
    fn query(self) -> Query<'static> {
        let filters = [
            ("verdict", self.verdict),
            ("route", self.route),
            ("model", self.model),
            ("key", self.key),
            ("rules", self.rule),
        ];
        query(&DECISION, filters, (self.since, self.until), (self.after, self.limit))
    }
}

impl WhichFindings {
    fn query(self) -> Query<'static> {
        let filters = [
            ("code", self.code),
            ("severity", self.severity),
            ("route", self.route),
            ("request", self.request),
        ];
        query(&FINDING, filters, (self.since, self.until), (self.after, self.limit))
    }
}

fn query<const N: usize>(
    class: &'static Class,
    filters: [(&'static str, Option<String>); N],
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    (after, limit): (Option<String>, Option<u16>),
) -> Query<'static> {
    Query {
        filters: filters.into_iter().filter_map(|(facet, value)| Some((facet, value?))).collect(),
        since,
        until,
        after: after.as_deref().map(Cursor::from),
        order: Order::Newest,
        sealed: false,
        limit: limit.unwrap_or(PAGE),
        ..Query::new(class)
    }
}

async fn page(
    admin: &Admin,
    permit: &Permit,
    query: Query<'static>,
) -> Result<Json<Records>, Failure> {
    if !(1..=PAGE_RECORDS_MAX).contains(&query.limit) {
        let message = format!("`limit` is {}: expected 1 to {PAGE_RECORDS_MAX}", query.limit);
        return Err(Failure::invalid(message));
    }
    let page = admin.gateway.store.list(permit.tenant(), &query).await?;
    let next = page.next.map(|cursor| cursor.as_str().to_owned());
    Ok(Json(Records { records: page.records.into_iter().map(Listed::from).collect(), next }))
}

async fn decisions(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<WhichDecisions>,
) -> Result<Json<Records>, Failure> {
    page(&admin, &permit, which.query()).await
}

async fn findings(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<WhichFindings>,
) -> Result<Json<Records>, Failure> {
    page(&admin, &permit, which.query()).await
}

async fn one(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Whole>, Failure> {
    // Whoever reads people's words leaves a trace.
    let act = Act { kind: "admin.decision.read", subject: &format!("request:{id}"), details: &[] };
    let work = async {
        let record = admin.gateway.store.get(permit.tenant(), &DECISION, id).await?;
        record.ok_or_else(|| Failure::not_found(format!("there is no decision `{id}`")))
    };
    let Record { id, time, meta, sealed, .. } = permit.act(&admin, act, work).await?;
    Ok(Json(Whole { id: id.to_string(), time: time.to_string(), meta, text: sealed }))
}
