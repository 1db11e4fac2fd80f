//! Accepting connections: plain or TLS, bounded in number, head size and time,
//! drained gracefully. Serves the data plane and administration alike.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    Error,
    config::{DataConfig, TlsConfig},
    paced::Paced,
};

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long to wait after `accept` fails for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener accepts.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub header_bytes_max: usize,
    pub header_ms_max: u64,
    pub stall_ms_max: u64,
    pub connections_max: usize,
    pub drain_ms_max: u64,
}

impl From<&DataConfig> for Bounds {
    fn from(config: &DataConfig) -> Self {
        Self {
            header_bytes_max: config.header_bytes_max,
            header_ms_max: config.header_ms_max,
            stall_ms_max: config.stall_ms_max,
            connections_max: config.connections_max,
            drain_ms_max: config.drain_ms_max,
        }
    }
}

/// The certificate in force; replaced as a whole, so running connections keep theirs.
#[derive(Clone, Debug, Default)]
pub struct Tls(Arc<ArcSwapOption<ServerConfig>>);

impl Tls {
    /// Reads the files and puts them in force; without files, plain HTTP.
    ///
    /// # Errors
    /// Names the file and what is wrong with it; what was in force stays.
    pub fn load(&self, config: Option<&TlsConfig>) -> Result<(), Error> {
        self.0.store(config.map(server_config).transpose()?.map(Arc::new));
        Ok(())
    }
}

fn server_config(config: &TlsConfig) -> Result<ServerConfig, Error> {
    let file = |what, path: &Path, problem: String| Error::File {
        what,
        path: path.display().to_string(),
        problem,
    };
    let certificate = |e: String| file("the certificate", &config.certificate, e);
    let chain = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| certificate(e.to_string()))?;
    if chain.is_empty() {
        return Err(certificate("holds no `BEGIN CERTIFICATE` block".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|e| file("the private key", &config.key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| {
            file("the private key", &config.key, format!("does not fit the certificate: {e}"))
        })?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Binds the address.
///
/// # Errors
/// Names the address, and says what to do where the port is taken.
pub async fn bind(address: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address: address.to_owned(), source })
}

/// Serves until `stop`, then lets running requests end within the drain time.
pub async fn serve(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let graceful = Arc::new(GracefulShutdown::new());
    let slots = Arc::new(Semaphore::new(bounds.connections_max.min(Semaphore::MAX_PERMITS)));
    let connection = Connection { router, bounds, graceful: graceful.clone() };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        if let Some((stream, peer, slot)) = accepted {
            tokio::spawn(connection.clone().run(stream, peer, tls.0.load_full(), slot));
        }
    }
    drop(listener);
    drop(connection);
    drain(graceful, Duration::from_millis(bounds.drain_ms_max)).await;
}

/// Waits for the running requests. Connections whose task still holds the watcher
/// (in a handshake, say) are not worth waiting for.
async fn drain(graceful: Arc<GracefulShutdown>, max: Duration) {
    let mut graceful = graceful;
    let until = tokio::time::Instant::now() + max;
    let owned = loop {
        match Arc::try_unwrap(graceful) {
            Ok(owned) => break owned,
            Err(shared) if tokio::time::Instant::now() < until => graceful = shared,
            Err(_) => return,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    if tokio::time::timeout_at(until, owned.shutdown()).await.is_err() {
        tracing::warn!("requests that ran longer than the drain time were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

#[derive(Clone)]
struct Connection {
    router: Router,
    bounds: Bounds,
    graceful: Arc<GracefulShutdown>,
}

impl Connection {
    async fn run(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        slot: OwnedSemaphorePermit,
    ) {
        // Small frames of a stream must not wait for each other.
        let _nodelay = stream.set_nodelay(true);
        match tls {
            None => self.speak(stream, peer).await,
            Some(config) => {
                let handshake = TlsAcceptor::from(config).accept(stream);
                match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
                    Ok(Ok(stream)) => self.speak(stream, peer).await,
                    Ok(Err(error)) => tracing::debug!(%error, %peer, "the TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
                }
            }
        }
        drop(slot);
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: SocketAddr,
    ) {
        let Self { router, bounds, graceful } = self;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let header = Duration::from_millis(bounds.header_ms_max);
        let stream = Paced::new(stream, header, Duration::from_millis(bounds.stall_ms_max));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header)
            // hyper's least; the head itself must still fit within the bound.
            .max_buf_size(bounds.header_bytes_max.max(8192));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX))
            .max_concurrent_streams(256)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        drop(graceful);
        if let Err(error) = watched.await {
            tracing::debug!(%error, %peer, "a connection ended badly");
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
