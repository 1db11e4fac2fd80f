//! Keys and help, for who has no JavaScript; others get them as a dialog.

use askama::Template;
use axum::{http::Uri, routing::get};
use bartizan_policy::Area;

use super::Page;
use crate::{
    endpoints::Needs,
    frame::{Answer, Frame, page},
    visitor::Visitor,
};

pub(super) static PAGE: Page =
    Page::below("/help", "Keys", Needs::Read(Area::Account), || get(show));

#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    f: Frame,
}

async fn show(visitor: Visitor, uri: Uri) -> Answer {
    page(&Help { f: Frame::new(&visitor, &PAGE, &uri) })
}
