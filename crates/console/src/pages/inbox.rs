//! Inbox: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page = empty::of("/inbox", "Inbox", Section::Watch, "inbox", || get(show));

static EMPTY: Empty = Empty {
    lead: "Everything that asks for your attention, in one list, with what changed since you last looked.",
    why: "Approvals and findings have pages of their own; nothing sends to an inbox yet.",
    will: &[
        "see what is assigned to you",
        "be told when what you resolved comes back",
        "snooze what can wait",
    ],
    until: &[("what needs you", "/"), ("approvals", "/approvals"), ("open findings", "/findings")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
