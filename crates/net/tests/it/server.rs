//! An upstream made by hand: it accepts connections and does with each what it is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_net::{Client, Limits, Request, Settings};
use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

/// What the upstream does with a connection, after it has read the request's head.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends bytes, then closes.
    Send(Vec<u8>),
    /// Sends bytes, then holds the connection open in silence.
    SendAndStall(Vec<u8>),
    /// Sends the first bytes, then the second over and over, with a pause between.
    Repeat(Vec<u8>, Vec<u8>, Duration),
}

/// A running upstream; it ends with the test's runtime.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            heads: Arc::default(),
        };
        let inner = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                inner.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(inner.clone().serve(stream, act.clone()));
            }
        });
        server
    }

    /// One that sends this text.
    pub(crate) async fn sends(text: &str) -> Self {
        Self::start(Act::Send(text.as_bytes().to_vec())).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/path", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads of the requests that came.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: TcpStream, act: Act) {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => head.extend(buffer.iter().take(read)),
                _ => return,
            }
        }
        self.heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
        match act {
            Act::Send(bytes) => {
                let _closed = stream.write_all(&bytes).await;
                let _closed = stream.shutdown().await;
            }
            Act::SendAndStall(bytes) => {
                let _closed = stream.write_all(&bytes).await;
                time::sleep(Duration::from_secs(3600)).await;
            }
            Act::Repeat(first, again, pause) => {
                let _closed = stream.write_all(&first).await;
                while stream.write_all(&again).await.is_ok() {
                    time::sleep(pause).await;
                }
            }
        }
    }
}

/// A client that may reach this machine.
pub(crate) fn client() -> Client {
    Client::new(&allowing(&["127.0.0.1", "localhost"])).unwrap()
}

pub(crate) fn allowing(entries: &[&str]) -> Settings {
    let allow = entries.iter().map(ToString::to_string).collect();
    Settings { allow, ..Settings::default() }
}

/// A request with limits short enough for a test.
pub(crate) fn get(url: &str) -> Request {
    let mut request = Request::new(Method::GET, url.parse().unwrap());
    request.limits = Limits {
        first_byte: Duration::from_millis(300),
        idle: Duration::from_millis(200),
        total: Duration::from_secs(20),
        body_bytes_max: 100_000,
    };
    request
}
