//! Who looks at a page. The router makes it of the session's cookie ([`crate::door`]);
//! handlers of pages take it as an argument, and get it from there alone.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use bartizan_core::Id;
use bartizan_policy::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Failure, permit::Permit};

/// A person before a page.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// Authorized for what the page needs; [`Permit::also`] asks for more.
    pub(crate) permit: Permit,
    pub(crate) person: Person,
    /// Goes into every form as the hidden field `csrf`, and into the header
    /// `x-csrf-token` of our scripts.
    pub(crate) csrf: String,
    /// Approvals that wait for a word, for who may see them; every page says how many.
    pub(crate) waiting: u64,
}

/// A person's account, as pages and records need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: Id,
    /// By what the person signs in. Printable, without spaces.
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) preferences: Preferences,
}

/// How a person likes pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Preferences {
    /// Which colours.
    pub(crate) scheme: Scheme,
    /// How much space between things.
    pub(crate) density: Density,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    /// As the device is set.
    #[default]
    System,
    Dark,
    Light,
}

impl Scheme {
    pub(crate) const ALL: [Self; 3] = [Self::System, Self::Dark, Self::Light];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Density {
    #[default]
    Comfortable,
    Compact,
}

impl Density {
    pub(crate) const ALL: [Self; 2] = [Self::Comfortable, Self::Compact];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Comfortable => "comfortable",
            Self::Compact => "compact",
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            let message = "the request was not authorized: this page is not in the catalogue";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
        })
    }
}
