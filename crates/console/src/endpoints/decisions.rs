//! What was decided about requests.

use axum::{Json, extract::State, routing::get};
use bartizan_core::Id;
use bartizan_gateway::decisions::DECISION;
use bartizan_policy::Area;
use bartizan_store::Record;

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    counts::{self, Facets, Histogram},
    listing::{Records, Whole, page},
    permit::{Act, Permit},
    take::{Asked, Of},
    which::{DecisionFacets, DecisionHistogram, WhichDecisions},
};

pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/decisions",
    operations: &[Operation::get::<Records>(
        "decisions.list",
        "List decisions about requests, newest first, a page at a time",
        Area::Decisions,
    )
    .asks::<WhichDecisions>()],
    serve: || get(list),
};
pub(super) const FACETS: Endpoint = Endpoint {
    path: "/api/v1/decisions/facets",
    operations: &[Operation::get::<Facets>(
        "decisions.facets",
        "How many decisions there are, by the values of facets",
        Area::Decisions,
    )
    .asks::<DecisionFacets>()],
    serve: || get(facets),
};
pub(super) const HISTOGRAM: Endpoint = Endpoint {
    path: "/api/v1/decisions/histogram",
    operations: &[Operation::get::<Histogram>(
        "decisions.histogram",
        "How many decisions there are in each step of time",
        Area::Decisions,
    )
    .asks::<DecisionHistogram>()],
    serve: || get(histogram),
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

async fn list(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<WhichDecisions>,
) -> Result<Json<Records>, Failure> {
    Ok(Json(page(&admin, &permit, &which.query()?).await?))
}

async fn facets(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<DecisionFacets>,
) -> Result<Json<Facets>, Failure> {
    Ok(Json(counts::facets(&admin, &permit, &which.counting()).await?))
}

async fn histogram(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<DecisionHistogram>,
) -> Result<Json<Histogram>, Failure> {
    Ok(Json(counts::histogram(&admin, &permit, &which.counting()).await?))
}

async fn one(
    State(admin): State<Admin>,
    permit: Permit,
    Of(id): Of,
) -> Result<Json<Whole>, Failure> {
    Ok(Json(read(&admin, &permit, id).await?.into()))
}

/// Reads a decision with its text, for the API and the page alike: whoever reads people's
/// words leaves a trace.
pub(crate) async fn read(admin: &Admin, permit: &Permit, id: Id) -> Result<Record, Failure> {
    let act = Act { kind: "admin.decision.read", subject: &format!("request:{id}"), details: &[] };
    let work = async {
        let record = admin.gateway.store.get(permit.tenant(), &DECISION, id).await?;
        record.ok_or_else(|| Failure::not_found(format!("there is no decision `{id}`")))
    };
    permit.act(admin, act, work).await
}
