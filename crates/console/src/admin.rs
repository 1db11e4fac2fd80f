//! The administrator's token: made at the first start, shown once, stored hashed.

use std::{fmt, sync::Arc};

use bartizan_core::{Id, Tenant};
use bartizan_gateway::Gateway;
use bartizan_store::{Class, Order, Query, Retention};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::Failure;

/// The token's record.
pub const ADMIN: Class =
    Class { name: "admin-token", facets: &["state"], retention: Retention::FOREVER };
/// What the token begins with.
const PREFIX: &str = "bza_";

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
}

impl Admin {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Makes the token if there is none yet; gives it then, and only then.
    ///
    /// # Errors
    /// When the store or the ledger fails.
    pub async fn ensure_token(&self) -> Result<Option<Secret>, Failure> {
        match self.hash().await? {
            Some(_) => Ok(None),
            None => self.renew_token("bartizan").await.map(Some),
        }
    }

    /// Makes another token; the one before is void.
    ///
    /// # Errors
    /// When the store or the ledger fails.
    pub async fn renew_token(&self, actor: &str) -> Result<Secret, Failure> {
        let tenant = Tenant::default();
        self.gateway.record(&tenant, actor, "admin.token.renew", "administrator", &[]).await?;
        let random: [u8; 32] = self.gateway.cx.random();
        let secret = Secret(format!("{PREFIX}{}", hex(&random)));
        let mut meta = Map::new();
        meta.insert("state".to_owned(), "active".into());
        meta.insert("hash".to_owned(), hash(&secret.0).into());
        let id = Id::new(&self.gateway.cx);
        self.gateway.store.put(&tenant, &ADMIN, id, meta, None).await?;
        Ok(secret)
    }

    /// Whether this is the administrator's token.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_administrator(&self, token: &str) -> Result<bool, Failure> {
        let Some(known) = self.hash().await? else { return Ok(false) };
        // Both are digests: how long a comparison takes tells nothing of the token.
        Ok(token.starts_with(PREFIX) && hash(token) == known)
    }

    /// The newest token's hash.
    async fn hash(&self) -> Result<Option<String>, Failure> {
        let query = Query { order: Order::Newest, limit: 1, ..Query::new(&ADMIN) };
        let page = self.gateway.store.list(&Tenant::default(), &query).await?;
        let hash = page.records.first().and_then(|record| record.meta.get("hash"));
        Ok(hash.and_then(Value::as_str).map(str::to_owned))
    }
}

fn hash(token: &str) -> String {
    hex(digest(&SHA256, token.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
