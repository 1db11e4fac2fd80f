//! Red team: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/red-team", "Red team", Section::Test, "redteam", || get(show));

static EMPTY: Empty = Empty {
    lead: "Attacks on your own applications, run on purpose, and what came of them.",
    why: "The room that attacks (redteam) is not built yet.",
    will: &[
        "pick attacks and an application",
        "compare a run with the one before",
        "turn what landed into findings",
    ],
    until: &[("rules with their examples", "/rules")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
