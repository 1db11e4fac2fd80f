//! Why no answer came from upstream. The message is for the operator's log: it
//! names hosts. [`UpstreamError::public`] is for the client.

use std::time::Duration;

use bartizan_net::Error as NetError;

/// An upstream failed, or could not be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    #[error("target `{target}`: {source}")]
    Exchange { target: String, source: bartizan_net::Error },
    #[error(
        "target `{target}` answered {status}, and redirects are not followed; set `url` to where it is"
    )]
    Redirect { target: String, status: u16 },
    #[error("route `{route}`: every target failed lately; the next attempt is due in {wait:?}")]
    Resting { route: String, wait: Duration },
    #[error("route `{route}`: every target is full; raise `concurrency_max` or add a target")]
    Full { route: String },
    #[error("target `{target}`: the answer is over {max} bytes")]
    TooLong { target: String, max: usize },
    #[error("route `{route}`: a grant for `{resource}` does not let `{path}` pass here")]
    OtherGrant { route: String, resource: String, path: String },
    #[error("target `{target}`: {problem}")]
    Unsendable { target: String, problem: String },
}

/// Targets of a route that are not set up right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`targets[{index}]`: {problem}")]
pub struct InvalidTarget {
    pub index: usize,
    pub problem: String,
}

impl UpstreamError {
    /// The status that the client gets.
    pub fn status(&self) -> u16 {
        match self {
            Self::Exchange { source, .. } if source.is_timeout() => 504,
            Self::Resting { .. } | Self::Full { .. } => 503,
            Self::OtherGrant { .. } => 403,
            _ => 502,
        }
    }

    /// The code that the client gets.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exchange { source, .. } => match source {
                NetError::ConnectTime { .. } | NetError::FirstByteTime { .. } => "upstream_timeout",
                NetError::IdleTime { .. } => "upstream_stalled",
                NetError::TotalTime { .. } => "upstream_too_slow",
                NetError::NoAnswer { .. } | NetError::Broken { .. } => "upstream_broke_off",
                NetError::NotHttp { .. } | NetError::Coding { .. } => "upstream_garbage",
                NetError::Bomb { .. } => "upstream_bomb",
                NetError::TooLong { .. } => "upstream_too_long",
                _ => "upstream_unreachable",
            },
            Self::Unsendable { .. } => "upstream_unreachable",
            Self::Redirect { .. } => "upstream_redirect",
            Self::Resting { .. } => "upstream_resting",
            Self::Full { .. } => "upstream_full",
            Self::TooLong { .. } => "upstream_too_long",
            Self::OtherGrant { .. } => "not_allowed",
        }
    }

    /// What the client is told: nothing of hosts, addresses and settings.
    pub fn public(&self) -> String {
        match self {
            Self::Exchange { source, .. } => exchange(source).to_owned(),
            Self::Redirect { .. } => "the model's provider answered with a redirect, which is not \
                                      followed; tell the operator"
                .to_owned(),
            Self::Resting { .. } => {
                "the model's provider failed lately and is left alone for a moment; try again \
                 later"
                    .to_owned()
            }
            Self::Full { .. } => {
                "too many requests for this model run at once; try again".to_owned()
            }
            Self::TooLong { max, .. } => format!("the model's answer is longer than {max} bytes"),
            Self::OtherGrant { .. } => "the key may not use this path".to_owned(),
            Self::Unsendable { .. } => {
                "the request cannot be sent to the model's provider".to_owned()
            }
        }
    }

    /// In how many seconds to try again.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Resting { wait, .. } => Some(wait.as_secs().max(1)),
            Self::Full { .. } => Some(1),
            _ => None,
        }
    }
}

/// What the client is told of a failed exchange.
fn exchange(source: &NetError) -> &'static str {
    match source {
        NetError::ConnectTime { .. } | NetError::FirstByteTime { .. } => {
            "the model's provider did not answer in time; try again"
        }
        NetError::IdleTime { .. } => {
            "the model's provider fell silent in the middle of its answer; try again"
        }
        NetError::TotalTime { .. } => {
            "the model's provider took longer for its whole answer than is allowed; ask for less"
        }
        NetError::NoAnswer { .. } | NetError::Broken { .. } => {
            "the model's provider broke off before its answer was whole; try again"
        }
        NetError::NotHttp { .. } | NetError::Coding { .. } => {
            "the model's provider sent what cannot be read, so nothing of it was delivered"
        }
        NetError::Bomb { .. } => {
            "the model's provider sent what unpacks to far more than it should; nothing of it was \
             delivered"
        }
        NetError::TooLong { .. } => "the model's answer is longer than is read at all",
        _ => "the model's provider cannot be reached; try again later",
    }
}
