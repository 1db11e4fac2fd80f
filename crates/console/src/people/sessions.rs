//! Sessions: who is signed in, from where, until when. The cookie's value is 256 random
//! bits; what rests is its hash.

use std::time::Duration;

use bartizan_core::{Cx, Id, Tenant, Timestamp, json};
use bartizan_store::{Class, Query, Retention, Store};
use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CLOCK_APART_MAX,
    account::{from_map, to_map},
    codes,
};
use crate::Failure;

pub(crate) const SESSION: Class =
    Class { name: "session", facets: &["person"], counted: &[], retention: Retention::days(31) };
/// LIMIT: longer cookies are not looked at; ours have 64 bytes.
const TOKEN_BYTES_MAX: usize = 128;
/// How exactly it is known when a session was last used: each write costs a sync.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// How long the way from the password to the second factor may take.
const HALFWAY_MAX: Duration = Duration::from_secs(600);
/// LIMIT: of what a browser says of itself, in bytes.
const BROWSER_BYTES_MAX: usize = 256;
/// LIMIT: sessions of one person. The oldest end when there are more.
const SESSIONS_MAX: usize = 50;

/// How far a person has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// The password was right, and the second factor is to come.
    Factor,
    /// A second factor must be set up first.
    Enrol,
    Full,
}

/// A session, as it rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    hash: String,
    pub(crate) person: Id,
    pub(crate) stage: Stage,
    pub(crate) started_at: Timestamp,
    pub(crate) seen_at: Timestamp,
    pub(crate) address: String,
    pub(crate) browser: String,
}

/// A session as it is shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Shown {
    #[schemars(with = "String")]
    pub(crate) id: Id,
    #[schemars(with = "String")]
    pub(crate) person: Id,
    #[schemars(with = "String")]
    pub(crate) started_at: Timestamp,
    /// To the minute.
    #[schemars(with = "String")]
    pub(crate) seen_at: Timestamp,
    pub(crate) address: String,
    /// What the browser says of itself.
    pub(crate) browser: String,
    /// Whether it is the one that asks.
    pub(crate) this: bool,
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasts {
    pub(crate) idle: Duration,
    pub(crate) most: Duration,
}

/// From where a request comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) address: String,
    pub(crate) browser: String,
}

/// A session that was just begun.
pub(crate) struct Begun {
    /// The cookie's value.
    pub(crate) token: String,
    pub(crate) stage: Stage,
}

/// Begins a session.
pub(crate) async fn begin(
    store: &Store,
    cx: &Cx,
    person: Id,
    stage: Stage,
    from: &Origin,
) -> Result<Begun, Failure> {
    make_room(store, person).await?;
    let token = codes::secret(cx, "");
    let now = cx.now();
    let session = Session {
        hash: codes::hash(&token),
        person,
        stage,
        started_at: now,
        seen_at: now,
        address: from.address.clone(),
        browser: json::clip(&from.browser, BROWSER_BYTES_MAX).to_owned(),
    };
    let id = id(&token);
    store.put(&Tenant::default(), &SESSION, id, to_map(&session)?, None).await?;
    Ok(Begun { token, stage })
}

