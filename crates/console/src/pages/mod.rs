//! The pages: a file each, all of them listed in `catalog.rs`. Navigation, palette, help and
//! the list that the browser tests walk follow from it.

mod account;
mod approvals;
mod assets;
mod catalog;
mod filters;
mod findings;
mod health;
mod help;
mod keys;
mod ledger;
mod overview;
mod people;
mod preferences;
mod refusals;
mod rules;
mod search;
mod settings;
mod traffic;
// Pages that nothing records into yet, and what they share.
mod alerts;
mod controls;
mod conversations;
mod detection;
mod empty; // shared: empty
mod inbox;
mod incidents;
mod playbooks;
mod playground;
mod programme;
mod redteam;
mod vulnerabilities;

use axum::{
    Router,
    extract::Request,
    http::Method,
    middleware::{Next, from_fn},
    response::Response,
    routing::MethodRouter,
};

pub(crate) use catalog::ALL;

use crate::{Admin, Failure, endpoints::Needs, frame, saved::Savable, visitor::Visitor};

/// The page that one begins with.
pub(crate) static OVERVIEW: &Page = &overview::PAGE;

/// The pages whose filters people save.
pub(crate) static SAVABLE: &[&Savable] = &[&traffic::SAVABLE, &findings::SAVABLE];

/// A page, or a path below one that does something.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) path: &'static str,
    pub(crate) title: &'static str,
    /// What follows `g` on the keyboard.
    pub(crate) letter: Option<char>,
    pub(crate) section: Section,
    /// A symbol of `icons.svg`.
    pub(crate) icon: &'static str,
    /// What the policies must permit.
    pub(crate) needs: Needs,
    pub(crate) serve: fn() -> MethodRouter<Admin>,
}

impl Page {
    /// Something below a page, which no navigation shows.
    pub(crate) const fn below(
        path: &'static str,
        title: &'static str,
        needs: Needs,
        serve: fn() -> MethodRouter<Admin>,
    ) -> Self {
        Self {
            path,
            title,
            letter: None,
            section: Section::Nowhere,
            icon: "overview",
            needs,
            serve,
        }
    }
}

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// What happens now.
    Watch,
    /// What stands in the way of harm.
    Protect,
    /// What is done when harm comes.
    Respond,
    /// What is looked for beforehand.
    Test,
    /// What must hold, and the proof that it does.
    Govern,
    /// The installation itself.
    House,
    /// Not in the navigation.
    Nowhere,
}

impl Section {
    pub(crate) const ALL: [Self; 6] =
        [Self::Watch, Self::Protect, Self::Respond, Self::Test, Self::Govern, Self::House];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Watch => "Watch",
            Self::Protect => "Protect",
            Self::Respond => "Respond",
            Self::Test => "Test",
            Self::Govern => "Govern",
            Self::House => "House",
            Self::Nowhere => "",
        }
    }
}

/// The needs of a page that is served.
pub(crate) fn needs(path: &str, _: &Method) -> Option<Needs> {
    ALL.iter().find(|page| page.path == path).map(|page| page.needs)
}

/// Every page; the router puts the door before them.
pub(crate) fn router() -> Router<Admin> {
    let mut router = Router::new();
    for page in ALL {
        router = router.route(page.path, (page.serve)());
    }
    router.layer(from_fn(in_words))
}

/// Gives failures the form of a page, where a person asks.
async fn in_words(request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>().cloned();
    let (uri, method) = (request.uri().clone(), request.method().clone());
    let wants_json = uri.query().is_some_and(|query| query.contains("form=json"));
    let mut response = next.run(request).await;
    let Some(visitor) = visitor.filter(|_| !wants_json && method != Method::HEAD) else {
        return response;
    };
    match response.extensions_mut().remove::<Failure>() {
        Some(failure) => {
            if failure.status.is_server_error() {
                tracing::error!(%method, path = uri.path(), error = %failure, "a page failed");
            }
            frame::failure(&visitor, &uri, &failure)
        }
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_pages_share_a_path_or_a_letter() {
        let paths: BTreeSet<&str> = ALL.iter().map(|page| page.path).collect();
        assert_eq!(paths.len(), ALL.len());
        let letters: Vec<char> = ALL.iter().filter_map(|page| page.letter).collect();
        let unique: BTreeSet<&char> = letters.iter().collect();
        assert_eq!(unique.len(), letters.len());
    }

    #[test]
    fn every_page_of_the_navigation_has_a_plain_path() {
        for page in ALL.iter().filter(|page| page.section != Section::Nowhere) {
            assert!(!page.path.contains('{'), "{}", page.path);
            assert!(!page.title.is_empty());
        }
    }
}
