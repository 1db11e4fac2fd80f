//! The administrator's token: made at the first start, shown once, stored hashed.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use bartizan_core::{Id, Tenant};
use bartizan_gateway::Gateway;
use bartizan_store::{Class, Order, Query, Record, Retention};
use serde_json::Map;

use crate::{
    Failure,
    desk::{Desk, Setting},
    people::{People, Setup, codes, enter},
};

/// The token's record.
pub const ADMIN: Class =
    Class { name: "admin-token", facets: &["state"], counted: &[], retention: Retention::FOREVER };
/// What the token begins with.
const PREFIX: &str = "bza_";
/// The longest token that is looked at, in bytes; ours have 68.
const TOKEN_BYTES_MAX: usize = 128;

/// A token that was just made.
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the API works on.
#[derive(Clone, Debug)]
pub struct Admin {
    pub gateway: Arc<Gateway>,
    pub(crate) desk: Arc<Desk>,
    /// Shared by all clones, so that a reload counts for each.
    people: Arc<RwLock<Arc<People>>>,
}

impl Admin {
    /// # Errors
    /// Says what is wrong with the configuration of people.
    pub fn new(gateway: Arc<Gateway>, setup: Setup) -> Result<Self, Failure> {
        let people = Arc::new(RwLock::new(Arc::new(People::new(setup)?)));
        Ok(Self { gateway, desk: Arc::default(), people })
    }

    /// People as they are configured now. What goes on over a reload keeps what it began with.
    pub(crate) fn people(&self) -> Arc<People> {
        self.people.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another configuration of people in force. Who is signed in stays so, as far as
    /// the new bounds of sessions let it be.
    pub fn set_people(&self, people: People) {
        let mut now = self.people.write().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(people.after(&now));
    }

    /// Tells the pages the configuration in force, at the start and after each reload.
    pub fn set_settings(&self, settings: Vec<Setting>) {
        self.desk.set(settings);
    }

    pub(crate) fn settings(&self) -> Arc<Vec<Setting>> {
        self.desk.settings()
    }

    /// The one-time link by which the first account is made; nothing when there is one.
    ///
    /// # Errors
    /// When the store or the ledger fails.
    pub async fn first_link(&self) -> Result<Option<String>, Failure> {
        enter::first_link(self).await
    }

    /// Makes the token if there is none yet; gives it then, and only then.
    ///
    /// # Errors
    /// When the store or the ledger fails.
    pub async fn ensure_token(&self) -> Result<Option<Secret>, Failure> {
        if self.hash().await?.is_some() {
            return Ok(None);
        }
        let tenant = Tenant::default();
        let subject = "administrator";
        self.gateway.record(&tenant, "bartizan", "admin.token.create", subject, &[]).await?;
        self.new_token().await.map(Some)
    }

    /// Puts another token in the place of the one before. The caller records it.
    pub(crate) async fn new_token(&self) -> Result<Secret, Failure> {
        let secret = Secret(codes::secret(&self.gateway.cx, PREFIX));
        let mut meta = Map::new();
        meta.insert("state".to_owned(), "active".into());
        meta.insert("hash".to_owned(), codes::hash(&secret.0).into());
        let (store, tenant) = (&self.gateway.store, Tenant::default());
        match self.record().await? {
            // Of two that renew it at once, one is refused.
            Some(Record { id, version, .. }) => {
                store.replace(&tenant, &ADMIN, id, version, meta, None).await?;
            }
            None => store.put(&tenant, &ADMIN, Id::new(&self.gateway.cx), meta, None).await?,
        }
        // Who has the new token must not find the old one in force after a loss of power.
        self.gateway.store.flush().await?;
        Ok(secret)
    }

    /// Whether this is the administrator's token.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_administrator(&self, token: &str) -> Result<bool, Failure> {
        if token.len() > TOKEN_BYTES_MAX {
            return Ok(false);
        }
        let Some(known) = self.hash().await? else { return Ok(false) };
        Ok(codes::same(&self.gateway.cx, &codes::hash(token), &known))
    }

    async fn hash(&self) -> Result<Option<String>, Failure> {
        let record = self.record().await?;
        Ok(record.and_then(|record| Some(record.meta.get("hash")?.as_str()?.to_owned())))
    }

    /// The one record of the one token.
    async fn record(&self) -> Result<Option<Record>, Failure> {
        let query = Query { order: Order::Oldest, limit: 1, ..Query::new(&ADMIN) };
        let page = self.gateway.store.list(&Tenant::default(), &query).await?;
        Ok(page.records.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown_by_accident() {
        assert_eq!(format!("{:?}", Secret("bza_00".to_owned())), "Secret(..)");
    }
}
