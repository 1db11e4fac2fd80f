//! Saved filters: they are saved, found and deleted where they narrow a list.

use axum::{extract::State, routing::post};
use bartizan_policy::Area;

use super::Page;
use crate::{
    Admin, Failure,
    endpoints::Needs,
    frame::{Answer, go},
    params::{Params, back, said},
    saved::{self, FILTERS_MAX, NAME_CHARS_MAX, NewFilter, Savable},
    take::Of,
    visitor::Visitor,
};

const MANAGE: Needs = Needs::Manage(Area::Account);
pub(super) static SAVE: Page = Page::below("/filters", "Save a filter", MANAGE, || post(save));
pub(super) static DELETE: Page =
    Page::below("/filters/{id}/delete", "Delete a filter", MANAGE, || post(delete));

/// The person's filters, beside a list.
#[derive(Debug)]
pub(super) struct Filters {
    pub(super) page: &'static str,
    /// What narrows the list now.
    pub(super) query: String,
    pub(super) rows: Vec<Row>,
    pub(super) full: bool,
    pub(super) most: usize,
    pub(super) name_max: usize,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) href: String,
    /// Whether it is what the list shows now.
    pub(super) here: bool,
}

impl Filters {
    /// Those of this page; `narrowed` is what it is narrowed by.
    pub(super) async fn of(
        admin: &Admin,
        visitor: &Visitor,
        page: &'static Savable,
        narrowed: &Params,
    ) -> Result<Self, Failure> {
        let all = saved::of(admin, &visitor.permit).await?;
        let full = all.len() >= FILTERS_MAX;
        let here = narrowed.at(page.path);
        let row = |one: saved::Shown| Row {
            here: one.href == here,
            id: one.id.to_string(),
            name: one.name,
            href: one.href,
        };
        let rows = all.into_iter().filter(|one| one.page == page.name).map(row).collect();
        let query = narrowed.query();
        Ok(Self { page: page.name, query, rows, full, most: FILTERS_MAX, name_max: NAME_CHARS_MAX })
    }
}

async fn save(State(admin): State<Admin>, visitor: Visitor, form: Params) -> Answer {
    let new = NewFilter {
        page: form.need("page")?.to_owned(),
        name: form.need("name")?.to_owned(),
        query: form.get("query").unwrap_or_default().to_owned(),
    };
    let shown = saved::save(&admin, &visitor.permit, &new).await?;
    go(&said(&shown.href, &[("done", "kept")]))
}

async fn delete(State(admin): State<Admin>, visitor: Visitor, Of(id): Of, form: Params) -> Answer {
    saved::delete(&admin, &visitor.permit, id).await?;
    go(&said(&back(form.get("back")), &[("done", "deleted")]))
}
