//! An answer that still arrives. It keeps its place at the target until it is dropped.

use std::{fmt, sync::Arc};

use bartizan_core::Cx;
use bartizan_net::{Body, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use tokio::sync::OwnedSemaphorePermit;

use super::{UpstreamError, target::Target};

/// One request's stay at a target. How it ends is what the breaker learns.
pub(crate) struct Stay {
    target: Arc<Target>,
    cx: Cx,
    told: bool,
    /// Something came, so that leaving now says that the target lives.
    alive: bool,
    place: Option<OwnedSemaphorePermit>,
}

impl fmt::Debug for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stay").field("target", &self.target.name).finish_non_exhaustive()
    }
}

impl Stay {
    /// A stay that the breaker admitted.
    pub(crate) fn new(target: Arc<Target>, cx: Cx, place: OwnedSemaphorePermit) -> Self {
        Self { target, cx, told: false, alive: false, place: Some(place) }
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    pub(crate) fn succeeded(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.target.breaker.succeeded();
        }
    }

    pub(crate) fn failed(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.target.breaker.failed(self.cx.now());
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        match (self.told, self.alive) {
            (true, _) => {}
            (false, true) => self.target.breaker.succeeded(),
            (false, false) => self.target.breaker.left(self.cx.now()),
        }
    }
}

/// An upstream's answer: the head at once, the body piece by piece.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The name of the target that gave it.
    pub target: String,
    body: Body,
    stay: Stay,
}

impl Answer {
    pub(crate) fn new(response: Response, stay: Stay) -> Self {
        let Response { status, headers, body } = response;
        Self { status, headers, target: stay.target().name.clone(), body, stay }
    }

    /// Makes room at the target, for an answer that is of use no more.
    pub(crate) fn leave_place(&mut self) {
        self.stay.place = None;
    }

    /// The next piece of the body, never empty; nothing at its end.
    ///
    /// # Errors
    /// When the upstream breaks off, stalls, sends too much or what cannot be unpacked.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        match self.body.next().await {
            Ok(Some(piece)) => {
                self.stay.alive = true;
                Ok(Some(piece))
            }
            Ok(None) => {
                self.stay.succeeded();
                Ok(None)
            }
            Err(source) => {
                self.stay.failed();
                Err(UpstreamError::Exchange { target: self.target.clone(), source })
            }
        }
    }

    /// What is left of the body, which may be `max` bytes at most.
    ///
    /// # Errors
    /// As [`Answer::next`], and when it is longer.
    pub async fn read_all(&mut self, max: usize) -> Result<Bytes, UpstreamError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if all.len().saturating_add(piece.len()) > max {
                return Err(UpstreamError::TooLong { target: self.target.clone(), max });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Whether it is a stream of server-sent events.
    pub fn is_event_stream(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/event-stream")
    }

    /// In how many seconds the upstream wants to be asked again.
    pub fn retry_after(&self) -> Option<u64> {
        bartizan_net::retry_after(&self.headers)
            .map(|wait| wait.as_millis().div_ceil(1000))
            .and_then(|seconds| u64::try_from(seconds).ok())
    }
}
