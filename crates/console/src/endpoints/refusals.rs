//! What was refused before a verdict: of each kind and minute, how many.

use axum::{Json, extract::State, routing::get};
use bartizan_policy::Area;

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    counts::{self, Facets, Histogram},
    listing::{Records, page},
    permit::Permit,
    take::Asked,
    which::{RefusalFacets, RefusalHistogram, WhichRefusals},
};

pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/refusals",
    operations: &[Operation::get::<Records>(
        "refusals.list",
        "List refusals before a verdict, newest first, a page at a time; each record counts those of one kind within a minute",
        Area::Decisions,
    )
    .asks::<WhichRefusals>()],
    serve: || get(list),
};
pub(super) const FACETS: Endpoint = Endpoint {
    path: "/api/v1/refusals/facets",
    operations: &[Operation::get::<Facets>(
        "refusals.facets",
        "How many records of refusals there are, by the values of facets",
        Area::Decisions,
    )
    .asks::<RefusalFacets>()],
    serve: || get(facets),
};
pub(super) const HISTOGRAM: Endpoint = Endpoint {
    path: "/api/v1/refusals/histogram",
    operations: &[Operation::get::<Histogram>(
        "refusals.histogram",
        "How many records of refusals there are in each step of time",
        Area::Decisions,
    )
    .asks::<RefusalHistogram>()],
    serve: || get(histogram),
};

async fn list(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<WhichRefusals>,
) -> Result<Json<Records>, Failure> {
    Ok(Json(page(&admin, &permit, &which.query()?).await?))
}

async fn facets(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<RefusalFacets>,
) -> Result<Json<Facets>, Failure> {
    Ok(Json(counts::facets(&admin, &permit, &which.counting()).await?))
}

async fn histogram(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<RefusalHistogram>,
) -> Result<Json<Histogram>, Failure> {
    Ok(Json(counts::histogram(&admin, &permit, &which.counting()).await?))
}
