//! Accounts: one record a person. How the person proves who it is rests sealed.

use bartizan_core::{Id, Tenant, Timestamp, json};
use bartizan_policy::Role;
use bartizan_store::{Class, Order, Query, Record, Retention, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{codes, totp::Totp};
use crate::{
    Failure,
    config::RoleName,
    visitor::{Person, Preferences},
};

/// People as records: of the installation, not of a tenant.
pub(crate) const PERSON: Class = Class {
    name: "person",
    facets: &["state", "role", "origin"],
    counted: &[],
    retention: Retention::FOREVER,
};

/// LIMIT: names, in bytes. An address of e-mail fits.
const NAME_BYTES_MAX: usize = 128;

/// A person's account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: Id,
    pub(crate) facts: Facts,
    pub(crate) secrets: Secrets,
    /// Of the record that was read; 0 for one that is new.
    version: u64,
}

/// What rests in clear, and is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) state: State,
    pub(crate) origin: Origin,
    pub(crate) created_at: Timestamp,
    pub(crate) signed_in_at: Option<Timestamp>,
    /// Whether there is a second factor.
    pub(crate) second_factor: bool,
    pub(crate) preferences: Preferences,
}

/// How a person proves who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) password: Option<String>,
    pub(crate) totp: Option<Totp>,
    /// A second factor that was shown, and waits for its first code.
    pub(crate) offered: Option<Totp>,
    /// Hashes of the recovery codes that are left.
    pub(crate) recovery: Vec<String>,
}

/// Where an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// A link was made, and not used yet.
    Invited,
    Active,
    /// Nobody gets in by it.
    Disabled,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// Who says who the person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// This installation, by a password.
    Local,
    /// The provider of OpenID Connect.
    Oidc,
}

/// An account as it is shown: with nothing by which anyone could get in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Shown {
    #[schemars(with = "String")]
    pub(crate) id: Id,
    pub(crate) name: String,
    #[schemars(with = "RoleName")]
    pub(crate) role: Role,
    pub(crate) state: State,
    pub(crate) origin: Origin,
    #[schemars(with = "String")]
    pub(crate) created_at: Timestamp,
    #[schemars(with = "Option<String>")]
    pub(crate) signed_in_at: Option<Timestamp>,
    pub(crate) second_factor: bool,
}

/// A name as accounts have it, or what is wrong with it.
pub(crate) fn name(text: &str) -> Result<String, Failure> {
    let name = text.trim().to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@+-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins && name.len() <= NAME_BYTES_MAX && name.chars().all(fits) {
        return Ok(name);
    }
    Err(Failure::invalid(format!(
        "`{}` cannot name an account: expected 1 to {NAME_BYTES_MAX} characters of a-z, 0-9 and `._@+-`, such as `ada` or `ada@example.com`",
        json::clip(text, 64)
    )))
}

impl Account {
    /// An account of this installation, for the person of this name.
    pub(crate) fn local(name: &str, role: Role, now: Timestamp) -> Self {
        Self::new(Self::local_id(name), name, role, State::Invited, Origin::Local, now)
    }

    /// An account that the provider vouches for.
    pub(crate) fn oidc(id: Id, name: &str, role: Role, now: Timestamp) -> Self {
        Self::new(id, name, role, State::Active, Origin::Oidc, now)
    }

    fn new(id: Id, name: &str, role: Role, state: State, origin: Origin, now: Timestamp) -> Self {
        let facts = Facts {
            name: name.to_owned(),
            role,
            state,
            origin,
            created_at: now,
            signed_in_at: None,
            second_factor: false,
            preferences: Preferences::default(),
        };
        Self { id, facts, secrets: Secrets::default(), version: 0 }
    }

    /// A name is one account's: its id follows from it.
    pub(crate) fn local_id(name: &str) -> Id {
        codes::id_of("person", name)
    }

    /// Two providers may know different people by the same subject.
    pub(crate) fn oidc_id(issuer: &str, subject: &str) -> Id {
        codes::id_of("person-oidc", &format!("{issuer}\0{subject}"))
    }

    pub(crate) fn is_active(&self) -> bool {
        self.facts.state == State::Active
    }