/// The session of a cookie's value, if it holds. What has run out is removed.
pub(crate) async fn find(
    store: &Store,
    cx: &Cx,
    lasts: Lasts,
    token: &str,
) -> Result<Option<(Id, Session)>, Failure> {
    if token.len() > TOKEN_BYTES_MAX {
        return Ok(None);
    }
    let (id, tenant, now) = (id(token), Tenant::default(), cx.now());
    let Some(record) = store.get(&tenant, &SESSION, id).await? else { return Ok(None) };
    let mut session: Session = from_map(record.meta)?;
    if !codes::same(cx, &session.hash, &codes::hash(token)) {
        return Ok(None);
    }
    if !session.holds(lasts, now) {
        store.delete(&tenant, &SESSION, id).await?;
        return Ok(None);
    }
    if session.seen_at.after(SEEN_EVERY) <= now {
        session.seen_at = now;
        // Another request of the same person may have been faster; either is right.
        match store.replace(&tenant, &SESSION, id, record.version, to_map(&session)?, None).await {
            Ok(_) | Err(bartizan_store::Error::Conflict { .. }) => {}
            // Ended in this moment.
            Err(bartizan_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some((id, session)))
}

impl Session {
    fn holds(&self, lasts: Lasts, now: Timestamp) -> bool {
        let most = if self.stage == Stage::Full { lasts.most } else { HALFWAY_MAX };
        // Were a clock that is set back to count, a session could last for years.
        let sane = self.started_at.max(self.seen_at) <= now.after(CLOCK_APART_MAX);
        sane && now < self.seen_at.after(lasts.idle) && now < self.started_at.after(most)
    }

    pub(crate) fn shown(&self, id: Id, this: Option<Id>) -> Shown {
        Shown {
            id,
            person: self.person,
            started_at: self.started_at,
            seen_at: self.seen_at,
            address: self.address.clone(),
            browser: self.browser.clone(),
            this: this == Some(id),
        }
    }
}

/// A person's sessions that hold, newest first.
pub(crate) async fn of(
    store: &Store,
    cx: &Cx,
    lasts: Lasts,
    person: Id,
) -> Result<Vec<(Id, Session)>, Failure> {
    let mut sessions = all_of(store, person).await?;
    sessions.retain(|(_, session)| session.stage == Stage::Full && session.holds(lasts, cx.now()));
    Ok(sessions)
}

async fn all_of(store: &Store, person: Id) -> Result<Vec<(Id, Session)>, Failure> {
    let filters = vec![("person", person.to_string())];
    let query = Query { filters, limit: 500, ..Query::new(&SESSION) };
    let page = store.list(&Tenant::default(), &query).await?;
    page.records.into_iter().map(|record| Ok((record.id, from_map(record.meta)?))).collect()
}

/// Ends the oldest where there are too many.
async fn make_room(store: &Store, person: Id) -> Result<(), Failure> {
    for (id, _) in all_of(store, person).await?.into_iter().skip(SESSIONS_MAX - 1) {
        end(store, id).await?;
    }
    Ok(())
}

/// Ends one; says whether it was there.
pub(crate) async fn end(store: &Store, id: Id) -> Result<bool, Failure> {
    Ok(store.delete(&Tenant::default(), &SESSION, id).await?)
}

/// Ends the one of a cookie's value.
pub(crate) async fn end_of(store: &Store, token: &str) -> Result<bool, Failure> {
    end(store, id(token)).await
}

/// Ends all of a person's but one; says how many.
pub(crate) async fn end_all(store: &Store, person: Id, but: Option<Id>) -> Result<usize, Failure> {
    let mut ended = 0;
    loop {
        let sessions = all_of(store, person).await?;
        let others: Vec<Id> =
            sessions.iter().map(|(id, _)| *id).filter(|id| Some(*id) != but).collect();
        if others.is_empty() {
            return Ok(ended);
        }
        for id in others {
            ended += usize::from(end(store, id).await?);
        }
    }
}

/// One session of whomever.
pub(crate) async fn get(store: &Store, id: Id) -> Result<Session, Failure> {
    let record = store.get(&Tenant::default(), &SESSION, id).await?;
    let record = record.ok_or_else(|| {
        Failure::not_found(format!("there is no session `{id}`; it may have ended"))
    })?;
    from_map(record.meta)
}

/// What every form of a cookie's bearer must hold: it follows from the cookie, and the
/// cookie does not follow from it.
pub(crate) fn csrf(token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    codes::hex(hmac::sign(&key, b"bartizan csrf").as_ref())
}

fn id(token: &str) -> Id {
    codes::id_of("session", token)
}
