//! The API's endpoints: a file a subject, all of them listed in `catalog.rs`.

mod approvals;
mod catalog;
mod decisions;
mod keys;
mod ledger;
mod status;
mod token;

use axum::{extract::Query, routing::MethodRouter};
use bartizan_core::{Id, Tenant};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

pub(crate) use catalog::ALL;

use crate::{Admin, Failure};

/// A path, what it takes and what it gives, by method.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) path: &'static str,
    pub(crate) operations: &'static [Operation],
    pub(crate) serve: fn() -> MethodRouter<Admin>,
}

/// One method of a path.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) takes: Option<fn() -> Schema>,
    pub(crate) gives: fn() -> Schema,
}

/// Whose records.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Whose {
    /// The tenant; `default` when absent.
    #[schemars(with = "Option<String>")]
    tenant: Tenant,
}

type In<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

/// Reads the query string, or says what is wrong with it.
fn query<T>(read: In<T>) -> Result<T, Failure> {
    read.map(|Query(query)| query).map_err(|error| Failure::invalid(error.body_text()))
}

/// Reads an id out of a path.
fn id(text: &str) -> Result<Id, Failure> {
    text.parse().map_err(|error: bartizan_core::InvalidId| Failure::invalid(error.to_string()))
}

/// The schema of a type.
fn schema<T: JsonSchema>() -> Schema {
    schemars::schema_for!(T)
}

/// The schema of any object.
fn object() -> Schema {
    schemars::json_schema!({"type": "object"})
}
