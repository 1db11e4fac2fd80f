//! Opens connections to checked addresses, and to no other.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time};
use tower_service::Service;

use crate::{Error, address::Allow};

/// LIMIT: addresses tried of one answer; a name with more is served by any of these.
const ADDRESSES_MAX: usize = 8;
/// How long one address has before the next is tried beside it (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The answer to a name, to wait for.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str) -> Lookup<'a>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Opens TCP connections.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) allow: Arc<Allow>,
    pub(crate) resolver: Arc<dyn Resolve>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("allow", &self.allow).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Checks what a URL says by itself, before anything is resolved.
    pub(crate) fn check(&self, url: &Uri) -> Result<(), Error> {
        let wrong = |problem| Error::Url { url: shown(url), problem };
        let authority = url.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it carries credentials; keys belong into a header"));
        }
        match url.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.allow.lists(authority.host()) => Ok(()),
            Some("http") => Err(Error::PlainHttp { host: authority.host().to_owned() }),
            _ => Err(wrong("it begins with neither `https://` nor `http://`")),
        }
    }

    async fn dial(self, url: Uri) -> Result<TcpStream, Error> {
        self.check(&url)?;
        let host = url.host().unwrap_or_default().to_owned();
        let port =
            url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
        let addresses = self.addresses(&host).await?;
        let stream = race(addresses, port).await;
        stream.map_err(|e| Error::Connect { host, problem: e.to_string() })
    }

    /// The addresses of a host that may be reached; an error when all are refused.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let bare = host.trim_matches(['[', ']']);
        let found = match bare.parse() {
            Ok(address) => vec![address],
            Err(_) => self.resolve(bare).await?,
        };
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.allow.check(host, address) {
                Ok(()) => allowed.push(address),
                Err(problem) => refused = Some(problem),
            }
        }
        allowed.truncate(ADDRESSES_MAX);
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, Some(refused)) => Err(refused),
            (true, None) => {
                Err(Error::Resolve { host: host.to_owned(), problem: "it has no address".into() })
            }
        }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let failed =
            |e: io::Error| Error::Resolve { host: host.to_owned(), problem: e.to_string() };
        self.resolver.resolve(host).await.map_err(failed)
    }
}

/// The first connection that stands, each address a little after the one before.
async fn race(addresses: Vec<IpAddr>, port: u16) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            running.spawn(TcpStream::connect(SocketAddr::new(address, port)));
        }
        tokio::select! {
            joined = running.join_next() => match joined {
                Some(Ok(Ok(stream))) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Some(Ok(Err(problem))) => last = problem,
                Some(Err(problem)) => last = io::Error::other(problem),
                None if waiting.len() == 0 => return Err(last),
                None => {}
            },
            () = time::sleep(ATTEMPT_DELAY), if waiting.len() > 0 => {}
        }
    }
}

/// A URL as it may be shown: without credentials and query.
pub(crate) fn shown(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let scheme = url.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    format!("{scheme}{host}{}", url.path())
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial(url).await.map(TokioIo::new) })
    }
}

/// A connector that gives up in time, the TLS handshake included.
#[derive(Clone, Debug)]
pub(crate) struct Timed<C> {
    pub(crate) inner: C,
    pub(crate) limit: Duration,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (limit, host) = (self.limit, url.host().unwrap_or_default().to_owned());
        let connecting = self.inner.call(url);
        Box::pin(async move {
            match time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(Error::ConnectTime { host, limit }.into()),
            }
        })
    }
}
