//! Conversations: nothing records into it yet.

use axum::{http::Uri, routing::get};

use super::{
    Page, Section,
    empty::{self, Empty},
};
use crate::{frame::Answer, visitor::Visitor};

pub(super) static PAGE: Page =
    empty::of("/conversations", "Conversations", Section::Watch, "conversations", || get(show));

static EMPTY: Empty = Empty {
    lead: "Requests that belong together, told as one story: a person, an application, an agent and its tools.",
    why: "Requests are recorded one by one; nothing yet says which of them belong to one conversation.",
    will: &[
        "read a whole exchange over many requests",
        "see where it turned, and what each step decided",
        "follow one end user by a keyed digest, never by name",
    ],
    until: &[("look at single requests", "/traffic")],
};

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    empty::show(&visitor, &uri, &PAGE, &EMPTY)
}
