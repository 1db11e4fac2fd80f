//! Playground: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/playground", "Playground", Section::Protect, "playground", || get(show));

static EMPTY: Empty = Empty {
    lead: "Try a text against the rules of a route, and see what each says, before an application does.",
    why: "The guard answers such questions already, on the data plane and on the command line; this page is to ask it from here.",
    will: &[
        "paste a text and pick a route",
        "see every view of it, decoded, with the spans that a rule marks",
        "compare two settings of a rule on the same text",
    ],
    until: &[("look at the rules with their examples", "/rules"), ("test a key", "/keys")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
