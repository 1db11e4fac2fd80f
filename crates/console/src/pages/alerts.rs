//! Alerts: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/alerts", "Alerts", Section::Respond, "alerts", || get(show));

static EMPTY: Empty = Empty {
    lead: "Findings that were judged, grouped and worth waking someone for.",
    why: "The room that judges events (detect) is not built yet, so no alert is raised.",
    will: &[
        "see what was raised, by which detection, with its evidence",
        "acknowledge, silence, or make an incident of it",
        "tune what raises too much",
    ],
    until: &[("open findings that are severe", "/findings?severity=high")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
