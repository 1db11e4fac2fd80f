//! What is asked of the policies: who, to do what, with what.

use std::{fmt, str::FromStr};

use bartizan_core::{Tenant, Timestamp, json};
use serde::{Deserialize, Serialize};

use crate::{ApprovalRecord, Error};

/// LIMIT: names in messages, in bytes.
const SHOWN_BYTES_MAX: usize = 128;

/// A virtual key, as far as policies know it.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub tenant: &'a Tenant,
    /// The routes that it is for; empty means every route.
    pub routes: &'a [String],
    /// The models that it is for, `*` standing for any characters; empty means every model.
    pub models: &'a [String],
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
}

impl<'a> Key<'a> {
    /// A key for every route and model, without end.
    pub fn new(id: &'a str, tenant: &'a Tenant) -> Self {
        Self { id, name: "", tenant, routes: &[], models: &[], expires_at: None, revoked: false }
    }
}

/// A person's duties, from the most to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Administrator,
    /// Reads all; manages keys, routes, assets and findings, and decides approvals.
    Operator,
    /// Reads all; decides approvals and findings.
    Analyst,
    /// Reads.
    Auditor,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Administrator, Self::Operator, Self::Analyst, Self::Auditor];

    /// The name that policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
        }
    }

    /// What a person of it may do, as the shipped policies say.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Administrator => "may do everything",
            Self::Operator => {
                "reads all, manages keys, routes, assets and findings, decides approvals"
            }
            Self::Analyst => "reads all, decides approvals and findings",
            Self::Auditor => "reads all, changes nothing",
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| Error::Role(json::clip(text, SHOWN_BYTES_MAX).to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person's account, as far as policies know it.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    pub id: &'a str,
    /// By what the person signs in.
    pub name: &'a str,
    /// As records name the person, such as `person:0190c5a4-...`.
    pub actor: &'a str,
    pub role: Role,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// An application, by its virtual key.
    Key(Key<'a>),
    /// Whoever holds the administrator's token or the machine, by what records call it.
    Administrator(&'a str),
    /// A person, by the account.
    Person(Person<'a>),
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// A key calls a model through a route.
    Call { route: &'a str, model: &'a str },
    /// A key has a text inspected under a route's rules.
    Inspect { route: &'a str },
    /// A key has a request passed on uninspected, where the operator lists the path.
    Pass { route: &'a str },
    /// A person looks at something.
    Read(Area),
    /// A person changes something.
    Manage(Area),
    /// A person approves or denies.
    Decide(&'a ApprovalRecord),
}

impl<'a> Access<'a> {
    /// The route that it is through, where there is one.
    pub fn route(&self) -> Option<&'a str> {
        match *self {
            Self::Call { route, .. } | Self::Inspect { route } | Self::Pass { route } => {
                Some(route)
            }
            Self::Read(_) | Self::Manage(_) | Self::Decide(_) => None,
        }
    }
}

/// What administration is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    Keys,
    Routes,
    Approvals,
    Decisions,
    Findings,
    Assets,
    Ledger,
    Database,
    /// Accounts, roles and sessions of all.
    People,
    /// The configuration in force.
    Settings,
    /// The account of the person who asks.
    Account,
}

impl Area {
    pub const ALL: [Self; 11] = [
        Self::Keys,
        Self::Routes,
        Self::Approvals,
        Self::Decisions,
        Self::Findings,
        Self::Assets,
        Self::Ledger,
        Self::Database,
        Self::People,
        Self::Settings,
        Self::Account,
    ];

    /// The name that policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Routes => "routes",
            Self::Approvals => "approvals",
            Self::Decisions => "decisions",
            Self::Findings => "findings",
            Self::Assets => "assets",
            Self::Ledger => "ledger",
            Self::Database => "database",
            Self::People => "people",
            Self::Settings => "settings",
            Self::Account => "account",
        }
    }
}

/// One question to the policies.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub principal: Principal<'a>,
    /// Whose thing it is.
    pub tenant: &'a Tenant,
    pub access: Access<'a>,
}

impl<'a> Request<'a> {
    pub fn new(principal: Principal<'a>, tenant: &'a Tenant, access: Access<'a>) -> Self {
        Self { principal, tenant, access }
    }
}
