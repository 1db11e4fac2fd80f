//! Search over everything that has an address: pages by name, records by id, keys and the person's saved filters by name.
//! The palette asks the same.

use askama::Template;
use axum::{Json, extract::State, http::Uri, response::IntoResponse, routing::get};
use bartizan_core::{Id, json};
use bartizan_gateway::{
    decisions::{DECISION, FINDING},
    holds::APPROVAL,
    keys::KEY,
};
use bartizan_policy::{Access, Area};
use serde::Serialize;

use super::{ALL, Page, Section};
use crate::{
    Admin, Failure,
    endpoints::Needs,
    frame::{Answer, Frame, page},
    params::Params,
    record::Meta,
    saved,
    visitor::Visitor,
};

/// LIMIT: hits of a search.
const HITS_MAX: usize = 40;

pub(super) static PAGE: Page =
    Page::below("/search", "Search", Needs::Read(Area::Account), || get(show));

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Hit {
    title: String,
    /// What it is.
    hint: &'static str,
    href: String,
}

/// What a script is sent.
#[derive(Debug, Serialize)]
struct Found {
    found: Vec<Hit>,
}

#[derive(Template)]
#[template(path = "search.html")]
struct Search {
    f: Frame,
    q: String,
    found: Vec<Hit>,
}

async fn show(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["q", "form"])?;
    let q = json::clip(params.get("q").unwrap_or_default().trim(), 256).to_owned();
    let mut found = if q.is_empty() { Vec::new() } else { hits(&admin, &visitor, &q).await? };
    found.truncate(HITS_MAX);
    if params.get("form") == Some("json") {
        return Ok(Json(Found { found }).into_response());
    }
    page(&Search { f: Frame::new(&visitor, &PAGE, &uri), q, found })
}

async fn hits(admin: &Admin, visitor: &Visitor, q: &str) -> Result<Vec<Hit>, Failure> {
    let may = |area| visitor.permit.also(admin, Access::Read(area)).is_ok();
    let low = q.to_lowercase();
    let pages = ALL.iter().filter(|page| page.section != Section::Nowhere);
    let pages = pages.filter(|page| page.title.to_lowercase().contains(&low));
    let mut out: Vec<Hit> = pages
        .map(|page| Hit { title: page.title.to_owned(), hint: "page", href: page.path.to_owned() })
        .collect();
    let filters = saved::of(admin, &visitor.permit).await?;
    out.extend(
        filters
            .into_iter()
            .filter(|filter| filter.name.to_lowercase().contains(&low))
            .map(|filter| Hit { title: filter.name, hint: "saved filter", href: filter.href }),
    );
    if let Ok(id) = q.parse::<Id>() {
        out.extend(by_id(admin, visitor, id).await?);
    }
    if let Ok(index) = q.parse::<u64>()
        && may(Area::Ledger)
        && index < admin.gateway.ledger.head().size
    {
        out.push(Hit {
            title: format!("Entry {index}"),
            hint: "ledger",
            href: format!("/ledger/{index}"),
        });
    }
    if may(Area::Routes) {
        let rules = admin.gateway.guard.rules().iter().filter(|rule| {
            rule.meta.code.to_lowercase().contains(&low)
                || rule.meta.name.replace('-', " ").contains(&low)
        });
        out.extend(rules.map(|rule| Hit {
            title: format!("{} {}", rule.meta.code, rule.meta.name.replace('-', " ")),
            hint: "rule",
            href: format!("/rules/{}", rule.meta.code),
        }));
    }
    if may(Area::Keys) {
        let keys = admin.gateway.keys.list(visitor.permit.tenant()).await?;
        let keys = keys.into_iter().filter(|key| key.name.to_lowercase().contains(&low));
        out.extend(keys.map(|key| Hit {
            title: key.name,
            hint: "key",
            href: format!("/keys/{}", key.id),
        }));
    }
    Ok(out)
}

/// What carries this id.
async fn by_id(admin: &Admin, visitor: &Visitor, id: Id) -> Result<Option<Hit>, Failure> {
    let (store, tenant) = (&admin.gateway.store, visitor.permit.tenant());
    let may = |area| visitor.permit.also(admin, Access::Read(area)).is_ok();
    if may(Area::Decisions) && store.get(tenant, &DECISION, id).await?.is_some() {
        return Ok(Some(Hit {
            title: format!("Request {id}"),
            hint: "request",
            href: format!("/traffic/{id}"),
        }));
    }
    if may(Area::Findings)
        && let Some(record) = store.get(tenant, &FINDING, id).await?
    {
        let title = format!(
            "{} {}",
            Meta(&record.meta).text("code"),
            Meta(&record.meta).text("/finding/title")
        );
        return Ok(Some(Hit { title, hint: "finding", href: format!("/findings/{id}") }));
    }
    if may(Area::Keys) && store.get(tenant, &KEY, id).await?.is_some() {
        return Ok(Some(Hit {
            title: format!("Key {id}"),
            hint: "key",
            href: format!("/keys/{id}"),
        }));
    }
    if may(Area::Approvals) && store.get(tenant, &APPROVAL, id).await?.is_some() {
        return Ok(Some(Hit {
            title: format!("Approval {id}"),
            hint: "approval",
            href: "/approvals?state=any".to_owned(),
        }));
    }
    Ok(None)
}
