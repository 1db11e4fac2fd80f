//! Triage: people say of findings in what state they are and whose they are, and add notes;
//! of one or of many at once, and can take it back.
//!
//! State and assignee rest in a finding's clear metadata, where they are facets; notes may
//! quote what was seen, and rest in its sealed part. One act is one entry in the ledger, which
//! names every finding, and a record of what was before, by which it is taken back.

use std::collections::HashMap;

use axum::http::StatusCode;
use bartizan_core::{Id, Timestamp};
use bartizan_gateway::decisions::{FINDING, FindingText, Note, OPEN};
use bartizan_store::{Class, Error, Record, Retention};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Admin, Failure,
    permit::{Act, Permit},
};

/// What was before an act, so that it can be taken back.
pub const TRIAGE: Class =
    Class { name: "triage", facets: &["by"], counted: &[], retention: Retention::days(7) };
/// LIMIT: findings of one act; they are changed in one transaction, which others wait for.
pub(crate) const FINDINGS_MAX: usize = 500;
/// LIMIT: a note, in bytes.
const NOTE_BYTES_MAX: usize = 4096;
/// LIMIT: notes of a finding. They are read and written whole with every change.
const NOTES_MAX: usize = 100;
/// LIMIT: the name of an assignee, in bytes.
const ASSIGNEE_BYTES_MAX: usize = 128;
/// How many ids fit into one detail of a ledger's entry, which is clipped at 1024 bytes.
const IDS_A_DETAIL: usize = 27;

/// In what state a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Nobody has looked at it.
    Open,
    /// Somebody sees to it.
    Acknowledged,
    /// There is nothing more to do.
    Resolved,
}

impl State {
    pub(crate) const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Resolved];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => OPEN,
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// What is said of findings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Triage {
    /// The findings, 1 to 500.
    #[schemars(with = "Vec<String>")]
    pub(crate) ids: Vec<Id>,
    /// The state that they are in now; as it was when absent.
    pub(crate) state: Option<State>,
    /// Whose they are, such as `person:ID`; an empty text for nobody, as it was when absent.
    pub(crate) assignee: Option<String>,
    /// Added to each of them. It rests encrypted.
    pub(crate) note: Option<String>,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Triaged {
    /// By this the act is taken back, for 7 days.
    pub(crate) act: String,
    pub(crate) changed: Vec<Changed>,
    /// Findings that were left as they were, and why.
    pub(crate) left: Vec<Left>,
}

/// A finding as it is now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Changed {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) assignee: Option<String>,
}

/// A finding that was left as it was.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Left {
    pub(crate) id: String,
    /// `not_found`; `conflict` when somebody else changed it; `full` when it takes no note.
    pub(crate) code: String,
    pub(crate) message: String,
}

/// A finding before an act, and its version after.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    id: Id,
    version: u64,
    state: Option<Value>,
    assignee: Option<Value>,
}

/// Records the act, and does it.
pub(crate) async fn triage(
    admin: &Admin,
    permit: &Permit,
    mut wanted: Triage,
) -> Result<Triaged, Failure> {
    check(&mut wanted)?;
    let act = Id::new(&admin.gateway.cx);
    let id = act.to_string();
    let mut details = vec![("act", id.as_str())];
    details.extend(wanted.state.map(|state| ("state", state.as_str())));
    details.extend(wanted.assignee.as_deref().map(|assignee| ("assignee", assignee)));
    details.extend(wanted.note.as_ref().map(|_| ("note", "added")));
    let (subject, lists) = named(&wanted.ids);
    details.extend(lists.iter().map(|(name, ids)| (name.as_str(), ids.as_str())));
    let entry = Act { kind: "admin.findings.triage", subject: &subject, details: &details };
    permit.act(admin, entry, change(admin, permit, act, &wanted)).await
}

/// Takes an act back, of those findings that nobody has changed since.
pub(crate) async fn undo(admin: &Admin, permit: &Permit, act: Id) -> Result<Triaged, Failure> {
    let store = &admin.gateway.store;
    let gone = || {
        Failure::not_found(format!(
            "there is no act `{act}` to take back: it was taken back already, or is older than 7 days"
        ))
    };
    let record = store.get(permit.tenant(), &TRIAGE, act).await?.ok_or_else(gone)?;
    let before: Vec<Before> = serde_json::from_value(record.sealed.unwrap_or_default())
        .map_err(|_| Failure::invalid(format!("the record of act `{act}` cannot be read")))?;
    let id = act.to_string();
    let (subject, lists) = named(&before.iter().map(|before| before.id).collect::<Vec<_>>());
    let mut details = vec![("act", id.as_str())];
    details.extend(lists.iter().map(|(name, ids)| (name.as_str(), ids.as_str())));
    let entry = Act { kind: "admin.findings.undo", subject: &subject, details: &details };
    permit.act(admin, entry, take_back(admin, permit, act, before)).await
}

