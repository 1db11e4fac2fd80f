//! The body of an answer, read piece by piece within limits.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{self, Instant};

use crate::{
    Coding, Decoder, Error, Limits,
    decode::{Problem, RATIO_MAX},
};

/// A body that still arrives. Dropping it ends the exchange.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    decoder: Decoder,
    limits: Limits,
    end: Instant,
    host: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Arriving,
    Whole,
    Failed(Error),
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        coding: Coding,
        limits: Limits,
        end: Instant,
        host: String,
    ) -> Self {
        let decoder = Decoder::new(coding, limits.body_bytes_max);
        Self { incoming, decoder, limits, end, host, state: State::Arriving }
    }

    /// The next piece, unpacked and never empty; nothing at the end of a whole body.
    ///
    /// # Errors
    /// When the body breaks off, is too long, cannot be unpacked, or a time limit runs
    /// out. The same error comes again at every further call.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match &self.state {
                State::Arriving => {}
                State::Whole => return Ok(None),
                State::Failed(problem) => return Err(problem.clone()),
            }
            match self.advance().await {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Ok(Some(piece)),
                Err(problem) => self.state = State::Failed(problem),
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Body::next`].
    pub async fn all(mut self) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    async fn advance(&mut self) -> Result<Bytes, Error> {
        let silence = Instant::now() + self.limits.idle;
        let frame = time::timeout_at(silence.min(self.end), self.incoming.frame()).await;
        let host = self.host.clone();
        let frame = match frame {
            Ok(frame) => frame,
            Err(_) if self.end <= silence => {
                return Err(Error::TotalTime { host, limit: self.limits.total });
            }
            Err(_) => return Err(Error::IdleTime { host, limit: self.limits.idle }),
        };
        let unpacked = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.decoder.push(&data),
                Err(_trailers) => Ok(Bytes::new()),
            },
            Some(Err(problem)) => return Err(Error::Broken { host, problem: deepest(&problem) }),
            None => {
                self.state = State::Whole;
                self.decoder.finish()
            }
        };
        unpacked.map_err(|problem| self.failed(problem))
    }

    fn failed(&self, problem: Problem) -> Error {
        let host = self.host.clone();
        match problem {
            Problem::TooLong => Error::TooLong { host, max: self.limits.body_bytes_max },
            Problem::Bomb => Error::Bomb { host, ratio: RATIO_MAX },
            Problem::Malformed(problem) => Error::Coding { host, problem },
        }
    }
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(inner) = deepest.source() {
        deepest = inner;
    }
    deepest.to_string()
}
