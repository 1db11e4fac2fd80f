//! What stands around every page: navigation, where one is, who one is, what was just done.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::{
    Failure, charts, files,
    html::Html,
    pages::{self, Page, Section},
    params::{Params, SAID},
    view,
    visitor::Visitor,
};

/// The frame of a page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    /// Titles on the way here, with their addresses; the last is this page.
    pub(crate) crumbs: Vec<(String, Option<String>)>,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) csrf: String,
    /// The address of this page, for forms that come back to it.
    pub(crate) here: String,
    pub(crate) toast: Option<Toast>,
    /// What waits, by the path of its page.
    pub(crate) counts: Vec<(&'static str, u64)>,
    scheme: &'static str,
    density: &'static str,
    path: &'static str,
}

/// What was done just now.
#[derive(Clone, Debug)]
pub(crate) struct Toast {
    pub(crate) words: String,
    /// The batch that can be undone.
    pub(crate) undo: Option<String>,
}

/// A line of the navigation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) href: &'static str,
    pub(crate) title: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) letter: Option<char>,
    pub(crate) here: bool,
    pub(crate) empty: bool,
    pub(crate) count: u64,
}

impl Frame {
    /// The frame of a page of the navigation.
    pub(crate) fn new(visitor: &Visitor, page: &'static Page, uri: &Uri) -> Self {
        let mut crumbs = vec![("Overview".to_owned(), Some("/".to_owned()))];
        if page.path == "/" {
            crumbs.clear();
        }
        crumbs.push((page.title.to_owned(), None));
        Self {
            title: page.title.to_owned(),
            crumbs,
            name: visitor.person.name.clone(),
            role: visitor.person.role.to_string(),
            csrf: visitor.csrf.clone(),
            here: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            toast: toast(uri),
            counts: vec![("/approvals", visitor.waiting)],
            scheme: visitor.person.preferences.scheme.as_str(),
            density: visitor.person.preferences.density.as_str(),
            path: page.path,
        }
    }

    /// The frame of something below that page; `list` is the address that one came from.
    #[must_use]
    pub(crate) fn below(mut self, title: &str, list: String) -> Self {
        if let Some(last) = self.crumbs.last_mut() {
            last.1 = Some(list);
        }
        title.clone_into(&mut self.title);
        self.crumbs.push((title.to_owned(), None));
        self
    }

    pub(crate) fn scheme(&self) -> &str {
        self.scheme
    }

    pub(crate) fn density(&self) -> &str {
        self.density
    }

    /// Whether there is such a page.
    pub(crate) fn has(&self, path: &str) -> bool {
        pages::ALL.iter().any(|page| page.path == path)
    }

    /// Which crumb, from 1, `Esc` goes back to.
    pub(crate) fn up_at(&self) -> usize {
        self.crumbs.len().saturating_sub(1)
    }

    pub(crate) fn nav(&self) -> Vec<(&'static str, Vec<Item>)> {
        let of = |section: Section| {
            let pages = pages::ALL.iter().filter(move |page| page.section == section);
            let item = |page: &&'static Page| Item {
                href: page.path,
                title: page.title,
                icon: page.icon,
                letter: page.letter,
                here: page.path == self.path,
                empty: page.letter.is_none() && section != Section::House,
                count: self
                    .counts
                    .iter()
                    .find(|(path, _)| *path == page.path)
                    .map_or(0, |(_, count)| *count),
            };
            (section.title(), pages.map(item).collect::<Vec<_>>())
        };
        Section::ALL.into_iter().map(of).filter(|(_, items)| !items.is_empty()).collect()
    }

    /// Letters after `g`, and where they go.
    pub(crate) fn letters(&self) -> Vec<(char, &'static str)> {
        pages::ALL.iter().filter_map(|page| Some((page.letter?, page.title))).collect()
    }

    pub(crate) fn asset(&self, name: &str) -> String {
        files::address(name)
    }

    pub(crate) fn icon(&self, name: &str) -> Html {
        view::icon(name)
    }

    /// The address of an icon, where its element carries a class of its own.
    pub(crate) fn sprite(&self, name: &str) -> String {
        format!("{}#{name}", files::address("icons.svg"))
    }
}

/// The words for what the address says was done; of a number and an id, nothing else of the
/// address is shown.
fn toast(uri: &Uri) -> Option<Toast> {
    let query = uri.query().filter(|query| query.contains("done="))?;
    let params = Params::of_query(Some(query), &[])
        .or_else(|_| Params::of_query(Some(&only_said(query)), &[]))
        .ok()?;
    let n = params.number("n").ok().flatten().unwrap_or(1);
    let things =
        if n == 1 { "1 finding".to_owned() } else { format!("{} findings", charts::number(n)) };
    let words = match params.get("done")? {
        "resolved" => format!("{things} resolved"),
        "acknowledged" => format!("{things} in work"),
        "reopened" => format!("{things} reopened"),
        "assigned" => format!("{things} assigned"),
        "noted" => "The note is added".to_owned(),
        "undone" => format!("Undone: {things} as before"),
        "approved" => "Approved: the application may send it once more".to_owned(),
        "denied" => "Denied".to_owned(),
        "revoked" => "The key is revoked".to_owned(),
        "saved" => "Saved".to_owned(),
        "kept" => "The filter is saved".to_owned(),
        "deleted" => "The filter is deleted".to_owned(),
        _ => return None,
    };
    let undo = params.get("undo").and_then(|id| id.parse::<bartizan_core::Id>().ok());
    Some(Toast { words, undo: undo.map(|id| id.to_string()) })
}

fn only_said(query: &str) -> String {
    let said = |pair: &&str| pair.split_once('=').is_some_and(|(name, _)| SAID.contains(&name));
    query.split('&').filter(said).collect::<Vec<_>>().join("&")
}

/// A page, or what went wrong with it.
pub(crate) type Answer = Result<Response, Failure>;

/// The answer with a page.
///
/// # Errors
/// When the template cannot be written.
pub(crate) fn page<T: Template>(template: &T) -> Answer {
    let text = template.render().map_err(|error| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            format!("the page cannot be written: {error}"),
        )
    })?;
    Ok(html(StatusCode::OK, text))
}

fn html(status: StatusCode, text: String) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// After a form was sent: on to a page, by GET.
///
/// # Errors
/// When the address cannot stand in a header.
pub(crate) fn go(to: &str) -> Answer {
    let to = HeaderValue::from_str(to)
        .map_err(|_| Failure::invalid("the address to go back to cannot be used"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
}

#[derive(Template)]
#[template(path = "failure.html")]
struct Sorry<'a> {
    f: Frame,
    heading: &'a str,
    message: &'a str,
    status: u16,
    code: &'a str,
}

/// What a person sees in place of a page that cannot be shown.
pub(crate) fn failure(visitor: &Visitor, uri: &Uri, failure: &Failure) -> Response {
    let heading = match failure.status {
        StatusCode::NOT_FOUND => "There is no such thing",
        StatusCode::FORBIDDEN => "You may not do this",
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => "This cannot be done as asked",
        StatusCode::CONFLICT => "Somebody was faster",
        StatusCode::METHOD_NOT_ALLOWED => "This is no page",
        _ => "Something does not work",
    };
    let mut f = Frame::new(visitor, pages::OVERVIEW, uri).below(heading, "/".to_owned());
    f.path = "";
    let message = failure.message.as_str();
    let (status, code) = (failure.status.as_u16(), failure.code);
    let sorry = Sorry { f, heading, message, status, code };
    html(failure.status, sorry.render().unwrap_or_else(|_| "something does not work".to_owned()))
}
