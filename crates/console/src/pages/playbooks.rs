//! Playbooks: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/playbooks", "Playbooks", Section::Respond, "playbooks", || get(show));

static EMPTY: Empty = Empty {
    lead: "What is done when something happens, step by step, with a person where a person must decide.",
    why: "The room that runs them (respond) is not built yet.",
    will: &[
        "read and try a playbook",
        "see every run, and what waits for approval",
        "write one as CACAO",
    ],
    until: &[("approvals", "/approvals")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
