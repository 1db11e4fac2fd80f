//! Virtual keys: how applications prove who they are. Shown once, stored hashed.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bartizan_core::{Cx, Id, Tenant, Timestamp, text};
use bartizan_store::{Class, Order, Query, Retention, Store};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, config::LimitConfig};

/// Keys as records. They rest until they are erased with their tenant.
pub const KEY: Class = Class {
    name: "key",
    facets: &["hash", "name", "state"],
    counted: &[],
    retention: Retention::FOREVER,
};

/// What every key begins with, so that people and scanners know one when they see it.
pub const PREFIX: &str = "bz_";

/// What a new key may do.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewKey {
    /// A name for people, such as `support-bot`.
    pub name: String,
    /// The routes that it may use; empty means every route.
    pub routes: Vec<String>,
    /// The models that it may ask for, `*` standing for any characters; empty means every model.
    pub models: Vec<String>,
    /// When it ends, as RFC 3339; absent means never.
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// Limits of its own, in place of the route's `per_key`.
    pub limits: Option<LimitConfig>,
}

/// A key as it is shown and stored: everything but the secret.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    #[schemars(with = "String")]
    pub id: Id,
    #[schemars(with = "String")]
    pub tenant: Tenant,
    pub name: String,
    pub routes: Vec<String>,
    pub models: Vec<String>,
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    pub revoked_at: Option<Timestamp>,
    pub limits: Option<LimitConfig>,
    /// The last four characters of the secret, to tell keys apart.
    pub hint: String,
}

/// A secret that was just made: shown once, then forgotten.
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

/// Why a request's key was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unaccepted {
    Missing,
    Unknown,
    Revoked,
    Expired,
}

type Hash = [u8; 32];

/// The keys of all tenants.
#[derive(Clone)]
pub struct Keys {
    store: Store,
    cx: Cx,
    // LIMIT: grows with the keys that exist, never with what callers send: misses are not kept.
    known: Arc<RwLock<HashMap<Hash, Known>>>,
}

/// A key, and when it was read.
type Known = (Arc<Key>, Instant);

/// How long a key is trusted that another node may have revoked.
const TRUST_MAX: Duration = Duration::from_secs(1);

impl Keys {
    pub fn new(store: Store, cx: Cx) -> Self {
        Self { store, cx, known: Arc::default() }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// When the name is blank, overlong or holds what people do not see, or the store fails.
    pub async fn create(&self, tenant: &Tenant, new: NewKey) -> Result<(Key, Secret), Error> {
        if new.name.is_empty() || new.name.len() > 128 {
            return Err(Error::Invalid("a key's name has 1 to 128 bytes".to_owned()));
        }
        if let Some(letter) = text::unseen(&new.name) {
            return Err(Error::Invalid(format!(
                "a key's name is what people tell it by: it may not hold U+{:04X}, which is not seen",
                u32::from(letter)
            )));
        }
        if text::is_blank(&new.name) {
            return Err(Error::Invalid("a key's name is not blank".to_owned()));
        }
        let secret = self.secret(tenant);
        let key = Key {
            id: Id::new(&self.cx),
            tenant: tenant.clone(),
            name: new.name,
            routes: new.routes,
            models: new.models,
            created_at: self.cx.now(),
            expires_at: new.expires_at,
            revoked_at: None,
            limits: new.limits,
            hint: hint(&secret),
        };
        let hash = hash(&secret.0);
        self.store.put(tenant, &KEY, key.id, meta(&key, &hash)?, None).await?;
        // Shown once, so it must outlive a loss of power.
        self.store.flush().await?;
        self.remember(hash, key.clone());
        Ok((key, secret))
    }

    /// The keys of a tenant, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, tenant: &Tenant) -> Result<Vec<Key>, Error> {
        let mut keys = Vec::new();
        let mut query = Query { order: Order::Newest, limit: 500, ..Query::new(&KEY) };
        loop {
            let page = self.store.list(tenant, &query).await?;
            for record in page.records {
                keys.push(read(record.meta)?.0);
            }
            let Some(next) = page.next else { return Ok(keys) };
            query.after = Some(next);
        }
    }

    /// Ends a key at once.
    ///
    /// # Errors
    /// When there is no such key, or the store fails.
    pub async fn revoke(&self, tenant: &Tenant, id: Id) -> Result<Key, Error> {
        let (mut key, hash, version) = self.load(tenant, id).await?;
        key.revoked_at = key.revoked_at.or(Some(self.cx.now()));
        self.store.replace(tenant, &KEY, id, version, meta(&key, &hash)?, None).await?;
        self.remember(hash, key.clone());
        Ok(key)
    }

    /// Makes a new key with the same rights, and ends the old one at once.
    ///
    /// # Errors
    /// When there is no such key, it is revoked already, or the store fails.
    pub async fn rotate(&self, tenant: &Tenant, id: Id) -> Result<(Key, Secret), Error> {
        let (old, ..) = self.load(tenant, id).await?;
        if old.revoked_at.is_some() {
            return Err(Error::Conflict(format!("key `{id}` is revoked; make a new one")));
        }
        let new = NewKey {
            name: old.name,
            routes: old.routes,
            models: old.models,
            expires_at: old.expires_at,
            limits: old.limits,
        };
        let made = self.create(tenant, new).await?;
        self.revoke(tenant, id).await?;
        Ok(made)
    }

