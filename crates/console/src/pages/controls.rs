//! Controls: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/controls", "Controls", Section::Govern, "controls", || get(show));

static EMPTY: Empty = Empty {
    lead: "What must hold, by framework and edition, with the evidence that it does.",
    why: "Nothing maps evidence to controls yet (room govern). The ledger already keeps the evidence.",
    will: &[
        "see each control with its newest evidence",
        "hand an auditor a signed export",
        "be told when evidence grows stale",
    ],
    until: &[("the ledger", "/ledger"), ("rules with their references", "/rules")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
