//! The client: one request, one answer, within limits.

use std::{error::Error as _, fmt, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Builder, connect::capture_connection},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use tokio::time::{self, Instant};

use crate::{
    Body, Coding, Error,
    address::Allow,
    dial::{Dialer, Resolve, System, Timed, shown},
    tls,
};

/// How long connecting may take (name, TCP and TLS together) unless told otherwise.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an idle connection is kept; most servers close theirs after 60 to 120 s.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// LIMIT: idle connections kept for one host.
const POOL_IDLE_MAX: usize = 64;
/// LIMIT: the head of an answer, in bytes. Providers send under 4 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// LIMIT: header fields of an answer.
const HEADERS_MAX: usize = 128;
/// How often an HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// What a client is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Hosts and networks (CIDR) that may be reached although they are not public.
    pub allow: Vec<String>,
    /// A file of further certificate authorities (PEM).
    pub ca_file: Option<PathBuf>,
}

/// How long and how much one exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the connection to the last byte of the answer's head.
    pub first_byte: Duration,
    /// Silence within the answer.
    pub idle: Duration,
    /// The whole exchange.
    pub total: Duration,
    /// The answer's body after unpacking, in bytes.
    pub body_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
            body_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// What is sent.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub limits: Limits,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Uri) -> Self {
        let limits = Limits::default();
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new(), limits }
    }
}

// Headers carry keys and bodies carry people's words: neither belongs into a log.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &shown(&self.url))
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What came back: the head at once, the body piece by piece.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

type Connector = Timed<HttpsConnector<Dialer>>;

/// Sends requests. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    dialer: Dialer,
    tls: Arc<ClientConfig>,
    connect: Duration,
    inner: legacy::Client<Connector, Full<Bytes>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dialer, connect) = (&self.dialer, &self.connect);
        f.debug_struct("Client")
            .field("dialer", dialer)
            .field("connect", connect)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that asks the operating system for addresses.
    ///
    /// # Errors
    /// When an entry of the list is no host or network, or the file of certificate
    /// authorities cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Self::with_resolver(settings, Arc::new(System))
    }

    /// A client that asks `resolver` for addresses. What it says is checked all the same.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_resolver(settings: &Settings, resolver: Arc<dyn Resolve>) -> Result<Self, Error> {
        let allow = Arc::new(Allow::new(&settings.allow)?);
        let tls = Arc::new(tls::config(settings.ca_file.as_deref())?);
        Ok(Self::build(Dialer { allow, resolver }, tls, CONNECT_MAX))
    }

    /// The same client with connections of its own, which stand within `limit` or not at all.
    #[must_use]
    pub fn connect_within(&self, limit: Duration) -> Self {
        Self::build(self.dialer.clone(), self.tls.clone(), limit)
    }

    fn build(dialer: Dialer, tls: Arc<ClientConfig>, connect: Duration) -> Self {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(&tls))
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(dialer.clone());
        let inner = builder().build(Timed { inner: https, limit: connect });
        Self { dialer, tls, connect, inner }
    }

    /// Whether a URL could be sent to, as far as it says by itself.
    ///
    /// # Errors
    /// As [`Client::send`] for what is refused before anything is resolved.
    pub fn check(&self, url: &Uri) -> Result<(), Error> {
        self.dialer.check(url)
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// When the address is refused, or the other side cannot be reached, breaks off,
    /// or takes too long. An answer of any status is no error here.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        self.dialer.check(&request.url)?;
        let host = request.url.host().unwrap_or_default().to_owned();
        let limits = request.limits;
        let end = Instant::now() + limits.total;
        let answer = self.answer(outgoing(request), &limits, &host).await?;
        let (head, body) = answer.into_parts();
        let coding = coding(&head.headers, &host)?;
        let mut headers = head.headers;
        if coding != Coding::Identity {
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
        }
        let body = Body::new(body, coding, limits, end, host);
        Ok(Response { status: head.status, headers, body })
    }

    /// Waits for the head: first for a connection, which the connector bounds, then
    /// for the other side, whose time begins when the connection stands.
    async fn answer(
        &self,
        mut request: http::Request<Full<Bytes>>,
        limits: &Limits,
        host: &str,
    ) -> Result<http::Response<Incoming>, Error> {
        let mut connection = capture_connection(&mut request);
        let connected = async { drop(connection.wait_for_connection_metadata().await) };
        let mut sending = pin!(self.inner.request(request));
        tokio::select! {
            biased;
            answer = &mut sending => return answer.map_err(|e| cause(&e, host)),
            () = connected => {}
        }
        let within = limits.first_byte.min(limits.total);
        match time::timeout(within, sending).await {
            Ok(answer) => answer.map_err(|e| cause(&e, host)),
            Err(_) => Err(Error::FirstByteTime { host: host.to_owned(), limit: within }),
        }
    }
}

fn builder() -> Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_IDLE_MAX)
        .http1_max_buf_size(HEAD_BYTES_MAX)
        .http1_max_headers(HEADERS_MAX)
        .http2_max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .http2_keep_alive_interval(PING.0)
        .http2_keep_alive_timeout(PING.1);
    builder
}

fn outgoing(request: Request) -> http::Request<Full<Bytes>> {
    let mut outgoing = http::Request::new(Full::new(request.body));
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = request.url;
    *outgoing.headers_mut() = request.headers;
    // What is packed must be unpacked before it can be inspected: ask for it plain.
    let identity = HeaderValue::from_static("identity");
    outgoing.headers_mut().insert(header::ACCEPT_ENCODING, identity);
    outgoing
}

fn coding(headers: &HeaderMap, host: &str) -> Result<Coding, Error> {
    let mut all = headers.get_all(header::CONTENT_ENCODING).iter();
    let (first, second) = (all.next(), all.next());
    let Some(value) = first else { return Ok(Coding::Identity) };
    let known = value.to_str().ok().filter(|_| second.is_none()).and_then(Coding::parse);
    known.ok_or_else(|| Error::Coding {
        host: host.to_owned(),
        problem: format!(
            "its coding {value:?} is neither `gzip` nor `deflate`, and `identity` was asked for"
        ),
    })
}

/// What lies beneath an error of the HTTP library: our own refusal where it is one.
fn cause(error: &legacy::Error, host: &str) -> Error {
    let mut deepest = error.to_string();
    let mut is_garbage = false;
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(own) = inner.downcast_ref::<Error>() {
            return own.clone();
        }
        is_garbage |= inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        deepest = inner.to_string();
        source = inner.source();
    }
    let host = host.to_owned();
    if error.is_connect() {
        Error::Connect { host, problem: deepest }
    } else if is_garbage {
        Error::NotHttp { host, problem: deepest }
    } else {
        Error::NoAnswer { host, problem: deepest }
    }
}