    /// Forgets a tenant's keys, whose records are gone.
    pub fn forget(&self, tenant: &Tenant) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (key, _)| key.tenant != *tenant);
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// The outer error when the store fails, the inner one when the key is not accepted.
    pub async fn authenticate(
        &self,
        token: Option<&str>,
    ) -> Result<Result<Arc<Key>, Unaccepted>, Error> {
        let Some(token) = token else { return Ok(Err(Unaccepted::Missing)) };
        let Some(tenant) = tenant_of(token) else { return Ok(Err(Unaccepted::Unknown)) };
        let hash = hash(token);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        let trusted = |since: &Instant| !self.store.shared() || since.elapsed() < TRUST_MAX;
        let key = match known {
            Some((key, since)) if trusted(&since) => key,
            _ => match self.look_up(&tenant, hash).await? {
                Some(key) => key,
                None => return Ok(Err(Unaccepted::Unknown)),
            },
        };
        Ok(if key.revoked_at.is_some() {
            Err(Unaccepted::Revoked)
        } else if key.expires_at.is_some_and(|at| at <= self.cx.now()) {
            Err(Unaccepted::Expired)
        } else {
            Ok(key)
        })
    }

    async fn look_up(&self, tenant: &Tenant, hash: Hash) -> Result<Option<Arc<Key>>, Error> {
        let query = Query { filters: vec![("hash", hex(&hash))], limit: 1, ..Query::new(&KEY) };
        let page = self.store.list(tenant, &query).await?;
        let Some(record) = page.records.into_iter().next() else {
            self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&hash);
            return Ok(None);
        };
        Ok(Some(self.remember(hash, read(record.meta)?.0)))
    }

    async fn load(&self, tenant: &Tenant, id: Id) -> Result<(Key, Hash, u64), Error> {
        let record = self.store.get(tenant, &KEY, id).await?;
        let record = record.ok_or_else(|| {
            Error::NotFound(format!("there is no key `{id}`; `bartizan keys list` shows them"))
        })?;
        let (key, hash) = read(record.meta)?;
        Ok((key, hash, record.version))
    }

    fn remember(&self, hash: Hash, key: Key) -> Arc<Key> {
        let key = Arc::new(key);
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hash, (key.clone(), Instant::now()));
        key
    }

    /// `bz_<tenant>_<256 random bits, base64url>`.
    fn secret(&self, tenant: &Tenant) -> Secret {
        Secret(format!("{PREFIX}{tenant}_{}", URL_SAFE_NO_PAD.encode(self.cx.random::<32>())))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// The tenant that a token names, where it has a token's form.
fn tenant_of(token: &str) -> Option<Tenant> {
    let (tenant, random) = token.strip_prefix(PREFIX)?.split_once('_')?;
    (random.len() == 43).then(|| tenant.parse().ok())?
}

fn hint(secret: &Secret) -> String {
    secret.0.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect()
}

/// A secret of 256 random bits needs no slow hash: it cannot be guessed.
fn hash(token: &str) -> Hash {
    let mut out = Hash::default();
    for (to, from) in out.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()) {
        *to = *from;
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("INVARIANT: writing to a String cannot fail");
        out
    })
}

fn unhex(text: &str) -> Option<Hash> {
    let mut out = Hash::default();
    for (i, to) in out.iter_mut().enumerate() {
        *to = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

fn meta(key: &Key, hash: &Hash) -> Result<Map<String, Value>, Error> {
    let Ok(Value::Object(mut meta)) = serde_json::to_value(key) else {
        return Err(Error::Corrupt(format!("key `{}` cannot be written as JSON", key.id)));
    };
    meta.insert("hash".to_owned(), hex(hash).into());
    let state = if key.revoked_at.is_some() { "revoked" } else { "active" };
    meta.insert("state".to_owned(), state.into());
    Ok(meta)
}

fn read(mut meta: Map<String, Value>) -> Result<(Key, Hash), Error> {
    let corrupt = || Error::Corrupt("a key's record cannot be read".to_owned());
    meta.remove("state");
    let hash =
        meta.remove("hash").as_ref().and_then(Value::as_str).and_then(unhex).ok_or_else(corrupt)?;
    let key = serde_json::from_value(Value::Object(meta)).map_err(|_| corrupt())?;
    Ok((key, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_tenant() {
        let random = "x".repeat(43);
        assert_eq!(
            tenant_of(&format!("bz_acme_{random}")).map(|t| t.to_string()),
            Some("acme".into())
        );
        for bad in ["", "bz_", "sk-123", "bz_acme_short", &format!("bz_Acme_{random}")] {
            assert_eq!(tenant_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_hash_reads_back() {
        let made = hash("abc");
        assert_eq!(hex(&made), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(unhex(&hex(&made)), Some(made));
        assert_eq!(unhex("zz"), None);
    }
}
