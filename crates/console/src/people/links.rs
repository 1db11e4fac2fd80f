//! One-time links: to make the first account, to accept an invitation, to get back in.
//! The secret in it is shown once and stored hashed; who removes the record uses it.

use std::time::Duration;

use bartizan_core::{Cx, Id, Tenant, Timestamp};
use bartizan_store::{Class, Query, Retention, Store};
use serde::{Deserialize, Serialize};

use super::{
    account::{from_map, to_map},
    codes,
};
use crate::Failure;

pub(crate) const LINK: Class = Class {
    name: "one-time-link",
    facets: &["purpose", "person"],
    counted: &[],
    retention: Retention::days(31),
};
const PREFIX: &str = "bzl_";
/// LIMIT: longer texts are not looked at; ours have 68 bytes.
const SECRET_BYTES_MAX: usize = 128;

/// What a link lets someone do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    hash: String,
    pub(crate) purpose: Purpose,
    /// Whose account it is for; nobody's where it makes the first one.
    pub(crate) person: Option<Id>,
    pub(crate) made_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// To make the first account, an administrator's.
    First,
    /// To set the password of an account that is invited.
    Invite,
    /// To set another password and second factor.
    Recover,
}

impl Purpose {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Invite => "invite",
            Self::Recover => "recover",
        }
    }
}

/// Makes a link; those of before for the same person or purpose are void. Gives its secret.
pub(crate) async fn make(
    store: &Store,
    cx: &Cx,
    purpose: Purpose,
    person: Option<Id>,
    holds: Duration,
) -> Result<String, Failure> {
    void(store, purpose, person).await?;
    let secret = codes::secret(cx, PREFIX);
    let now = cx.now();
    let link = Link {
        hash: codes::hash(&secret),
        purpose,
        person,
        made_at: now,
        expires_at: now.after(holds),
    };
    store.put(&Tenant::default(), &LINK, id(&secret), to_map(&link)?, None).await?;
    store.flush().await?;
    Ok(secret)
}

/// Ends the links of a person, or those that make the first account.
pub(crate) async fn void(
    store: &Store,
    purpose: Purpose,
    person: Option<Id>,
) -> Result<(), Failure> {
    let filter = match person {
        Some(person) => ("person", person.to_string()),
        None => ("purpose", purpose.as_str().to_owned()),
    };
    let tenant = Tenant::default();
    let query = Query { filters: vec![filter], limit: 500, ..Query::new(&LINK) };
    for record in store.list(&tenant, &query).await?.records {
        store.delete(&tenant, &LINK, record.id).await?;
    }
    Ok(())
}

/// The link of this secret, if it holds.
pub(crate) async fn find(store: &Store, cx: &Cx, secret: &str) -> Result<Link, Failure> {
    let void = || {
        Failure::not_found(
            "this link was used, has expired, or was never made; ask an administrator for another, or run `bartizan people recover NAME` on the machine",
        )
    };
    if secret.len() > SECRET_BYTES_MAX {
        return Err(void());
    }
    let record = store.get(&Tenant::default(), &LINK, id(secret)).await?.ok_or_else(void)?;
    let link: Link = from_map(record.meta)?;
    let right = codes::same(cx, &link.hash, &codes::hash(secret));
    // One that was made after now is of a clock that was set back: it holds no longer than it should.
    let holds =
        cx.now() < link.expires_at && link.made_at <= cx.now().after(super::CLOCK_APART_MAX);
    if right && holds { Ok(link) } else { Err(void()) }
}

/// Uses it up. Of two at once, one is told that it is gone.
pub(crate) async fn take(store: &Store, secret: &str) -> Result<(), Failure> {
    match store.delete(&Tenant::default(), &LINK, id(secret)).await? {
        true => Ok(()),
        false => Err(Failure::not_found("this link was used just now; it holds once")),
    }
}

fn id(secret: &str) -> Id {
    codes::id_of("one-time-link", secret)
}
