//! Saved filters: what a person looks at again and again, under a name. Each is its
//! person's own, in the tenant whose records it looks through.
//!
//! A name is foreign text, and so is a query: of the latter only that is kept which the
//! page itself reads of an address.

use axum::http::StatusCode;
use bartizan_core::{Id, Tenant, Timestamp, json};
use bartizan_policy::{Access, Area};
use bartizan_store::{Class, Error, Query, Retention, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Admin, Failure, pages,
    params::Params,
    people::{
        account::{from_map, to_map},
        codes,
    },
    permit::{Act, Permit},
};

pub(crate) const FILTER: Class = Class {
    name: "saved-filter",
    facets: &["person"],
    counted: &[],
    retention: Retention::FOREVER,
};
/// LIMIT: of one person; more are not found again at a glance.
pub(crate) const FILTERS_MAX: usize = 32;
/// LIMIT: a name, in characters: a line of a narrow column.
pub(crate) const NAME_CHARS_MAX: usize = 64;
/// LIMIT: a query, in bytes; one of every filter with long values has a quarter of it.
const QUERY_BYTES_MAX: usize = 2048;

/// A page whose filter can be saved.
#[derive(Debug)]
pub(crate) struct Savable {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// What its visitor must be allowed to read.
    pub(crate) area: Area,
    /// What narrows the page, of an address's query, read as the page reads it.
    pub(crate) read: fn(Option<&str>, Timestamp) -> Result<Params, Failure>,
}

/// A filter to save.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFilter {
    /// The page that it narrows: `traffic` or `findings`.
    pub(crate) page: String,
    /// A name for its person: 1 to 64 characters.
    pub(crate) name: String,
    /// The query of the page's address, such as `verdict=block&range=7d`.
    pub(crate) query: String,
}

/// A filter, as it rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Filter {
    person: Id,
    page: String,
    name: String,
    /// With its question mark, or nothing.
    query: String,
    saved_at: Timestamp,
}

/// A filter as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Shown {
    #[schemars(with = "String")]
    pub(crate) id: Id,
    pub(crate) page: String,
    pub(crate) name: String,
    /// The address that it stands for, such as `/traffic?verdict=block`.
    pub(crate) href: String,
    #[schemars(with = "String")]
    pub(crate) saved_at: Timestamp,
}

impl Filter {
    /// Nothing where the page is not one of this version's.
    fn shown(self, id: Id) -> Option<Shown> {
        let path = savable(&self.page).ok()?.path;
        let href = format!("{path}{}", self.query);
        Some(Shown { id, page: self.page, name: self.name, href, saved_at: self.saved_at })
    }
}

/// The page of this name.
pub(crate) fn savable(name: &str) -> Result<&'static Savable, Failure> {
    pages::SAVABLE.iter().copied().find(|page| page.name == name).ok_or_else(|| {
        let shown = json::clip(name, 32);
        let names: Vec<&str> = pages::SAVABLE.iter().map(|page| page.name).collect();
        let known = names.join("` or `");
        Failure::invalid(format!("no filter of `{shown}` is saved: expected `{known}`"))
    })
}

/// The filters of who asks, by page and name.
pub(crate) async fn of(admin: &Admin, permit: &Permit) -> Result<Vec<Shown>, Failure> {
    let found = all(&admin.gateway.store, permit.tenant(), permit.person()?.id).await?;
    let mut shown: Vec<Shown> =
        found.into_iter().filter_map(|(id, filter)| filter.shown(id)).collect();
    let key = |one: &Shown| (one.page.clone(), one.name.to_lowercase(), one.id);
    shown.sort_by_cached_key(key);
    Ok(shown)
}

async fn all(store: &Store, tenant: &Tenant, person: Id) -> Result<Vec<(Id, Filter)>, Failure> {
    let filters = vec![("person", person.to_string())];
    let query = Query { filters, limit: 500, ..Query::new(&FILTER) };
    let page = store.list(tenant, &query).await?;
    page.records.into_iter().map(|record| Ok((record.id, from_map(record.meta)?))).collect()
}

/// Saves one, for who asks.
pub(crate) async fn save(
    admin: &Admin,
    permit: &Permit,
    new: &NewFilter,
) -> Result<Shown, Failure> {
    let (store, tenant) = (&admin.gateway.store, permit.tenant());
    let person = permit.person()?.id;
    let page = savable(&new.page)?;
    permit.also(admin, Access::Read(page.area))?;
    let name = name(&new.name)?;
    let saved_at = admin.gateway.cx.now();
    let query = query(page, &new.query, saved_at)?;
    if all(store, tenant, person).await?.len() >= FILTERS_MAX {
        return Err(full());
    }
    // One of a name and page, whoever is faster.
    let id = codes::id_of("saved-filter", &format!("{tenant}\0{person}\0{}\0{name}", page.name));
    let filter = Filter { person, page: page.name.to_owned(), name, query, saved_at };
    let subject = format!("filter:{id}");
    let details = [("page", page.name)];
    let act = Act { kind: "person.filter.save", subject: &subject, details: &details };
    let work = async {
        let put = store.put(tenant, &FILTER, id, to_map(&filter)?, None).await;
        put.map_err(|error| match error {
            Error::Exists { .. } => taken(&filter.name),
            other => other.into(),
        })?;
        // Two that are saved at once may both have found the last place.
        if all(store, tenant, person).await?.len() > FILTERS_MAX {
            store.delete(tenant, &FILTER, id).await?;
            return Err(full());
        }
        filter.shown(id).ok_or_else(|| Failure::spoilt("no page"))
    };
    permit.act(admin, act, work).await
}

