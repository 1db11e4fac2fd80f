//! Paths that the operator lists, passed on uninspected and marked as such; every
//! other path is refused.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bartizan_ledger::Entry;
use bartizan_policy::{Access, Request as Ask};
use http::{header, request::Parts as Head};

use crate::{
    exchange::durable,
    gateway::Gateway,
    intake,
    keys::Key,
    pipeline::{Arrival, principal},
    protocols::{self, Failure},
    refusals, reply,
    upstream::Uninspected,
};

pub(crate) async fn answer(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    head: &Head,
    body: Body,
    key: &Key,
) -> Result<Response, Failure> {
    let path = head.uri.path();
    let known = protocols::ALL.iter().any(|protocol| protocol.meta().path == path);
    if known {
        return Err(refusals::wrong_method(head.method.as_str(), path));
    }
    let route = arrival.live.route_of_path(path).ok_or_else(|| refusals::unknown_path(path))?;
    let id = key.id.to_string();
    let ask = Ask::new(principal(key, &id), &key.tenant, Access::Pass { route: &route.name });
    let grant = gateway
        .authorizer
        .authorize(&gateway.cx, &ask)
        .map_err(|denied| refusals::not_allowed(&key.name, "path", path, &denied.to_string()))?;
    let bounds = &arrival.live.config.data;
    let time_max = std::time::Duration::from_millis(bounds.body_ms_max);
    let body = intake::read(&head.headers, body, bounds.body_bytes_max, time_max).await?;
    let tag = gateway
        .store
        .tenant_tag(&key.tenant)
        .await
        .map_err(|error| refusals::internal("the tenant's key cannot be read", &error))?;
    let entry = Entry::new("gateway.decision")
        .tenant(&tag)
        .actor(&format!("key:{}", key.id))
        .subject(&format!("request:{}", arrival.id))
        .with("route", route.name.as_str())
        .with("not_inspected", vec![format!("path {path}")]);
    let content_type = head.headers.get(header::CONTENT_TYPE).cloned();
    let parcel = Uninspected {
        method: head.method.clone(),
        path: path.to_owned(),
        content_type,
        body: body.into(),
    };
    let pending = gateway.append(entry)?;
    let (answer, entry) =
        tokio::join!(route.pool.pass(&gateway.cx, grant, parcel), durable(pending));
    entry?;
    let mut answer = answer.map_err(|error| refusals::upstream(&error))?;
    let bytes = answer
        .read_all(bounds.answer_bytes_max)
        .await
        .map_err(|error| refusals::upstream(&error))?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = answer.status;
    if let Some(value) = answer.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, value.clone());
    }
    reply::with_id(response.headers_mut(), arrival.id);
    Ok(response)
}