    pub(crate) fn person(&self) -> Person {
        Person {
            id: self.id,
            name: self.facts.name.clone(),
            role: self.facts.role,
            preferences: self.facts.preferences,
        }
    }

    /// As records name the person.
    pub(crate) fn subject(&self) -> String {
        format!("person:{}", self.id)
    }

    pub(crate) fn shown(&self) -> Shown {
        let facts = &self.facts;
        Shown {
            id: self.id,
            name: facts.name.clone(),
            role: facts.role,
            state: facts.state,
            origin: facts.origin,
            created_at: facts.created_at,
            signed_in_at: facts.signed_in_at,
            second_factor: facts.second_factor,
        }
    }

    /// Writes it: a new one, or over the version that was read.
    pub(crate) async fn save(&mut self, store: &Store) -> Result<(), Failure> {
        self.facts.second_factor = self.secrets.totp.is_some();
        let tenant = Tenant::default();
        let (meta, sealed) = (to_map(&self.facts)?, to_value(&self.secrets)?);
        if self.version == 0 {
            store.put(&tenant, &PERSON, self.id, meta, Some(&sealed)).await?;
            store.flush().await?;
            self.version = 1;
        } else {
            let version = self.version;
            let written = store.replace(&tenant, &PERSON, self.id, version, meta, Some(&sealed));
            self.version = written.await?;
        }
        Ok(())
    }
}

/// The account of this id.
pub(crate) async fn find(store: &Store, id: Id) -> Result<Option<Account>, Failure> {
    store.get(&Tenant::default(), &PERSON, id).await?.map(read).transpose()
}

/// The account of this id, which must be there.
pub(crate) async fn get(store: &Store, id: Id) -> Result<Account, Failure> {
    let missing = || {
        Failure::not_found(format!(
            "there is no person `{id}`; `bartizan people list` shows who there is"
        ))
    };
    find(store, id).await?.ok_or_else(missing)
}

/// Everyone, oldest first.
pub(crate) async fn all(store: &Store) -> Result<Vec<Account>, Failure> {
    let mut query = Query { order: Order::Oldest, limit: 500, ..Query::new(&PERSON) };
    let mut accounts = Vec::new();
    loop {
        let page = store.list(&Tenant::default(), &query).await?;
        for record in page.records {
            accounts.push(read(record)?);
        }
        let Some(next) = page.next else { return Ok(accounts) };
        query.after = Some(next);
    }
}

/// Whether there is anyone at all.
pub(crate) async fn any(store: &Store) -> Result<bool, Failure> {
    let query = Query { limit: 1, sealed: false, ..Query::new(&PERSON) };
    Ok(!store.list(&Tenant::default(), &query).await?.records.is_empty())
}

fn read(record: Record) -> Result<Account, Failure> {
    let facts = from_map(record.meta)?;
    let secrets = record.sealed.map_or_else(|| Ok(Secrets::default()), from_value)?;
    Ok(Account { id: record.id, facts, secrets, version: record.version })
}

/// A record's clear part.
pub(crate) fn to_map<T: Serialize>(value: &T) -> Result<Map<String, Value>, Failure> {
    match to_value(value)? {
        Value::Object(map) => Ok(map),
        _ => Err(Failure::spoilt("no object")),
    }
}

pub(super) fn to_value<T: Serialize>(value: &T) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::spoilt(&error.to_string()))
}

pub(crate) fn from_map<T: serde::de::DeserializeOwned>(
    map: Map<String, Value>,
) -> Result<T, Failure> {
    from_value(Value::Object(map))
}

fn from_value<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| Failure::spoilt(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_one_however_they_are_written() {
        assert_eq!(name(" Ada@Example.com ").expect("a name"), "ada@example.com");
        for text in ["", " ", "a b", "<b>", "ä", ".ada", "-ada", &"a".repeat(129), "a\u{0}", "a/b"]
        {
            assert!(name(text).is_err(), "{text}");
        }
        assert_eq!(Account::local_id("ada"), Account::local_id("ada"));
        assert_ne!(Account::oidc_id("a", "b"), Account::oidc_id("b", "a"));
    }
}
