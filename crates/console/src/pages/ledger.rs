//! Ledger: its head, its entries, the proof of each, and that it only ever grew.

use std::ops::Range;

use askama::Template;
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{Uri, header},
    response::IntoResponse,
    routing::get,
};
use bartizan_core::{Timestamp, json};
use bartizan_ledger::{Checkpoint, verify_consistency};
use bartizan_policy::Area;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::Value;

use super::{Page, Section};
use crate::{
    Admin, Failure,
    endpoints::Needs,
    frame::{Answer, Frame, page},
    params::Params,
    proof,
    record::pretty,
    take::At,
    visitor::Visitor,
};

/// Entries of a page.
const ROWS: u64 = 50;
/// LIMIT: entries that a search looks at before it asks whether to look further back.
const LOOKED_MAX: u64 = 2000;
/// LIMIT: entries of one download.
const DOWNLOAD_MAX: usize = 10_000;

const READ: Needs = Needs::Read(Area::Ledger);
pub(super) static PAGE: Page = Page {
    path: "/ledger",
    title: "Ledger",
    letter: Some('l'),
    section: Section::Govern,
    icon: "ledger",
    needs: READ,
    serve: || get(list),
};
pub(super) static ONE: Page = Page::below("/ledger/{index}", "Entry", READ, || get(one));
pub(super) static PROOF: Page =
    Page::below("/ledger/{index}/proof", "Proof", READ, || get(download_proof));
pub(super) static CHECKPOINT: Page =
    Page::below("/ledger/checkpoint", "Checkpoint", READ, || get(checkpoint));
pub(super) static ENTRIES: Page =
    Page::below("/ledger/entries.jsonl", "Entries", READ, || get(entries));
// By POST, since a checkpoint is longer than an address should be; it changes nothing.
pub(super) static CONSISTENCY: Page =
    Page::below("/ledger/consistency", "Consistency", READ, || get(path).post(consistency));

#[derive(Template)]
#[template(path = "ledger.html")]
struct Ledger {
    f: Frame,
    origin: String,
    size: u64,
    root: String,
    key: String,
    q: String,
    /// The first entry that a download begins with.
    first: u64,
    looked: (u64, u64),
    rows: Vec<Row>,
    newest: Option<String>,
    older: Option<String>,
    old: String,
    newer: String,
    told: Option<Told>,
}

/// What a comparison came to.
struct Told {
    class: &'static str,
    words: String,
}

struct Row {
    index: u64,
    time: Timestamp,
    kind: String,
    actor: String,
    subject: String,
    /// What its body says, in short.
    says: String,
}

#[derive(Template)]
#[template(path = "entry.html")]
struct One {
    f: Frame,
    api: String,
    index: u64,
    before: Option<u64>,
    after: Option<u64>,
    kind: String,
    time: Timestamp,
    actor: String,
    subject: String,
    href: Option<String>,
    tenant: String,
    body: Vec<(String, String)>,
    proof: proof::Shown,
    raw: String,
}

/// What a script is sent.
#[derive(Debug, Serialize)]
struct Path {
    path: Vec<String>,
}

impl Row {
    fn of(index: u64, entry: &Value) -> Self {
        let text =
            |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            index,
            time: Timestamp::from_millis(entry.get("time").and_then(Value::as_i64).unwrap_or(0)),
            kind: text("kind"),
            actor: text("actor"),
            subject: text("subject"),
            says: says(entry.get("body").unwrap_or(&Value::Null)),
        }
    }
}

/// Whether a text stands anywhere in an entry.
fn fits(entry: &Value, low: &str) -> bool {
    match entry {
        Value::String(text) => text.to_lowercase().contains(low),
        Value::Array(items) => items.iter().any(|item| fits(item, low)),
        Value::Object(fields) => {
            fields.iter().any(|(name, field)| name.contains(low) || fits(field, low))
        }
        Value::Number(number) => number.to_string() == low,
        Value::Null | Value::Bool(_) => false,
    }
}

