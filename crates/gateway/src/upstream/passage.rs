//! The only way in: a call that was inspected, or one that was held and then released.

use bartizan_core::Cx;
use bartizan_guard::{Held, Screened};
use bartizan_policy::Approved;
use http::{HeaderValue, Method};

use super::{
    Answer, Pool, UpstreamError,
    pool::{Content, Parcel},
};
use crate::protocols::Call;

/// A call that may go upstream, with the proof.
#[derive(Debug)]
pub enum Passage {
    /// The guard let it pass.
    Screened(Screened<Call>),
    /// The guard held it, and a person let it pass this once.
    Approved(Approved<Held<Call>>),
}

impl Passage {
    pub fn call(&self) -> &Call {
        match self {
            Self::Screened(call) => call.get(),
            Self::Approved(call) => call.get().get(),
        }
    }
}

impl Pool {
    /// Sends a call to a path of its protocol, such as `/v1/chat/completions`. The proof
    /// is used up. An answer of any status but a redirect is an answer.
    ///
    /// # Errors
    /// When no target could be asked, or the last one asked broke off, was silent, or
    /// cannot be reached.
    pub async fn send(
        &self,
        cx: &Cx,
        passage: Passage,
        path: &str,
    ) -> Result<Answer, UpstreamError> {
        let content_type = Some(HeaderValue::from_static("application/json"));
        let content = Content::Call(passage.call().body());
        self.dispatch(cx, &Parcel { method: Method::POST, path, content_type, content }).await
    }
}
