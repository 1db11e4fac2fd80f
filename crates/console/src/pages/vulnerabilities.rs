//! Vulnerabilities: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/vulnerabilities", "Vulnerabilities", Section::Test, "vulnerabilities", || {
        get(show)
    });

static EMPTY: Empty = Empty {
    lead: "Known weaknesses in what you run, ranked by the risk that they carry here.",
    why: "Nothing takes in advisories or bills of materials yet (room vuln).",
    will: &[
        "see what is exploitable, not only what is listed",
        "see which application reaches it",
        "keep a decision with its reason",
    ],
    until: &[("assets", "/assets")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
