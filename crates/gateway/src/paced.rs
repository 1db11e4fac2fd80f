//! A connection whose client must keep pace: it may neither be silent before it has
//! said which HTTP it speaks, nor leave what is written to it unread.
//!
//! hyper bounds the time of an HTTP/1 head, but neither the time before it knows the
//! version nor that of a write, so without this a client could hold a place for ever.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream under these bounds.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    inner: S,
    /// Runs out unless the client has said its version by then; none once it has.
    opening: Option<Pin<Box<Sleep>>>,
    /// How much of the preface has come.
    matched: usize,
    stall: Duration,
    /// Runs out unless the client reads on by then; none while nothing waits.
    unread: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(inner: S, opening: Duration, stall: Duration) -> Self {
        let opening = Some(Box::pin(sleep(opening)));
        Self { inner, opening, matched: 0, stall, unread: None }
    }

    /// Whether the version is still open after these bytes.
    fn is_open(&mut self, bytes: &[u8]) -> bool {
        let rest = PREFACE.get(self.matched..).unwrap_or_default();
        self.matched += bytes.len();
        rest.len() > bytes.len() && rest.starts_with(bytes)
    }

    /// A write that waits ends in an error when the client has read nothing for too long.
    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        let stall = self.stall;
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(late("the client leaves its answer unread")))
    }
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let Some(opening) = &mut self.opening else { return read };
        if read.is_pending() {
            ready!(opening.as_mut().poll(cx));
            return Poll::Ready(Err(late("the client does not say which HTTP it speaks")));
        }
        let came = buffer.filled().get(before..).unwrap_or_default();
        if !self.is_open(came) {
            self.opening = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.bound(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.bound(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bound(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    async fn opening(said: &[u8]) -> io::Result<usize> {
        let (ours, mut theirs) = duplex(64);
        let mut paced = Paced::new(ours, SHORT, LONG);
        theirs.write_all(said).await.expect("there is room");
        paced.read_exact(&mut vec![0; said.len()]).await?;
        let mut buffer = [0; 64];
        tokio::time::timeout(10 * SHORT, paced.read(&mut buffer)).await.unwrap_or(Ok(usize::MAX))
    }

    #[tokio::test]
    async fn a_client_that_does_not_say_its_version_is_late() {
        for said in [&b""[..], b"P", &PREFACE[..23]] {
            assert_eq!(opening(said).await.map_err(|e| e.kind()), Err(io::ErrorKind::TimedOut));
        }
        // Once it is known, hyper's own bounds hold.
        for said in [&b"G"[..], b"PO", PREFACE] {
            assert_eq!(opening(said).await.ok(), Some(usize::MAX), "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_late_and_one_that_reads_is_not() {
        let (ours, _unread) = duplex(64);
        let mut paced = Paced::new(ours, LONG, SHORT);
        let problem = paced.write_all(&[0; 100]).await.expect_err("nobody reads");
        assert_eq!(problem.kind(), io::ErrorKind::TimedOut);
        let (ours, mut theirs) = duplex(64);
        let mut paced = Paced::new(ours, LONG, 5 * SHORT);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 64];
            for _ in 0..20 {
                sleep(SHORT / 2).await;
                let _read = theirs.read(&mut buffer).await;
            }
        });
        assert!(paced.write_all(&[0; 1000]).await.is_ok());
        drop(paced);
        reader.await.expect("it reads");
    }
}
