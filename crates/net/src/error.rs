//! What can go wrong on the way out.

use std::{net::IpAddr, time::Duration};

use crate::address::Kind;

/// An error of this room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("`{url}` is no address to send to: {problem}")]
    Url { url: String, problem: &'static str },
    #[error("`{host}` is refused: {address} is {kind}; list the {} in `net.allow` if it is meant", kind.listed_by())]
    Refused { host: String, address: IpAddr, kind: Kind },
    #[error(
        "`{host}` is refused: plain http goes only to listed hosts; use https, or list the host in `net.allow`"
    )]
    PlainHttp { host: String },
    #[error("`{host}` cannot be resolved: {problem}")]
    Resolve { host: String, problem: String },
    #[error("`{host}` cannot be reached: {problem}")]
    Connect { host: String, problem: String },
    #[error("`{host}` did not accept a connection within {limit:?}")]
    ConnectTime { host: String, limit: Duration },
    #[error("`{host}` broke off before it answered: {problem}")]
    NoAnswer { host: String, problem: String },
    #[error("`{host}` answered with what is no HTTP: {problem}")]
    NotHttp { host: String, problem: String },
    #[error("`{host}` did not begin to answer within {limit:?}")]
    FirstByteTime { host: String, limit: Duration },
    #[error("`{host}` broke off in the middle of its answer: {problem}")]
    Broken { host: String, problem: String },
    #[error("`{host}` was silent for {limit:?} in the middle of its answer")]
    IdleTime { host: String, limit: Duration },
    #[error("`{host}` did not finish its answer within {limit:?}")]
    TotalTime { host: String, limit: Duration },
    #[error("the answer of `{host}` is over {max} bytes")]
    TooLong { host: String, max: u64 },
    #[error("the answer of `{host}` unpacks to over {ratio} times its size")]
    Bomb { host: String, ratio: u64 },
    #[error("the answer of `{host}` cannot be unpacked: {problem}")]
    Coding { host: String, problem: String },
    #[error(
        "`{entry}` names no host or network: expected such as `model.internal`, `10.1.2.3` or `10.0.0.0/8`"
    )]
    Allow { entry: String },
    #[error("certificate authorities `{path}`: {problem}")]
    CaFile { path: String, problem: String },
}

impl Error {
    /// Whether the request certainly never reached the other side, so that it is
    /// safe to send it again.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Url { .. }
                | Self::Refused { .. }
                | Self::PlainHttp { .. }
                | Self::Resolve { .. }
                | Self::Connect { .. }
                | Self::ConnectTime { .. }
        )
    }

    /// Whether a time limit ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::ConnectTime { .. }
                | Self::FirstByteTime { .. }
                | Self::IdleTime { .. }
                | Self::TotalTime { .. }
        )
    }
}
