//! Why no answer came from upstream. The message is for the operator's log: it
//! names hosts. [`UpstreamError::public`] is for the client.

use std::time::Duration;

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
            Self::Exchange { source, .. } if source.is_timeout() => "upstream_timeout",
            Self::Exchange { .. } | Self::Unsendable { .. } => "upstream_unreachable",
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
            Self::Exchange { source, .. } if source.is_timeout() => {
                "the model's provider did not answer in time; try again".to_owned()
            }
            Self::Exchange { source, .. } if source.is_unsent() => {
                "the model's provider cannot be reached; try again later".to_owned()
            }
            Self::Exchange { .. } => {
                "the model's provider broke off or sent what cannot be read".to_owned()
            }
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
