//! Settings: the configuration in force, and where each value comes from.

use askama::Template;
use axum::{extract::State, http::Uri, routing::get};
use bartizan_policy::Area;

use super::{Page, Section};
use crate::{
    Admin, Setting,
    endpoints::Needs,
    frame::{Answer, Frame, page},
    params::Params,
    visitor::Visitor,
};

pub(super) static PAGE: Page = Page {
    path: "/settings",
    title: "Settings",
    letter: Some('s'),
    section: Section::House,
    icon: "settings",
    needs: Needs::Read(Area::Settings),
    serve: || get(show),
};

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    f: Frame,
    q: String,
    changed: bool,
    rows: Vec<Setting>,
    all: usize,
}

async fn show(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["q", "changed"])?;
    let q = params.get("q").unwrap_or_default().to_owned();
    let changed = params.get("changed").is_some();
    let settings = admin.settings();
    let low = q.to_lowercase();
    let fits = |one: &&Setting| {
        (!changed || one.origin != "default")
            && (one.key.to_lowercase().contains(&low) || one.value.to_lowercase().contains(&low))
    };
    let rows = settings.iter().filter(fits).cloned().collect();
    page(&Settings { f: Frame::new(&visitor, &PAGE, &uri), q, changed, rows, all: settings.len() })
}