/// The words of a body that tell most, in short; digests tell nothing.
fn says(body: &Value) -> String {
    let word = |path: &str| match body.pointer(path) {
        Some(Value::String(text)) => Some(json::clip(text, 64).to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let rules = body.pointer("/judgement/rules").and_then(Value::as_array);
    let rules: Vec<&str> = rules.into_iter().flatten().filter_map(Value::as_str).collect();
    let count = word("/count").map(|count| format!("× {count}"));
    let status = word("/status").map(|status| format!("status {status}"));
    let words =
        [word("/code"), count, word("/judgement/verdict"), status, word("/cut"), word("/why")];
    words
        .into_iter()
        .flatten()
        .chain(rules.into_iter().map(str::to_owned))
        .collect::<Vec<_>>()
        .join(" ")
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["q", "before"])?;
    shown(&admin, &visitor, &uri, &params, (String::new(), String::new(), None)).await
}

async fn shown(
    admin: &Admin,
    visitor: &Visitor,
    uri: &Uri,
    params: &Params,
    (old, newer, told): (String, String, Option<Told>),
) -> Answer {
    let ledger = &admin.gateway.ledger;
    let head = ledger.head();
    let q = json::clip(params.get("q").unwrap_or_default().trim(), 256).to_owned();
    let end = params.number("before")?.unwrap_or(head.size).min(head.size);
    let (rows, from) = match q.parse::<u64>() {
        Ok(index) if index < head.size => (read(admin, index..index + 1)?, index),
        _ if q.is_empty() => {
            let from = end.saturating_sub(ROWS);
            (read(admin, from..end)?, from)
        }
        _ => search(admin, end, &q.to_lowercase())?,
    };
    let mut next = Params::default();
    if !q.is_empty() {
        next = next.with("q", &q);
    }
    page(&Ledger {
        f: Frame::new(visitor, &PAGE, uri),
        origin: head.origin,
        size: head.size,
        root: STANDARD.encode(head.root),
        key: ledger.verifier().to_string(),
        first: rows.last().map_or(0, |row| row.index),
        looked: (from, end.saturating_sub(1)),
        newest: (end < head.size).then(|| next.at("/ledger")),
        older: (from > 0).then(|| next.with("before", &from.to_string()).at("/ledger")),
        q,
        rows,
        old,
        newer,
        told,
    })
}

/// Entries, newest first.
fn read(admin: &Admin, range: Range<u64>) -> Result<Vec<Row>, Failure> {
    let count = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    if count == 0 {
        return Ok(Vec::new());
    }
    let entries = admin.gateway.ledger.entries(range.start, count)?;
    Ok(entries.iter().rev().map(|(index, entry)| Row::of(*index, entry)).collect())
}

/// The ledger has no index: a search goes back entry by entry, as far as one page may.
fn search(admin: &Admin, end: u64, low: &str) -> Result<(Vec<Row>, u64), Failure> {
    let lowest = end.saturating_sub(LOOKED_MAX);
    let mut found = Vec::new();
    let mut to = end;
    while to > lowest {
        let from = to.saturating_sub(500).max(lowest);
        let count = usize::try_from(to - from).unwrap_or(usize::MAX);
        let entries = admin.gateway.ledger.entries(from, count)?;
        for (index, entry) in entries.iter().rev().filter(|(_, entry)| fits(entry, low)) {
            let index = *index;
            found.push(Row::of(index, entry));
            if found.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX) {
                return Ok((found, index));
            }
        }
        to = from;
    }
    Ok((found, lowest))
}

async fn one(State(admin): State<Admin>, visitor: Visitor, uri: Uri, At(index): At) -> Answer {
    let (entry, proof) = proof::of(&admin, index)?;
    let size = admin.gateway.ledger.head().size;
    let row = Row::of(index, &entry);
    let value = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let body = entry.get("body").and_then(Value::as_object);
    let body = body.into_iter().flatten().map(|(name, one)| (name.clone(), value(one))).collect();
    page(&One {
        f: Frame::new(&visitor, &PAGE, &uri).below(&format!("Entry {index}"), PAGE.path.to_owned()),
        api: format!("/api/v1/ledger/entries/{index}/proof"),
        index,
        before: index.checked_sub(1),
        after: Some(index + 1).filter(|next| *next < size),
        href: href(&row.subject),
        kind: row.kind,
        time: row.time,
        actor: row.actor,
        subject: row.subject,
        tenant: entry.get("tenant").and_then(Value::as_str).unwrap_or_default().to_owned(),
        body,
        proof,
        raw: pretty(&entry),
    })
}

/// Where the thing is that an entry is about.
fn href(subject: &str) -> Option<String> {
    let (kind, id) = subject.split_once(':')?;
    let id: bartizan_core::Id = id.parse().ok()?;
    match kind {
        "request" => Some(format!("/traffic/{id}")),
        "key" => Some(format!("/keys/{id}")),
        "finding" => Some(format!("/findings/{id}")),
        "approval" => Some("/approvals?state=any".to_owned()),
        _ => None,
    }
}

