//! Incidents: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/incidents", "Incidents", Section::Respond, "incidents", || get(show));

static EMPTY: Empty = Empty {
    lead: "Findings that belong together, from the first sign to the lesson learnt.",
    why: "Nothing opens incidents yet: that is the work of the rooms detect and respond.",
    will: &[
        "see the time line, and who does what",
        "run a playbook on it",
        "export it as a report with its proofs",
    ],
    until: &[("findings", "/findings"), ("the ledger", "/ledger")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
