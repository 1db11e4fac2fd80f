//! Programme: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/programme", "Programme", Section::Govern, "programme", || get(show));

static EMPTY: Empty = Empty {
    lead: "How the whole is doing over months: goals, gaps, reviews, who owns what.",
    why: "Nothing records goals or reviews yet (room govern).",
    will: &[
        "set a goal and see the way to it",
        "plan a review, and keep its outcome",
        "print a report for those who decide",
    ],
    until: &[("the overview", "/")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
