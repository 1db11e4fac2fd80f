//! What was decided about requests, and what was found in them.

use axum::{
    Extension, Json,
    extract::{Path, State},
    routing::get,
};
use bartizan_core::{Tenant, Timestamp};
use bartizan_gateway::decisions::{DECISION, FINDING};
use bartizan_store::{Class, Cursor, Order, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, In, Operation, id, object, query};
use crate::{Admin, Failure, router::Actor};

pub(super) const LIST: Endpoint = Endpoint {
    path: "/api/v1/decisions",
    operations: &[Operation {
        method: "get",
        summary: "List decisions about requests, newest first, a page at a time",
        takes: None,
        gives: object,
    }],
    serve: || get(decisions),
};
pub(super) const ONE: Endpoint = Endpoint {
    path: "/api/v1/decisions/{id}",
    operations: &[Operation {
        method: "get",
        summary: "One decision with its text, which is on record as having been read",
        takes: None,
        gives: object,
    }],
    serve: || get(one),
};
pub(super) const FINDINGS: Endpoint = Endpoint {
    path: "/api/v1/findings",
    operations: &[Operation {
        method: "get",
        summary: "List findings, newest first, a page at a time",
        takes: None,
        gives: object,
    }],
    serve: || get(findings),
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Which {
    tenant: Tenant,
    verdict: Option<String>,
    route: Option<String>,
    model: Option<String>,
    key: Option<String>,
    rule: Option<String>,
    code: Option<String>,
    severity: Option<String>,
    request: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<String>,
    limit: Option<u16>,
}

async fn page(
    admin: &Admin,
    class: &Class,
    which: &Which,
    facets: &[(&'static str, &Option<String>)],
) -> Result<Json<Value>, Failure> {
    let after = which.after.as_deref().map(Cursor::from);
    let filters =
        facets.iter().filter_map(|(facet, value)| Some((*facet, (*value).clone()?))).collect();
    let query = Query {
        filters,
        since: which.since,
        until: which.until,
        after,
        order: Order::Newest,
        limit: which.limit.unwrap_or(100),
        ..Query::new(class)
    };
    let page = admin.gateway.store.list(&which.tenant, &query).await?;
    let records: Vec<Value> = page
        .records
        .iter()
        .map(|record| json!({"id": record.id, "time": record.time, "meta": record.meta}))
        .collect();
    Ok(Json(json!({"records": records, "next": page.next.as_ref().map(Cursor::as_str)})))
}

async fn decisions(State(admin): State<Admin>, which: In<Which>) -> Result<Json<Value>, Failure> {
    let which = query(which)?;
    let facets = [
        ("verdict", &which.verdict),
        ("route", &which.route),
        ("model", &which.model),
        ("key", &which.key),
        ("rules", &which.rule),
    ];
    page(&admin, &DECISION, &which, &facets).await
}

async fn findings(State(admin): State<Admin>, which: In<Which>) -> Result<Json<Value>, Failure> {
    let which = query(which)?;
    let facets = [
        ("code", &which.code),
        ("severity", &which.severity),
        ("route", &which.route),
        ("request", &which.request),
    ];
    page(&admin, &FINDING, &which, &facets).await
}

async fn one(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    which: In<Which>,
    Path(decision): Path<String>,
) -> Result<Json<Value>, Failure> {
    let tenant = query(which)?.tenant;
    let decision = id(&decision)?;
    // Whoever reads people's words leaves a trace.
    admin
        .gateway
        .record(&tenant, actor, "admin.decision.read", &format!("request:{decision}"), &[])
        .await?;
    let record = admin.gateway.store.get(&tenant, &DECISION, decision).await?;
    let record = record.ok_or_else(|| {
        bartizan_gateway::Error::NotFound(format!("there is no decision `{decision}`"))
    })?;
    Ok(Json(
        json!({"id": record.id, "time": record.time, "meta": record.meta, "text": record.sealed}),
    ))
}
