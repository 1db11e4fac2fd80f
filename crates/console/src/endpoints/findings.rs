//! What was found in requests and answers, and what people did about it.

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use bartizan_core::Id;
use bartizan_gateway::decisions::FINDING;
use bartizan_policy::Area;
use bartizan_store::Record;

use super::{Endpoint, Operation};
use crate::{
    Admin, Failure,
    counts::{self, Facets, Histogram},
    listing::{Records, Whole, page},
    permit::{Act, Permit},
    take::{Asked, Of, Taken},
    triage::{self, Triage, Triaged},
    which::{FindingFacets, FindingHistogram, WhichFindings},
};

pub(super) const ALL: Endpoint = Endpoint {
    path: "/api/v1/findings",
    operations: &[Operation::get::<Records>(
        "findings.list",
        "List findings, newest first, a page at a time",
        Area::Findings,
    )
    .asks::<WhichFindings>()],
    serve: || get(list),
};
pub(super) const FACETS: Endpoint = Endpoint {
    path: "/api/v1/findings/facets",
    operations: &[Operation::get::<Facets>(
        "findings.facets",
        "How many findings there are, by the values of facets",
        Area::Findings,
    )
    .asks::<FindingFacets>()],
    serve: || get(facets),
};
pub(super) const HISTOGRAM: Endpoint = Endpoint {
    path: "/api/v1/findings/histogram",
    operations: &[Operation::get::<Histogram>(
        "findings.histogram",
        "How many findings there are in each step of time",
        Area::Findings,
    )
    .asks::<FindingHistogram>()],
    serve: || get(histogram),
};
pub(super) const ONE: Endpoint = Endpoint {
    path: "/api/v1/findings/{id}",
    operations: &[Operation::get::<Whole>(
        "findings.read",
        "One finding with what was seen and people's notes; that it was read is on record",
        Area::Findings,
    )],
    serve: || get(one),
};
pub(super) const TRIAGE: Endpoint = Endpoint {
    path: "/api/v1/findings/triage",
    operations: &[Operation::post::<Triaged>(
        "findings.triage",
        "Say of up to 500 findings in what state they are, whose they are, or add a note",
        Area::Findings,
    )
    .takes::<Triage>()],
    serve: || post(change),
};
pub(super) const UNDO: Endpoint = Endpoint {
    path: "/api/v1/findings/triage/{id}/undo",
    operations: &[Operation::post::<Triaged>(
        "findings.undo",
        "Take back what was said, of the findings that nobody has changed since",
        Area::Findings,
    )],
    serve: || post(undo),
};

async fn list(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<WhichFindings>,
) -> Result<Json<Records>, Failure> {
    Ok(Json(page(&admin, &permit, &which.query()?).await?))
}

async fn facets(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<FindingFacets>,
) -> Result<Json<Facets>, Failure> {
    Ok(Json(counts::facets(&admin, &permit, &which.counting()).await?))
}

async fn histogram(
    State(admin): State<Admin>,
    permit: Permit,
    Asked(which): Asked<FindingHistogram>,
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

/// Reads a finding with what was seen, for the API and the page alike: those are people's
/// words, and who reads them leaves a trace.
pub(crate) async fn read(admin: &Admin, permit: &Permit, id: Id) -> Result<Record, Failure> {
    let act = Act { kind: "admin.finding.read", subject: &format!("finding:{id}"), details: &[] };
    let work = async {
        let record = admin.gateway.store.get(permit.tenant(), &FINDING, id).await?;
        record.ok_or_else(|| Failure::not_found(format!("there is no finding `{id}`")))
    };
    permit.act(admin, act, work).await
}

async fn change(
    State(admin): State<Admin>,
    permit: Permit,
    Taken(wanted): Taken<Triage>,
) -> Result<Json<Triaged>, Failure> {
    Ok(Json(triage::triage(&admin, &permit, wanted).await?))
}

async fn undo(
    State(admin): State<Admin>,
    permit: Permit,
    Of(act): Of,
) -> Result<Json<Triaged>, Failure> {
    Ok(Json(triage::undo(&admin, &permit, act).await?))
}
