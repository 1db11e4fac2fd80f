//! People: accounts, how they prove who they are, and what they hold.
//!
//! The threats are the guessed, leaked and phished password, the stolen cookie, the page
//! of another site that acts in a person's name, and the account that outlives its person.
//!
//! ```text
//! sign_in ──► (second factor) ──► session ──► door ──► Visitor, Permit
//! link ─────► welcome ────────────┘  ▲
//! provider ─► oidc ──────────────────┘
//! ```
//! Invariant: an answer to who is not signed in does not depend on whether an account
//! exists. What lets someone in (password, second factor, recovery code, link, session,
//! token) rests hashed or sealed, and whatever holds once is taken by whoever changes its
//! record first.

pub(crate) mod account;
pub(crate) mod codes;
pub(crate) mod enter;
pub(crate) mod links;
pub(crate) mod manage;
pub(crate) mod oidc;
pub(crate) mod own;
pub(crate) mod password;
mod recovery;
mod scope;
pub(crate) mod sessions;
pub(crate) mod throttle;
pub(crate) mod tokens;
pub(crate) mod totp;

use std::{sync::Arc, time::Duration};

use bartizan_net::Client;

pub(crate) use scope::Scope;

use crate::{
    Failure,
    config::{PeopleConfig, SecondFactor},
};
use password::Passwords;
use sessions::Lasts;

/// How far clocks may be apart: those of nodes, and the one before a clock was set back.
pub(crate) const CLOCK_APART_MAX: Duration = Duration::from_secs(300);

/// What the console must know of where it is served.
#[derive(Clone, Debug)]
pub struct Setup {
    pub config: PeopleConfig,
    /// The address at which browsers reach it, such as `http://127.0.0.1:8481`.
    pub url: String,
    /// The way out, for the provider of OpenID Connect.
    pub client: Client,
}

/// What people's accounts need while the server runs: a configuration that was tried.
#[derive(Debug)]
pub struct People {
    pub(crate) config: PeopleConfig,
    pub(crate) url: String,
    pub(crate) oidc: Option<Arc<oidc::Provider>>,
    passwords: Passwords,
}

impl People {
    /// # Errors
    /// Says what is wrong with the configuration.
    pub fn new(setup: Setup) -> Result<Self, Failure> {
        let Setup { config, url, client } = setup;
        if let Some(url) = &config.url
            && !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme))
        {
            return Err(Failure::invalid(format!(
                "`people.url` is `{url}`: expected such as `https://bartizan.example`"
            )));
        }
        let url = config.url.clone().unwrap_or(url).trim_end_matches('/').to_owned();
        let oidc = match &config.oidc {
            Some(oidc) => Some(Arc::new(oidc::Provider::new(oidc, client)?)),
            None => None,
        };
        Ok(Self { config, url, oidc, passwords: Passwords::default() })
    }

    /// The same, in the place of another: how many passwords are tried at once is counted on.
    pub(crate) fn after(self, before: &Self) -> Self {
        Self { passwords: before.passwords.clone(), ..self }
    }

    /// Whether browsers reach it by TLS alone.
    pub(crate) fn secure(&self) -> bool {
        self.url.starts_with("https://")
    }

    pub(crate) fn lasts(&self) -> Lasts {
        Lasts {
            idle: Duration::from_secs(self.config.session_idle_s),
            most: Duration::from_secs(self.config.session_max_s),
        }
    }

    pub(crate) fn factor_required(&self) -> bool {
        self.config.second_factor == SecondFactor::Required
    }

    /// The address that a one-time link's secret makes.
    pub(crate) fn link(&self, secret: &str) -> String {
        format!("{}/welcome?link={secret}", self.url)
    }
}
