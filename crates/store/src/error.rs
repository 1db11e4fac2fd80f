//! What can go wrong with the store: each message says what, where and what to do.

use std::path::PathBuf;

use bartizan_core::Id;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {what} `{path}`: {source}")]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "`{path}` cannot be written; give this user write access to it and to its directory, or choose another `data_dir`"
    )]
    ReadOnly { path: PathBuf },
    #[error("the disk of `{path}` is full; nothing was written: make room, and try again")]
    Full { path: PathBuf },
    #[error("`{path}` is locked by another process; stop it, or let it do this work")]
    Busy { path: PathBuf },
    #[error(
        "the database `{path}` is damaged ({detail}); keep a copy of it, then put a backup back with `bartizan db restore`"
    )]
    Corrupt { path: PathBuf, detail: String },
    #[error(
        "the database `{path}` has format {found}, and this version of Bartizan knows formats up to {known}; it was not touched: use the newer version"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "`{path}` is a database of another program; it was not touched: choose another `data_dir`"
    )]
    Foreign { path: PathBuf },
    #[error("the database `{path}` refused: {detail}")]
    Database { path: PathBuf, detail: String },
    #[error("the store was closed")]
    Closed,
    #[error(
        "{what} at `{place}` cannot be reached: {detail}; nothing more is taken until it is back: check that it runs, and the address in `{key}`"
    )]
    Away { what: &'static str, place: String, key: &'static str, detail: String },
    #[error("`{key}` is no address of {what}: {problem}; expected {example}")]
    Url { key: &'static str, what: &'static str, problem: String, example: &'static str },

    #[error(
        "the stream `{stream}` of NATS at `{place}` cannot be used: {problem}; mend it, or delete it when nothing in it is needed"
    )]
    Stream { stream: &'static str, place: String, problem: String },

    #[error("the master key in {place} cannot be used: {problem}")]
    MasterKey { place: String, problem: String },
    #[error(
        "the master key in {place} is not the one of this database: expected key `{expected}`; put that key back"
    )]
    OtherMasterKey { place: String, expected: String },
    #[error(
        "the data key of tenant `{tenant}` was altered; put a backup back with `bartizan db restore`"
    )]
    AlteredKey { tenant: String },
    #[error(
        "{class} `{id}` was altered in the database, outside of Bartizan; put a backup back, and find out who did it"
    )]
    Altered { class: String, id: Id },

    #[error("{class} `{id}` exists already; choose another id, or replace it")]
    Exists { class: String, id: Id },
    #[error(
        "the tenant was erased while the record was written; nothing was: try again if the tenant is to come back"
    )]
    Erased,
    #[error("there is no {class} `{id}`")]
    NotFound { class: String, id: Id },
    #[error(
        "{class} `{id}` was changed by someone else: expected version {expected}, found {found}; read it again, and repeat the change"
    )]
    Conflict { class: String, id: Id, expected: u64, found: u64 },
    #[error("`{name}` is no class of data; known: {known}")]
    UnknownClass { name: String, known: String },
    #[error("`{name}` is no facet of {class}; known: {known}")]
    UnknownFacet { class: String, name: String, known: String },
    #[error("a page has from 1 to {max} records, not {limit}")]
    PageLimit { limit: u16, max: u16 },
    #[error("of a facet, from 1 to {max} values are told, not {asked}")]
    Values { asked: u16, max: u16 },
    #[error(
        "more than {max} steps of this length hold records; ask for longer steps, or a shorter time"
    )]
    Steps { max: usize },
    #[error("`{0}` is no cursor of this query; start again without one")]
    Cursor(String),
    #[error("{what} is {len} bytes, and at most {max} are stored; store less")]
    TooLarge { what: &'static str, len: usize, max: usize },

    #[error("the subscription `{name}` is in use; choose another name, or end the other")]
    Subscribed { name: String },
    #[error(
        "`{name}` cannot name a subscription: expected 1 to {max} characters of a-z, 0-9 and `-`"
    )]
    SubscriptionName { name: String, max: usize },

    #[error(
        "this is no export of Bartizan: its first line is not a header; expected what `bartizan db export` writes"
    )]
    NotAnExport,
    #[error(
        "the export has format {found}, and this version of Bartizan reads format {known}; use the version that wrote it, or a newer one"
    )]
    ExportVersion { found: u64, known: u64 },
    #[error(
        "line {line} of the export: {problem}; {done} records before it are in, and importing again skips them"
    )]
    ExportLine { line: u64, problem: String, done: u64 },
    #[error(
        "the export ends after {done} records without its last line: it was cut; export again, or get the whole file"
    )]
    ExportCut { done: u64 },
    #[error(
        "the database is `{place}`: back it up with PostgreSQL's own tools (`pg_dump`), or carry its records away with `bartizan db export`"
    )]
    BackupElsewhere { place: String },
    #[error("`{path}` exists already; choose another name, or move it away")]
    BackupExists { path: PathBuf },
}

/// What this room's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
