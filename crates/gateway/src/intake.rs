//! A request's body: bounded in size and time, decompressed, read as strict JSON.

use std::{
    error::Error,
    io::{ErrorKind, Read},
    time::Duration,
};

use axum::body::Body;
use bartizan_core::json;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::protocols::Failure;
use crate::refusals;

/// Reads the whole body.
///
/// # Errors
/// A failure that says what is wrong with it, as the provider would answer.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Vec<u8>, Failure> {
    let collected = tokio::time::timeout(time_max, Limited::new(body, bytes_max).collect()).await;
    let bytes = match collected {
        Err(_) => return Err(refusals::body_too_slow(time_max)),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(refusals::body_too_large(bytes_max));
        }
        Ok(Err(error)) if is_misframed(&*error) => return Err(refusals::misframed_body()),
        Ok(Err(_)) => return Err(refusals::body_cut()),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity" | b"") => Ok(bytes.into()),
        Some(b"gzip" | b"x-gzip") => inflate(flate2::read::MultiGzDecoder::new(&*bytes), bytes_max),
        Some(b"deflate") => inflate(flate2::read::ZlibDecoder::new(&*bytes), bytes_max),
        Some(other) => Err(refusals::encoding(&String::from_utf8_lossy(other))),
    }
}

/// Whether a body's own framing is wrong, rather than that it ended early: so hyper tells
/// of a chunk that it cannot read.
fn is_misframed(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(ErrorKind::InvalidInput | ErrorKind::InvalidData)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Reads JSON as [`json::parse`] does.
///
/// # Errors
/// A failure that says what is wrong with it.
pub(crate) fn parse(bytes: &[u8], bytes_max: usize) -> Result<Value, Failure> {
    json::parse(bytes, bytes_max).map_err(|problem| refusals::malformed(&problem))
}

fn inflate(mut decoder: impl Read, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let read = decoder.by_ref().take(most.saturating_add(1)).read_to_end(&mut out);
    if out.len() > bytes_max {
        return Err(refusals::body_too_large(bytes_max));
    }
    read.map_err(|error| refusals::bad_compression(&error))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("writes to memory");
        encoder.finish().expect("finishes")
    }

    async fn read_encoded(body: Vec<u8>, encoding: &str, max: usize) -> Result<Vec<u8>, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, encoding.parse().expect("a value"));
        read(&headers, Body::from(body), max, Duration::from_secs(1))
            .await
            .map_err(|failure| failure.status)
    }

    #[tokio::test]
    async fn compressed_bodies_are_read_within_the_bound() {
        assert_eq!(read_encoded(gzip(b"{}"), "gzip", 100).await, Ok(b"{}".to_vec()));
        assert_eq!(read_encoded(gzip(&vec![0; 1 << 20]), "gzip", 100_000).await, Err(413));
        assert_eq!(read_encoded(b"no gzip".to_vec(), "gzip", 100).await, Err(400));
        assert_eq!(read_encoded(b"{}".to_vec(), "br", 100).await, Err(415));
        assert_eq!(read_encoded(vec![b' '; 200], "identity", 100).await, Err(413));
    }

    #[tokio::test]
    async fn a_body_that_is_misframed_did_not_end_early() {
        for (kind, code) in [
            (ErrorKind::InvalidInput, "misframed_body"),
            (ErrorKind::InvalidData, "misframed_body"),
            (ErrorKind::UnexpectedEof, "body_cut"),
        ] {
            let error = std::io::Error::new(kind, "as hyper says it");
            let body = Body::from_stream(futures_util::stream::once(async {
                Err::<bytes::Bytes, _>(error)
            }));
            let failure = read(&HeaderMap::new(), body, 100, Duration::from_secs(1)).await;
            assert_eq!(failure.map_err(|f| f.code), Err(code), "{kind}");
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = Body::from_stream(futures_util::stream::pending::<
            Result<bytes::Bytes, std::io::Error>,
        >());
        let failure = read(&HeaderMap::new(), endless, 100, Duration::from_millis(5)).await;
        assert_eq!(failure.map_err(|f| f.status), Err(408));
    }
}
