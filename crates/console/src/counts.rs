//! How many records there are: by the values of facets, and over time.

use bartizan_store::{Counting, Counts};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Admin, Failure, permit::Permit};

/// How many records there are, and by what.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Facets {
    /// The records that pass the filters.
    pub(crate) records: u64,
    /// Whether that is all of them. Otherwise there are at least as many: with several filters,
    /// the newest some thousands are looked at.
    pub(crate) exact: bool,
    pub(crate) facets: Vec<Facet>,
}

/// The values of a facet.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Facet {
    pub(crate) name: String,
    /// The most frequent first.
    pub(crate) values: Vec<ValueCount>,
    /// Whether there are more values.
    pub(crate) more: bool,
    /// Whether the numbers are exact; otherwise there are at least as many.
    pub(crate) exact: bool,
}

/// How many records have a value.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ValueCount {
    pub(crate) value: String,
    pub(crate) records: u64,
}

/// How many records there are in each step of time.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Histogram {
    /// How long a step is, in milliseconds.
    pub(crate) step_ms: i64,
    /// All of them together.
    pub(crate) records: u64,
    /// Whether the numbers of records are exact; otherwise there are at least as many.
    pub(crate) exact: bool,
    /// Whether the numbers by value are exact.
    pub(crate) values_exact: bool,
    /// In the order of time; steps without records are left out.
    pub(crate) steps: Vec<HistogramStep>,
}

/// One step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistogramStep {
    /// RFC 3339.
    pub(crate) start: String,
    pub(crate) records: u64,
    /// In the same order in every step, the most frequent of all the time first; empty where
    /// no facet was named.
    pub(crate) values: Vec<ValueCount>,
}

/// Counts, for the API and for pages alike.
pub(crate) async fn count(
    admin: &Admin,
    permit: &Permit,
    what: &Counting<'_>,
) -> Result<Counts, Failure> {
    Ok(admin.gateway.store.count(permit.tenant(), what).await?)
}

pub(crate) async fn facets(
    admin: &Admin,
    permit: &Permit,
    what: &Counting<'_>,
) -> Result<Facets, Failure> {
    let Counts { records, exact, facets, .. } = count(admin, permit, what).await?;
    let facet = |counts: bartizan_store::FacetCounts| Facet {
        name: counts.facet,
        values: values(counts.values),
        more: counts.more,
        exact: counts.exact,
    };
    Ok(Facets { records, exact, facets: facets.into_iter().map(facet).collect() })
}

pub(crate) async fn histogram(
    admin: &Admin,
    permit: &Permit,
    what: &Counting<'_>,
) -> Result<Histogram, Failure> {
    let Counts { records, steps, .. } = count(admin, permit, what).await?;
    let step = |step: bartizan_store::StepCount| HistogramStep {
        start: step.start.to_string(),
        records: step.records,
        values: values(step.values),
    };
    Ok(Histogram {
        step_ms: what.steps.map_or(0, |steps| steps.step.millis()),
        records,
        exact: steps.exact,
        values_exact: steps.values_exact,
        steps: steps.steps.into_iter().map(step).collect(),
    })
}

fn values(counted: Vec<(String, u64)>) -> Vec<ValueCount> {
    counted.into_iter().map(|(value, records)| ValueCount { value, records }).collect()
}
