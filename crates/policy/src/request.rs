//! What is asked of the policies: who, to do what, with what.

use bartizan_core::{Tenant, Timestamp};

use crate::ApprovalRecord;

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

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// An application, by its virtual key.
    Key(Key<'a>),
    /// A person in the role of administrator, by the name of the account.
    Administrator(&'a str),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    Keys,
    Routes,
    Approvals,
    Decisions,
    Ledger,
    Database,
}

impl Area {
    pub const ALL: [Self; 6] =
        [Self::Keys, Self::Routes, Self::Approvals, Self::Decisions, Self::Ledger, Self::Database];

    /// The name that policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Routes => "routes",
            Self::Approvals => "approvals",
            Self::Decisions => "decisions",
            Self::Ledger => "ledger",
            Self::Database => "database",
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
