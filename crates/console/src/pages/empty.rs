//! What a page shows that nothing records into yet: what it will be for, and where to look
//! until then.

use askama::Template;
use axum::{http::Uri, routing::MethodRouter};
use bartizan_policy::Area;

use super::{Page, Section};
use crate::{
    Admin,
    endpoints::Needs,
    frame::{Answer, Frame, page},
    visitor::Visitor,
};

/// What is to be said.
#[derive(Debug)]
pub(super) struct Empty {
    /// What the page is for.
    pub(super) lead: &'static str,
    /// Why there is nothing.
    pub(super) why: &'static str,
    /// What one will do here.
    pub(super) will: &'static [&'static str],
    /// Where to look until then: words and path.
    pub(super) until: &'static [(&'static str, &'static str)],
}

#[derive(Template)]
#[template(path = "empty.html")]
struct Shown {
    f: Frame,
    icon: &'static str,
    lead: &'static str,
    why: &'static str,
    will: &'static [&'static str],
    until: &'static [(&'static str, &'static str)],
}

/// The entry of such a page in the catalogue.
pub(super) const fn of(
    path: &'static str,
    title: &'static str,
    section: Section,
    icon: &'static str,
    serve: fn() -> MethodRouter<Admin>,
) -> Page {
    Page { path, title, letter: None, section, icon, needs: Needs::Read(Area::Decisions), serve }
}

pub(super) fn show(
    visitor: &Visitor,
    uri: &Uri,
    of: &'static Page,
    empty: &'static Empty,
) -> Answer {
    let Empty { lead, why, will, until } = *empty;
    page(&Shown { f: Frame::new(visitor, of, uri), icon: of.icon, lead, why, will, until })
}