async fn download_proof(State(admin): State<Admin>, _: Visitor, At(index): At) -> Answer {
    let proof = admin.gateway.ledger.prove(index)?.to_string();
    Ok(attached(&format!("entry-{index}.tlog-proof"), "text/plain; charset=utf-8", proof))
}

async fn checkpoint(State(admin): State<Admin>, _: Visitor) -> Answer {
    let size = admin.gateway.ledger.head().size;
    let name = format!("checkpoint-{size}.txt");
    Ok(attached(&name, "text/plain; charset=utf-8", admin.gateway.ledger.checkpoint()))
}

async fn entries(State(admin): State<Admin>, _: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["from"])?;
    let from = params.number("from")?.unwrap_or(0);
    let entries = admin.gateway.ledger.entries(from, DOWNLOAD_MAX)?;
    let mut text = String::new();
    for (index, entry) in entries {
        text.push_str(&serde_json::json!({"index": index, "entry": entry}).to_string());
        text.push('\n');
    }
    Ok(attached(&format!("ledger-from-{from}.jsonl"), "application/jsonl", text))
}

fn attached(name: &str, media: &str, text: String) -> axum::response::Response {
    let headers = [
        (header::CONTENT_TYPE, media.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from(text)).into_response()
}

/// The hashes between two sizes, for a browser that kept the older head.
async fn path(State(admin): State<Admin>, _: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["old", "new", "form"])?;
    let size = admin.gateway.ledger.head().size;
    let old = params.number("old")?.unwrap_or(0);
    let new = params.number("new")?.unwrap_or(size);
    if old == 0 || old > new || new > size {
        let message = format!(
            "there is no proof from size {old} to {new}: expected sizes from 1 to {size}, the older first"
        );
        return Err(Failure::invalid(message));
    }
    let path = admin.gateway.ledger.consistency(old, new)?;
    Ok(Json(Path { path: path.iter().map(|hash| STANDARD.encode(hash)).collect() }).into_response())
}

async fn consistency(
    State(admin): State<Admin>,
    visitor: Visitor,
    uri: Uri,
    form: Params,
) -> Answer {
    // Browsers send a text field's lines with carriage returns.
    let clean = |name: &str| form.get(name).unwrap_or_default().replace("\r\n", "\n");
    let (old, newer) = (clean("old"), clean("new"));
    let told = match compare(&admin, &old, &newer) {
        Ok(words) => Told { class: "good", words },
        Err(words) => Told { class: "bad", words },
    };
    shown(&admin, &visitor, &uri, &Params::default(), (old, newer, Some(told))).await
}

/// Whether the tree of the newer head only adds to that of the older one.
fn compare(admin: &Admin, old: &str, newer: &str) -> Result<String, String> {
    let ledger = &admin.gateway.ledger;
    let read = |note: &str| {
        let note = format!("{}\n", note.trim_end());
        let checkpoint = Checkpoint::parse(&note).map_err(|error| error.to_string())?;
        if !checkpoint.is_signed_by(&ledger.verifier()) {
            return Err(format!(
                "The head of {} entries is not signed by this ledger's key in force",
                checkpoint.head.size
            ));
        }
        Ok::<_, String>(checkpoint.head)
    };
    let old = read(old)?;
    let new = if newer.trim().is_empty() { ledger.head() } else { read(newer)? };
    if old.size > new.size {
        return Err(format!(
            "The first head has {} entries, the second {}: the older goes first",
            old.size, new.size
        ));
    }
    if new.size > ledger.head().size {
        return Err(format!(
            "A head of {} entries was signed, and the ledger has only {}",
            new.size,
            ledger.head().size
        ));
    }
    let path = match old.size {
        0 => Vec::new(),
        size => ledger.consistency(size, new.size).map_err(|error| error.to_string())?,
    };
    if !verify_consistency(old.size, new.size, &old.root, &new.root, &path) {
        return Err(format!(
            "NOT CONSISTENT: the tree of {} entries is not the beginning of that of {}",
            old.size, new.size
        ));
    }
    Ok(format!(
        "Consistent: from {} to {} entries, nothing was changed or removed ({} hashes checked)",
        old.size,
        new.size,
        path.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_lead_to_their_pages() {
        let id = "019b76da-a800-715c-8289-ec2d0a9167ec";
        assert_eq!(href(&format!("request:{id}")), Some(format!("/traffic/{id}")));
        for none in
            ["ledger", "request:x", "request:../../x", "other:019b76da-a800-715c-8289-ec2d0a9167ec"]
        {
            assert_eq!(href(none), None, "{none}");
        }
    }
}
