//! API tokens of people: a person's own programs, with scopes and an end.

use std::time::Duration;

use bartizan_core::{Cx, Id, Tenant, Timestamp};
use bartizan_store::{Class, Query, Retention, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Scope,
    account::{from_map, to_map},
    codes,
};
use crate::Failure;

pub(crate) const TOKEN: Class = Class {
    name: "person-token",
    facets: &["person"],
    counted: &[],
    retention: Retention::FOREVER,
};
/// What every one begins with, so that people and scanners know one when they see it.
pub(crate) const PREFIX: &str = "bzp_";
/// LIMIT: longer texts are not looked at; ours have 68 bytes.
const TOKEN_BYTES_MAX: usize = 128;
/// How exactly it is known when a token was last used: each write costs a sync.
const USED_EVERY: Duration = Duration::from_secs(60);
/// LIMIT: of one person, those that were revoked included.
const TOKENS_MAX: usize = 200;
const NAME_BYTES_MAX: usize = 128;

/// What a new token may do.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// A name for people, such as `nightly-export`.
    pub(crate) name: String,
    /// What it may do, at most; never more than its person may.
    pub(crate) scopes: Vec<Scope>,
    /// When it ends, as RFC 3339.
    #[schemars(with = "String")]
    pub(crate) expires_at: Timestamp,
}

/// A token, as it rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    hash: String,
    pub(crate) person: Id,
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) used_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    hint: String,
}

/// A token as it is shown: everything but the secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Shown {
    #[schemars(with = "String")]
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    #[schemars(with = "String")]
    pub(crate) created_at: Timestamp,
    #[schemars(with = "String")]
    pub(crate) expires_at: Timestamp,
    /// To the minute.
    #[schemars(with = "Option<String>")]
    pub(crate) used_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    pub(crate) revoked_at: Option<Timestamp>,
    /// The last four characters of the secret, to tell tokens apart.
    pub(crate) hint: String,
}

impl Token {
    pub(crate) fn shown(&self, id: Id) -> Shown {
        Shown {
            id,
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            used_at: self.used_at,
            revoked_at: self.revoked_at,
            hint: self.hint.clone(),
        }
    }
}

/// Makes one. The secret is shown once.
pub(crate) async fn make(
    store: &Store,
    cx: &Cx,
    person: Id,
    new: NewToken,
) -> Result<(Id, Token, String), Failure> {
    let NewToken { name, mut scopes, expires_at } = new;
    if name.trim().is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Failure::invalid(format!("a token's name has 1 to {NAME_BYTES_MAX} bytes")));
    }
    if scopes.is_empty() {
        return Err(Failure::invalid(
            "a token without scopes can do nothing; give it some, such as `decisions:read`",
        ));
    }
    if expires_at <= cx.now() {
        return Err(Failure::invalid("a token ends in the future; give a later `expires_at`"));
    }
    if of(store, person).await?.len() >= TOKENS_MAX {
        return Err(Failure::invalid(format!("a person has at most {TOKENS_MAX} tokens")));
    }
    scopes.sort_unstable();
    scopes.dedup();
    let secret = codes::secret(cx, PREFIX);
    let hint = secret.chars().skip(secret.chars().count().saturating_sub(4)).collect();
    let token = Token {
        hash: codes::hash(&secret),
        person,
        name,
        scopes,
        created_at: cx.now(),
        expires_at,
        used_at: None,
        revoked_at: None,
        hint,
    };
    let id = id(&secret);
    store.put(&Tenant::default(), &TOKEN, id, to_map(&token)?, None).await?;
    store.flush().await?;
    Ok((id, token, secret))
}

/// A person's tokens, newest first.
pub(crate) async fn of(store: &Store, person: Id) -> Result<Vec<(Id, Token)>, Failure> {
    let filters = vec![("person", person.to_string())];
    let query = Query { filters, limit: 500, ..Query::new(&TOKEN) };
    let page = store.list(&Tenant::default(), &query).await?;
    page.records.into_iter().map(|record| Ok((record.id, from_map(record.meta)?))).collect()
}

/// The token of this secret, if it is in force.
pub(crate) async fn find(
    store: &Store,
    cx: &Cx,
    secret: &str,
) -> Result<Option<(Id, Token)>, Failure> {
    if secret.len() > TOKEN_BYTES_MAX {
        return Ok(None);
    }
    let (id, tenant, now) = (id(secret), Tenant::default(), cx.now());
    let Some(record) = store.get(&tenant, &TOKEN, id).await? else { return Ok(None) };
    let mut token: Token = from_map(record.meta)?;
    let right = codes::same(cx, &token.hash, &codes::hash(secret));
    if !right || token.revoked_at.is_some() || token.expires_at <= now {
        return Ok(None);
    }
    if token.used_at.is_none_or(|at| at.after(USED_EVERY) <= now) {
        token.used_at = Some(now);
        match store.replace(&tenant, &TOKEN, id, record.version, to_map(&token)?, None).await {
            Ok(_) => {}
            // Another request was faster; or it was revoked, which is to be seen.
            Err(bartizan_store::Error::Conflict { .. }) => {
                let again = store.get(&tenant, &TOKEN, id).await?;
                let again: Option<Token> = again.map(|record| from_map(record.meta)).transpose()?;
                if again.is_none_or(|token| token.revoked_at.is_some()) {
                    return Ok(None);
                }
            }
            Err(bartizan_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some((id, token)))
}

/// Ends a person's token at once.
pub(crate) async fn revoke(store: &Store, cx: &Cx, person: Id, id: Id) -> Result<Token, Failure> {
    let missing = || Failure::not_found(format!("you have no token `{id}`"));
    let tenant = Tenant::default();
    // Its being used in the same moment must not keep it in force.
    for _ in 0..8 {
        let record = store.get(&tenant, &TOKEN, id).await?.ok_or_else(missing)?;
        let mut token: Token = from_map(record.meta)?;
        if token.person != person {
            return Err(missing());
        }
        token.revoked_at = token.revoked_at.or(Some(cx.now()));
        match store.replace(&tenant, &TOKEN, id, record.version, to_map(&token)?, None).await {
            Err(bartizan_store::Error::Conflict { .. }) => {}
            written => return written.map(|_| token).map_err(Into::into),
        }
    }
    Err(Failure::new(
        axum::http::StatusCode::CONFLICT,
        "conflict",
        "the token is being used too quickly to be changed; try again",
    ))
}

fn id(secret: &str) -> Id {
    codes::id_of("person-token", secret)
}
