//! The API's endpoints: a file a subject, all of them listed in `catalog.rs`.
// shared: records

mod account;
pub(crate) mod approvals;
mod catalog;
mod database;
pub(crate) mod decisions;
pub(crate) mod findings;
pub(crate) mod keys;
mod ledger;
mod people;
mod refusals;
mod status;
mod token;

use axum::{http::Method, routing::MethodRouter};
use bartizan_policy::Area;
use schemars::{JsonSchema, Schema, SchemaGenerator};

pub(crate) use catalog::ALL;

use crate::Admin;

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
    /// The name in the document, such as `keys.list`.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// What the policies must permit.
    pub(crate) needs: Needs,
    /// The fields of the query.
    pub(crate) asks: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The body.
    pub(crate) takes: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The answer.
    pub(crate) gives: fn(&mut SchemaGenerator) -> Schema,
    /// The answer's media type.
    pub(crate) form: &'static str,
}

/// What the policies must permit for an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    Read(Area),
    Manage(Area),
}

/// An operation that is served.
pub(crate) fn find(path: &str, method: &Method) -> Option<&'static Operation> {
    let endpoint = ALL.iter().find(|endpoint| endpoint.path == path)?;
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let same = |operation: &&Operation| operation.method.eq_ignore_ascii_case(method.as_str());
    endpoint.operations.iter().find(same)
}

impl Operation {
    /// Looks at something, and gives a `T`.
    const fn get<T: JsonSchema>(id: &'static str, summary: &'static str, area: Area) -> Self {
        Self {
            method: "get",
            id,
            summary,
            needs: Needs::Read(area),
            asks: None,
            takes: None,
            gives: SchemaGenerator::subschema_for::<T>,
            form: "application/json",
        }
    }

    /// Changes something, and gives a `T`.
    const fn post<T: JsonSchema>(id: &'static str, summary: &'static str, area: Area) -> Self {
        Self { method: "post", needs: Needs::Manage(area), ..Self::get::<T>(id, summary, area) }
    }

    const fn asks<T: JsonSchema>(self) -> Self {
        Self { asks: Some(T::json_schema), ..self }
    }

    const fn takes<T: JsonSchema>(self) -> Self {
        Self { takes: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }

    const fn form(self, form: &'static str) -> Self {
        Self { form, ..self }
    }
}
