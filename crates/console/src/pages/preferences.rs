//! Colours and density, as the menu of every page sets them.

use axum::{extract::State, routing::post};
use bartizan_policy::Area;

use super::Page;
use crate::{
    Admin, Failure,
    endpoints::Needs,
    frame::{Answer, go},
    params::{Params, back},
    people::own,
    visitor::{Density, Scheme, Visitor},
};

pub(super) static PAGE: Page =
    Page::below("/preferences", "Preferences", Needs::Manage(Area::Account), || post(set));

async fn set(State(admin): State<Admin>, visitor: Visitor, form: Params) -> Answer {
    let mut preferences = visitor.person.preferences;
    if let Some(word) = form.get("scheme") {
        let known = Scheme::ALL.into_iter().find(|scheme| scheme.as_str() == word);
        preferences.scheme = known.ok_or_else(|| unknown("scheme", word))?;
    }
    if let Some(word) = form.get("density") {
        let known = Density::ALL.into_iter().find(|density| density.as_str() == word);
        preferences.density = known.ok_or_else(|| unknown("density", word))?;
    }
    own::set_preferences(&admin, &visitor.permit, preferences).await?;
    go(&back(form.get("back")))
}

fn unknown(name: &str, word: &str) -> Failure {
    let shown = bartizan_core::json::clip(word, 32);
    Failure::invalid(format!("`{name}` is `{shown}`, which is none of those offered"))
}