/// Deletes one of the own.
pub(crate) async fn delete(admin: &Admin, permit: &Permit, id: Id) -> Result<Shown, Failure> {
    let (store, tenant) = (&admin.gateway.store, permit.tenant());
    let missing = || Failure::not_found(format!("you have no saved filter `{id}`"));
    let record = store.get(tenant, &FILTER, id).await?.ok_or_else(missing)?;
    let filter: Filter = from_map(record.meta)?;
    if filter.person != permit.person()?.id {
        return Err(missing());
    }
    let subject = format!("filter:{id}");
    let act = Act { kind: "person.filter.delete", subject: &subject, details: &[] };
    let work = async {
        match store.delete(tenant, &FILTER, id).await? {
            true => filter.shown(id).ok_or_else(missing),
            false => Err(missing()),
        }
    };
    permit.act(admin, act, work).await
}

/// A name as filters have it, or what is wrong with it.
fn name(text: &str) -> Result<String, Failure> {
    let name = text.trim();
    let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(Failure::invalid(format!(
        "a filter's name has 1 to {NAME_CHARS_MAX} characters, all in one line"
    )))
}

/// What the page reads of a query, and no more.
fn query(page: &Savable, text: &str, now: Timestamp) -> Result<String, Failure> {
    let text = text.strip_prefix('?').unwrap_or(text);
    let query = (page.read)(Some(text), now)?.query();
    match query.len() <= QUERY_BYTES_MAX {
        true => Ok(query),
        false => Err(Failure::invalid(format!(
            "the filter has {} bytes: at most {QUERY_BYTES_MAX} are saved",
            query.len()
        ))),
    }
}

fn full() -> Failure {
    Failure::invalid(format!("you have {FILTERS_MAX} saved filters, and no more fit: delete one"))
}

fn taken(name: &str) -> Failure {
    let message =
        format!("you have a filter `{name}` of this page: delete it, or take another name");
    Failure::new(StatusCode::CONFLICT, "conflict", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_at_most_64_characters() {
        assert_eq!(name("  blocked, of late ").expect("a name"), "blocked, of late");
        assert!(name(&"ä".repeat(64)).is_ok());
        for bad in ["", "  ", "a\nb", "a\u{0}", &"ä".repeat(65)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn of_a_query_only_what_its_page_reads_is_kept() {
        let now = Timestamp::parse("2026-01-31T12:00:00Z").expect("a time");
        let of = |page: &str, text: &str| query(savable(page).expect("a page"), text, now);
        for (page, text, kept) in [
            ("traffic", "", ""),
            ("traffic", "?verdict=block&range=7d", "?verdict=block&range=7d"),
            (
                "traffic",
                "range=7d&after=x&done=saved&n=3&undo=y&rule=GD001",
                "?rule=GD001&range=7d",
            ),
            ("traffic", "javascript:alert(1)", ""),
            ("traffic", "since=2026-01-01T00:00:00Z", "?since=2026-01-01T00:00:00Z"),
            ("findings", "state=any&code=GD001&after=x", "?state=any&code=GD001"),
            ("findings", "assignee=%22%3E%3Cimg%3E", "?assignee=%22%3E%3Cimg%3E"),
        ] {
            assert_eq!(of(page, text).expect("is read"), kept, "{page} {text}");
        }
        for (page, text) in [
            ("traffic", "verdikt=block"),
            ("traffic", "verdict=none"),
            ("traffic", "model=a&model=b"),
            ("traffic", "tab=raw"),
            ("traffic", "state=open"),
            ("traffic", "range=2h"),
            ("traffic", "since=yesterday"),
            ("findings", "range=7d"),
            ("findings", "state=closed"),
            ("findings", "javascript:alert(1)=x"),
            (
                "findings",
                &["code", "assignee", "route", "request", "read_as"]
                    .map(|name| format!("{name}={}", "x".repeat(QUERY_BYTES_MAX / 4)))
                    .join("&"),
            ),
        ] {
            assert!(of(page, text).is_err(), "{page} {text}");
        }
        assert!(savable("keys").is_err() && savable("").is_err());
    }
}
