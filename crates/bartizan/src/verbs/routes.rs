//! `bartizan routes`: the routes in force.

use serde_json::Value;

use super::{Call, cell};
use crate::output::Outcome;

pub(super) async fn run(call: &Call<'_>) -> anyhow::Result<Outcome> {
    let api = call.api("routes").await?;
    let routes = api.get("/api/v1/routes").await;
    api.close().await?;
    let routes = routes?.as_array().cloned().unwrap_or_default();
    let targets = |route: &Value| {
        let targets = route.get("targets").and_then(Value::as_array).into_iter().flatten();
        targets
            .map(|target| format!("{} ({})", cell(target, "/name"), cell(target, "/condition")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let row = |route: &Value| vec![cell(route, "/name"), cell(route, "/models"), targets(route)];
    call.out().many(
        &routes,
        &["route", "models", "targets"],
        row,
        "there are no routes; add `[routes.NAME]` to the configuration",
    )?;
    Ok(Outcome::Clean)
}