fn check(wanted: &mut Triage) -> Result<(), Failure> {
    wanted.ids.sort_unstable();
    wanted.ids.dedup();
    if !(1..=FINDINGS_MAX).contains(&wanted.ids.len()) {
        let message =
            format!("`ids` names {} findings: expected 1 to {FINDINGS_MAX}", wanted.ids.len());
        return Err(Failure::invalid(message));
    }
    if wanted.note.as_ref().is_some_and(|note| note.trim().is_empty()) {
        wanted.note = None;
    }
    if wanted.state.is_none() && wanted.assignee.is_none() && wanted.note.is_none() {
        return Err(Failure::invalid("nothing is said: expected `state`, `assignee` or `note`"));
    }
    bound("note", wanted.note.as_deref(), NOTE_BYTES_MAX)?;
    bound("assignee", wanted.assignee.as_deref(), ASSIGNEE_BYTES_MAX)
}

fn bound(name: &str, text: Option<&str>, max: usize) -> Result<(), Failure> {
    match text.map_or(0, str::len) {
        len if len > max => {
            Err(Failure::invalid(format!("`{name}` is {len} bytes: expected at most {max}")))
        }
        _ => Ok(()),
    }
}

/// What an entry's subject is, and the lists of the ids that it names, in pieces that fit.
fn named(ids: &[Id]) -> (String, Vec<(String, String)>) {
    if let [one] = ids {
        return (format!("finding:{one}"), Vec::new());
    }
    let list = |(at, ids): (usize, &[Id])| {
        let ids: Vec<String> = ids.iter().map(Id::to_string).collect();
        (format!("findings_{at:02}"), ids.join(" "))
    };
    let lists = ids.chunks(IDS_A_DETAIL).enumerate().map(list).collect();
    (format!("findings:{}", ids.len()), lists)
}

async fn change(
    admin: &Admin,
    permit: &Permit,
    act: Id,
    wanted: &Triage,
) -> Result<Triaged, Failure> {
    let (found, mut left) = read(admin, permit, &wanted.ids).await?;
    let now = admin.gateway.cx.now();
    let mut before = Vec::with_capacity(found.len());
    let mut changed = Vec::with_capacity(found.len());
    for mut record in found {
        let was = Before {
            id: record.id,
            version: record.version.saturating_add(1),
            state: record.meta.get("state").cloned(),
            assignee: record.meta.get("assignee").cloned(),
        };
        match say(&mut record, wanted, &Who { by: permit.actor(), now, act }) {
            Ok(()) => {
                before.push(was);
                changed.push(record);
            }
            Err(message) => {
                left.push(Left { id: record.id.to_string(), code: "full".to_owned(), message });
            }
        }
    }
    let meta = json!({"by": permit.actor(), "findings": before.len()});
    let meta = meta.as_object().cloned().unwrap_or_default();
    let before = json!(before);
    if !changed.is_empty() {
        let store = &admin.gateway.store;
        store.put(permit.tenant(), &TRIAGE, act, meta, Some(&before)).await?;
    }
    write(admin, permit, act, changed, left).await
}

struct Who<'a> {
    by: &'a str,
    now: Timestamp,
    act: Id,
}

/// Changes a record as it is said; or says why it takes no note.
fn say(record: &mut Record, wanted: &Triage, Who { by, now, act }: &Who<'_>) -> Result<(), String> {
    if let Some(note) = &wanted.note {
        let text = FindingText::of(record.sealed.as_ref());
        let mut text = text.ok_or("its text is of another form, and takes no note")?;
        if text.notes.len() >= NOTES_MAX {
            return Err(format!("it has {NOTES_MAX} notes, and takes no more"));
        }
        let (by, at, note) = ((*by).to_owned(), now.to_string(), note.clone());
        text.notes.push(Note { by, at, act: *act, text: note });
        record.sealed = Some(json!(text));
    }
    let meta = &mut record.meta;
    if let Some(state) = wanted.state {
        meta.insert("state".to_owned(), state.as_str().into());
    }
    match wanted.assignee.as_deref() {
        Some("") => drop(meta.remove("assignee")),
        Some(assignee) => drop(meta.insert("assignee".to_owned(), assignee.into())),
        None => {}
    }
    meta.insert("triaged_by".to_owned(), (*by).into());
    meta.insert("triaged_at".to_owned(), now.to_string().into());
    Ok(())
}

