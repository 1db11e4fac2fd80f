//! Where requests go: pools of targets with priorities, weights, failover, retries,
//! circuit breakers, caps and time limits.
//!
//! Invariant: nothing goes out but a [`Passage`], which only the guard, or the
//! guard and a person together, can make; or a path that the operator lists, with
//! the proof that the key may pass it on.

mod answer;
mod breaker;
mod config;
mod error;
mod passage;
mod pool;
mod target;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, reason = "a test may fail loudly")]
mod tests;

pub use answer::Answer;
pub use breaker::Condition;
pub use config::{Provider, TargetConfig};
pub use error::{InvalidTarget, UpstreamError};
pub use passage::Passage;
pub use pool::{Pool, TargetState, Uninspected};
