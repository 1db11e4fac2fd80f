//! What people say of findings: resolved, open again, whose work it is. Many at once, and
//! taken back where nobody was there in between.

use bartizan_core::{Id, json};
use bartizan_gateway::decisions::FINDING;
use bartizan_store::{Class, Record, Retention};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Admin, Failure,
    permit::{Act, Permit},
};

/// One thing that was said of some findings, with what each was before.
pub const TRIAGE: Class = Class {
    name: "triage",
    facets: &["action", "by"],
    counted: &[],
    retention: Retention::days(400),
};

/// LIMIT: findings of one act.
pub(crate) const FINDINGS_MAX: usize = 200;
/// LIMIT: an assignee's name, in bytes.
const ASSIGNEE_BYTES_MAX: usize = 128;
/// Ids of one detail of a ledger's entry, which holds a thousand bytes.
const IDS_A_DETAIL: usize = 27;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Change {
    /// It is dealt with.
    Resolve,
    /// It is not, after all.
    Reopen,
    /// Someone looks into it; nobody, when the name is empty.
    Assign { assignee: String },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Done {
    /// Names this act, to take it back.
    pub(crate) batch: String,
    /// Findings that are otherwise now.
    pub(crate) changed: u64,
    /// Findings that somebody else changed in the same moment, or that are gone.
    pub(crate) left: u64,
}

/// A finding as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    id: Id,
    state: String,
    assignee: String,
    /// Its version after the act.
    version: u64,
}

impl Change {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Reopen => "reopen",
            Self::Assign { .. } => "assign",
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Resolve => "admin.findings.resolve",
            Self::Reopen => "admin.findings.reopen",
            Self::Assign { .. } => "admin.findings.assign",
        }
    }

    fn check(&self) -> Result<(), Failure> {
        let Self::Assign { assignee } = self else { return Ok(()) };
        if assignee.len() > ASSIGNEE_BYTES_MAX || assignee.chars().any(char::is_control) {
            let message = format!("an assignee's name has at most {ASSIGNEE_BYTES_MAX} bytes, none of them a control character");
            return Err(Failure::invalid(message));
        }
        Ok(())
    }

    fn apply(&self, meta: &mut Map<String, Value>) {
        match self {
            Self::Resolve => meta.insert("state".to_owned(), "resolved".into()),
            Self::Reopen => meta.insert("state".to_owned(), "open".into()),
            Self::Assign { assignee } => meta.insert("assignee".to_owned(), assignee.as_str().into()),
        };
    }
}

/// The state of a finding; one from before there were states is open.
pub(crate) fn state(meta: &Map<String, Value>) -> &str {
    meta.get("state").and_then(Value::as_str).unwrap_or("open")
}

pub(crate) fn assignee(meta: &Map<String, Value>) -> &str {
    meta.get("assignee").and_then(Value::as_str).unwrap_or_default()
}

/// Says something of findings.
///
/// # Errors
/// When one of them is not there, too many are named, or the ledger or store fails.
pub(crate) async fn act(
    admin: &Admin,
    permit: &Permit,
    ids: &[Id],
    change: &Change,
) -> Result<Done, Failure> {
    change.check()?;
    if ids.is_empty() || ids.len() > FINDINGS_MAX {
        let message = format!("{} findings were named: expected 1 to {FINDINGS_MAX}", ids.len());
        return Err(Failure::invalid(message));
    }
    let batch = Id::new(&admin.gateway.cx);
    let mut details = listed(ids);
    details.push(("batch".to_owned(), batch.to_string()));
    if let Change::Assign { assignee } = change {
        details.push(("assignee".to_owned(), assignee.clone()));
    }
    let details: Vec<(&str, &str)> = details.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let subject = subject(ids);
    let act = Act { kind: change.kind(), subject: &subject, details: &details };
    permit.act(admin, act, done(admin, permit, batch, ids, change)).await
}

/// The one finding, or how many.
fn subject(ids: &[Id]) -> String {
    match ids {
        [one] => format!("finding:{one}"),
        many => format!("{} findings", many.len()),
    }
}

/// Every id in the ledger's entry, some to a detail.
fn listed(ids: &[Id]) -> Vec<(String, String)> {
    let words = |ids: &[Id]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let parts = ids.chunks(IDS_A_DETAIL).enumerate();
    parts.map(|(at, ids)| (format!("findings_{at}"), words(ids))).collect()
}