async fn take_back(
    admin: &Admin,
    permit: &Permit,
    act: Id,
    before: Vec<Before>,
) -> Result<Triaged, Failure> {
    let ids: Vec<Id> = before.iter().map(|before| before.id).collect();
    let (found, mut left) = read(admin, permit, &ids).await?;
    let mut before: HashMap<Id, Before> =
        before.into_iter().map(|before| (before.id, before)).collect();
    let now = admin.gateway.cx.now();
    let mut changed = Vec::with_capacity(found.len());
    for mut record in found {
        let Some(before) = before.remove(&record.id) else { continue };
        if record.version != before.version {
            let message = "it was changed since; what was changed last stands".to_owned();
            left.push(Left { id: record.id.to_string(), code: "conflict".to_owned(), message });
            continue;
        }
        put_back(&mut record.meta, "state", before.state);
        put_back(&mut record.meta, "assignee", before.assignee);
        record.meta.insert("triaged_by".to_owned(), permit.actor().into());
        record.meta.insert("triaged_at".to_owned(), now.to_string().into());
        if let Some(mut text) = FindingText::of(record.sealed.as_ref())
            && text.notes.iter().any(|note| note.act == act)
        {
            text.notes.retain(|note| note.act != act);
            record.sealed = Some(json!(text));
        }
        changed.push(record);
    }
    let triaged = write(admin, permit, act, changed, left).await?;
    admin.gateway.store.delete(permit.tenant(), &TRIAGE, act).await?;
    Ok(triaged)
}

fn put_back(meta: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(meta.insert(name.to_owned(), value)),
        None => drop(meta.remove(name)),
    }
}

async fn read(
    admin: &Admin,
    permit: &Permit,
    ids: &[Id],
) -> Result<(Vec<Record>, Vec<Left>), Failure> {
    let (mut found, mut left) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        match admin.gateway.store.get(permit.tenant(), &FINDING, *id).await? {
            Some(record) => found.push(record),
            None => left.push(Left {
                id: id.to_string(),
                code: "not_found".to_owned(),
                message: format!("there is no finding `{id}`"),
            }),
        }
    }
    Ok((found, left))
}

/// Changes all of them in one transaction. When none was changed, that is a failure.
async fn write(
    admin: &Admin,
    permit: &Permit,
    act: Id,
    records: Vec<Record>,
    mut left: Vec<Left>,
) -> Result<Triaged, Failure> {
    let shown = |record: &Record| Changed {
        id: record.id.to_string(),
        state: text(&record.meta, "state").unwrap_or_else(|| OPEN.to_owned()),
        assignee: text(&record.meta, "assignee"),
    };
    let after: Vec<Changed> = records.iter().map(shown).collect();
    let store = &admin.gateway.store;
    let written = store.replace_all(permit.tenant(), &FINDING, records).await?;
    let mut changed = Vec::with_capacity(after.len());
    for (finding, written) in after.into_iter().zip(written) {
        match written {
            Ok(_) => changed.push(finding),
            Err(error) => left.push(Left {
                id: finding.id,
                code: match &error {
                    Error::Conflict { .. } => "conflict",
                    _ => "not_found",
                }
                .to_owned(),
                message: error.to_string(),
            }),
        }
    }
    if changed.is_empty() {
        let first = left.first();
        let message = first.map_or("nothing was changed", |left| left.message.as_str());
        let (status, code) = match first.map(|left| left.code.as_str()) {
            Some("not_found") => (StatusCode::NOT_FOUND, "not_found"),
            _ => (StatusCode::CONFLICT, "conflict"),
        };
        return Err(Failure::new(status, code, message));
    }
    Ok(Triaged { act: act.to_string(), changed, left })
}

fn text(meta: &Map<String, Value>, name: &str) -> Option<String> {
    meta.get(name).and_then(Value::as_str).map(str::to_owned)
}
