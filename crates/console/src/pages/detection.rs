//! Detection rules: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/detection-rules", "Detection rules", Section::Respond, "detection", || get(show));

static EMPTY: Empty = Empty {
    lead: "What is looked for over many events: sequences, rates, behaviour that is unlike before.",
    why: "The room that detects over events (detect) is not built yet; the guard’s rules look at single texts.",
    will: &[
        "read Sigma rules and what each costs",
        "try one on the past before it runs",
        "see what it would have raised",
    ],
    until: &[("guard rules", "/rules")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
