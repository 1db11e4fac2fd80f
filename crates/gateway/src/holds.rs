//! Requests that wait for a person: asked for here, released through approvals.

use bartizan_core::{Cx, Id, Tenant};
use bartizan_policy::{Approval, Approved, Decision};
use bartizan_store::{Class, Order, Query, Record, Retention, Store};
use serde_json::{Map, Value};

use crate::Error;

/// Approvals as records.
pub const APPROVAL: Class = Class {
    name: "approval",
    facets: &["subject", "kind", "state"],
    counted: &["kind", "state"],
    retention: Retention::days(400),
};
/// The kind of approval that releases a held request.
pub const HELD_REQUEST: &str = "held-request";

/// The approvals of all tenants.
#[derive(Clone, Debug)]
pub struct Holds {
    store: Store,
    cx: Cx,
}

/// What became of a request that the guard would hold.
#[derive(Debug)]
pub enum Outcome<T> {
    /// A person released it: this once.
    Released(Approved<T>, Id),
    /// It waits under this id.
    Waiting(Id),
    /// A person refused it.
    Refused(Id),
}

impl Holds {
    pub fn new(store: Store, cx: Cx) -> Self {
        Self { store, cx }
    }

    /// Redeems the approval for `subject` if there is one, and asks for one if not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pass<T>(
        &self,
        tenant: &Tenant,
        subject: &str,
        reason: &str,
        by: &str,
        ttl: std::time::Duration,
        item: T,
    ) -> Result<Outcome<T>, Error> {
        let Some((record, mut approval)) = self.newest(tenant, subject).await? else {
            return self.ask(tenant, subject, reason, by, ttl).await.map(Outcome::Waiting);
        };
        let id = approval.id;
        if approval.is_pending(&self.cx) {
            return Ok(Outcome::Waiting(id));
        }
        if approval.is_denied() && !approval.is_expired(&self.cx) {
            return Ok(Outcome::Refused(id));
        }
        match approval.redeem(&self.cx, subject, item) {
            Ok(approved) => {
                // The write fails when another request redeemed it first: then this one was not approved.
                self.replace(tenant, &record, &approval).await?;
                Ok(Outcome::Released(approved, id))
            }
            Err(_) => self.ask(tenant, subject, reason, by, ttl).await.map(Outcome::Waiting),
        }
    }

    /// The approvals of a tenant, newest first, of one state or all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, tenant: &Tenant, state: Option<&str>) -> Result<Vec<Approval>, Error> {
        let filters = state.map(|state| ("state", state.to_owned())).into_iter().collect();
        let query = Query { filters, order: Order::Newest, limit: 500, ..Query::new(&APPROVAL) };
        let page = self.store.list(tenant, &query).await?;
        page.records.iter().map(read).collect()
    }

    /// One approval.
    ///
    /// # Errors
    /// When there is none of that id, or the store fails.
    pub async fn get(&self, tenant: &Tenant, id: Id) -> Result<Approval, Error> {
        Ok(self.load(tenant, id).await?.1)
    }

    /// Records a person's decision.
    ///
    /// # Errors
    /// When there is no such approval, it is decided or expired, or the store fails.
    pub async fn decide(
        &self,
        tenant: &Tenant,
        id: Id,
        by: &str,
        decision: Decision,
        why: &str,
    ) -> Result<Approval, Error> {
        let (record, mut approval) = self.load(tenant, id).await?;
        approval.decide(&self.cx, by, decision, why).map_err(|e| Error::Conflict(e.to_string()))?;
        self.replace(tenant, &record, &approval).await?;
        Ok(approval)
    }

    async fn load(&self, tenant: &Tenant, id: Id) -> Result<(Record, Approval), Error> {
        let record = self.store.get(tenant, &APPROVAL, id).await?;
        let record = record.ok_or_else(|| {
            Error::NotFound(format!(
                "there is no approval `{id}`; `bartizan approvals list` shows them"
            ))
        })?;
        let approval = read(&record)?;
        Ok((record, approval))
    }

    async fn newest(
        &self,
        tenant: &Tenant,
        subject: &str,
    ) -> Result<Option<(Record, Approval)>, Error> {
        let filters = vec![("subject", subject.to_owned())];
        let query = Query { filters, order: Order::Newest, limit: 1, ..Query::new(&APPROVAL) };
        let page = self.store.list(tenant, &query).await?;
        let newest = page.records.into_iter().next();
        newest.map(|record| read(&record).map(|approval| (record, approval))).transpose()
    }

    async fn ask(
        &self,
        tenant: &Tenant,
        subject: &str,
        reason: &str,
        by: &str,
        ttl: std::time::Duration,
    ) -> Result<Id, Error> {
        let approval = Approval::request(&self.cx, HELD_REQUEST, subject, reason, by, ttl);
        self.store.put(tenant, &APPROVAL, approval.id, meta(&approval)?, None).await?;
        Ok(approval.id)
    }

    async fn replace(
        &self,
        tenant: &Tenant,
        record: &Record,
        approval: &Approval,
    ) -> Result<(), Error> {
        self.store
            .replace(tenant, &APPROVAL, approval.id, record.version, meta(approval)?, None)
            .await?;
        Ok(())
    }
}

fn meta(approval: &Approval) -> Result<Map<String, Value>, Error> {
    let corrupt =
        || Error::Corrupt(format!("approval `{}` cannot be written as JSON", approval.id));
    let Ok(body @ Value::Object(_)) = serde_json::to_value(approval) else { return Err(corrupt()) };
    let mut meta = Map::new();
    meta.insert("subject".to_owned(), approval.subject.as_str().into());
    meta.insert("kind".to_owned(), approval.kind.as_str().into());
    meta.insert("state".to_owned(), approval.state_name().into());
    meta.insert("approval".to_owned(), body);
    Ok(meta)
}

fn read(record: &Record) -> Result<Approval, Error> {
    let body = record.meta.get("approval").cloned().unwrap_or_default();
    serde_json::from_value(body)
        .map_err(|_| Error::Corrupt(format!("approval `{}` cannot be read", record.id)))
}
