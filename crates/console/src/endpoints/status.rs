//! How the installation does: readiness, routes and their targets.

use std::collections::BTreeMap;

use axum::{Json, extract::State, routing::get};
use bartizan_gateway::config::RuleConfig;
use bartizan_policy::Area;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Endpoint, Operation};
use crate::{Admin, Failure, permit::Permit, take::Asked};

pub(super) const ROUTES: Endpoint = Endpoint {
    path: "/api/v1/routes",
    operations: &[Operation::get::<Vec<Route>>(
        "routes.list",
        "The routes in force, and how their targets do",
        Area::Routes,
    )],
    serve: || get(routes),
};
pub(super) const STATUS: Endpoint = Endpoint {
    path: "/api/v1/status",
    operations: &[Operation::get::<Status>(
        "status",
        "Version, readiness, ledger, database",
        Area::Routes,
    )
    .asks::<How>()],
    serve: || get(status),
};

/// A route in force.
#[derive(Debug, Serialize, JsonSchema)]
struct Route {
    name: String,
    models: Vec<String>,
    targets: Vec<Target>,
    /// Rules that do otherwise than shipped, by code.
    rules: BTreeMap<String, RuleConfig>,
    /// What passes although the gateway cannot see it.
    allow_opaque: Vec<String>,
    /// Paths that pass uninspected.
    pass_paths: Vec<String>,
    /// Whether texts are kept.
    keep_text: bool,
}

/// Where a route's requests can go.
#[derive(Debug, Serialize, JsonSchema)]
struct Target {
    name: String,
    /// Targets of the lowest number go first.
    priority: u32,
    weight: u32,
    /// `closed`: it takes requests; `open`: it is left alone for a while; `half-open`:
    /// one request tries it.
    condition: String,
    /// Requests that run there now.
    running: usize,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct How {
    /// Look for damage in the whole database, too, which takes some seconds a gigabyte.
    check: bool,
}

/// How the installation does.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    version: String,
    ready: bool,
    /// Why not.
    problem: Option<String>,
    ledger: LedgerStatus,
    /// What is damaged in the database; absent where it was not looked for.
    database: Option<Vec<String>>,
    routes: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LedgerStatus {
    origin: String,
    size: u64,
}

async fn routes(State(admin): State<Admin>, _: Permit) -> Json<Vec<Route>> {
    Json(admin.gateway.live().routes.values().map(|route| shown(route)).collect())
}

fn shown(route: &bartizan_gateway::routes::Route) -> Route {
    let targets = route.pool.states().into_iter().map(|target| Target {
        name: target.name,
        priority: target.priority,
        weight: target.weight,
        condition: target.condition.as_str().to_owned(),
        running: target.running,
    });
    Route {
        name: route.name.clone(),
        models: route.config.models.clone(),
        targets: targets.collect(),
        rules: route.config.rules.clone(),
        allow_opaque: route.config.allow_opaque.clone(),
        pass_paths: route.config.pass_paths.clone(),
        keep_text: route.config.keep_text,
    }
}

async fn status(
    State(admin): State<Admin>,
    _: Permit,
    Asked(how): Asked<How>,
) -> Result<Json<Status>, Failure> {
    let gateway = &admin.gateway;
    let database = match how.check {
        true => Some(gateway.store.check().await?),
        false => None,
    };
    let head = gateway.ledger.head();
    let ready = gateway.ready().await;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: ready.is_ok(),
        problem: ready.err().map(|error| error.to_string()),
        ledger: LedgerStatus { origin: head.origin, size: head.size },
        database,
        routes: gateway.live().routes.len(),
    }))
}