async fn done(
    admin: &Admin,
    permit: &Permit,
    batch: Id,
    ids: &[Id],
    change: &Change,
) -> Result<Done, Failure> {
    let mut records = Vec::with_capacity(ids.len());
    let mut before = Vec::with_capacity(ids.len());
    for id in ids {
        let mut record = load(admin, permit, *id).await?;
        before.push(Before {
            id: *id,
            state: state(&record.meta).to_owned(),
            assignee: assignee(&record.meta).to_owned(),
            version: record.version.saturating_add(1),
        });
        change.apply(&mut record.meta);
        signed(&mut record.meta, admin, permit);
        records.push(record);
    }
    let written = write(admin, permit, records).await?;
    let changed: Vec<Before> =
        before.into_iter().zip(&written).filter(|(_, done)| **done).map(|(before, _)| before).collect();
    let mut meta = Map::new();
    meta.insert("action".to_owned(), change.verb().into());
    meta.insert("by".to_owned(), permit.actor().into());
    let count = changed.len();
    let sealed = serde_json::to_value(changed).map_err(|_| Failure::invalid("the act cannot be written down"))?;
    admin.gateway.store.put(permit.tenant(), &TRIAGE, batch, meta, Some(&sealed)).await?;
    Ok(told(batch, count, ids.len()))
}

fn told(batch: Id, changed: usize, of: usize) -> Done {
    let n = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Done { batch: batch.to_string(), changed: n(changed), left: n(of.saturating_sub(changed)) }
}

/// Who said it last, and when.
fn signed(meta: &mut Map<String, Value>, admin: &Admin, permit: &Permit) {
    meta.insert("by".to_owned(), permit.actor().into());
    meta.insert("at".to_owned(), admin.gateway.cx.now().to_string().into());
}

async fn load(admin: &Admin, permit: &Permit, id: Id) -> Result<Record, Failure> {
    let record = admin.gateway.store.get(permit.tenant(), &FINDING, id).await?;
    record.ok_or_else(|| Failure::not_found(format!("there is no finding `{id}`")))
}

/// Writes them all, and says of each whether it was; those that somebody else changed in
/// between are left alone.
async fn write(admin: &Admin, permit: &Permit, records: Vec<Record>) -> Result<Vec<bool>, Failure> {
    let written = admin.gateway.store.replace_all(permit.tenant(), &FINDING, records).await?;
    Ok(written.iter().map(Result::is_ok).collect())
}

/// Takes an act back, where nobody was there in between.
///
/// # Errors
/// When there is no such act, or the ledger or store fails.
pub(crate) async fn undo(admin: &Admin, permit: &Permit, batch: Id) -> Result<Done, Failure> {
    let record = admin.gateway.store.get(permit.tenant(), &TRIAGE, batch).await?;
    let missing = || Failure::not_found(format!("there is no act `{}`", json::clip(&batch.to_string(), 40)));
    let record = record.ok_or_else(missing)?;
    let before: Vec<Before> = record
        .sealed
        .and_then(|sealed| serde_json::from_value(sealed).ok())
        .ok_or_else(|| Failure::invalid(format!("the act `{batch}` cannot be read")))?;
    let ids: Vec<Id> = before.iter().map(|one| one.id).collect();
    let mut details = listed(&ids);
    details.push(("batch".to_owned(), batch.to_string()));
    let details: Vec<(&str, &str)> = details.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let subject = subject(&ids);
    let act = Act { kind: "admin.findings.undo", subject: &subject, details: &details };
    permit.act(admin, act, undone(admin, permit, batch, &before)).await
}

async fn undone(
    admin: &Admin,
    permit: &Permit,
    batch: Id,
    before: &[Before],
) -> Result<Done, Failure> {
    let mut records = Vec::new();
    for one in before {
        let Some(mut record) = admin.gateway.store.get(permit.tenant(), &FINDING, one.id).await? else { continue };
        if record.version != one.version {
            continue;
        }
        record.meta.insert("state".to_owned(), one.state.as_str().into());
        record.meta.insert("assignee".to_owned(), one.assignee.as_str().into());
        signed(&mut record.meta, admin, permit);
        records.push(record);
    }
    let written = write(admin, permit, records).await?;
    Ok(told(batch, written.iter().filter(|done| **done).count(), before.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_on_record_in_details_that_are_not_cut() {
        let (cx, _) = bartizan_core::sim::cx(1);
        let ids: Vec<Id> = (0..FINDINGS_MAX).map(|_| Id::new(&cx)).collect();
        let details = listed(&ids);
        assert!(details.iter().all(|(_, text)| text.len() <= 1024));
        assert_eq!(details.iter().map(|(_, text)| text.split(' ').count()).sum::<usize>(), FINDINGS_MAX);
    }

    #[test]
    fn a_name_that_is_no_name_is_refused() {
        for bad in ["a\nb".to_owned(), "x".repeat(ASSIGNEE_BYTES_MAX + 1)] {
            assert!(Change::Assign { assignee: bad }.check().is_err());
        }
        assert!(Change::Assign { assignee: String::new() }.check().is_ok());
    }
}
