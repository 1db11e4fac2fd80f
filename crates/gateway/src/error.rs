//! What can go wrong in the gateway's own work. What a client did wrong is a
//! [`Failure`](crate::protocols::Failure) instead.

/// An error of the gateway.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}; run `bartizan doctor`, and restore a backup if it says so")]
    Corrupt(String),
    #[error(transparent)]
    Store(#[from] bartizan_store::Error),
    #[error(transparent)]
    Ledger(#[from] bartizan_ledger::Error),
    #[error("route `{route}`: {problem}")]
    Route { route: String, problem: String },
    #[error(
        "cannot listen on `{address}`: {source}; is another server running there? `data.listen` and `admin.listen` choose other ports"
    )]
    Listen { address: String, source: std::io::Error },
    #[error("{what} `{path}`: {problem}")]
    File { what: &'static str, path: String, problem: String },
}
