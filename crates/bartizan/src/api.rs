//! How a verb reaches administration: through a running server's socket, or, when
//! none runs, by opening the directory itself. Either way it is the same API.

use anyhow::Context as _;
use axum::{Router, body::Body};
use bartizan_console::Trust;
use bartizan_core::Cx;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tower::ServiceExt;

use crate::{config::Config, lock, trouble::trouble, wiring::House};

/// The largest answer that a verb reads, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Administration, within reach.
#[derive(Debug)]
pub(crate) enum Api {
    Socket(std::path::PathBuf),
    Local(Box<House>, Router),
}

impl Api {
    /// The running server's, or the directory's own.
    pub(crate) async fn reach(config: &Config, verb: &str, cx: &Cx) -> anyhow::Result<Self> {
        let socket = lock::socket(&config.data_dir);
        if UnixStream::connect(&socket).await.is_ok() {
            return Ok(Self::Socket(socket));
        }
        let house = House::open(config, verb, cx).await?;
        let router = bartizan_console::router(&house.admin, Trust::Local);
        Ok(Self::Local(Box::new(house), router))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call(Method::POST, path, body).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))?;
        let (status, body) = match self {
            Self::Local(_, router) => {
                let response = router.clone().oneshot(request).await?;
                let status = response.status();
                (status, collect(response.into_body()).await?)
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await.context("the server has gone")?;
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                let connection = tokio::spawn(connection);
                let response =
                    sender.send_request(request).await.context("the server did not answer")?;
                let status = response.status();
                let body = collect(response.into_body()).await?;
                drop(sender);
                connection.await??;
                (status, body)
            }
        };
        answer(status, &body)
    }

    /// Finishes what is being written, where the directory was opened.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Socket(_) => Ok(()),
            Self::Local(house, router) => {
                drop(router);
                house.close().await
            }
        }
    }
}

async fn collect<B>(body: B) -> anyhow::Result<bytes::Bytes>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))
}

fn answer(status: StatusCode, body: &[u8]) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_slice(body)
        .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into());
    if status.is_success() {
        return Ok(value);
    }
    let message = value
        .pointer("/error/message")
        .and_then(Value::as_str)
        .or(value.as_str())
        .unwrap_or("it failed");
    let hint = if status == StatusCode::INTERNAL_SERVER_ERROR {
        "`bartizan doctor` explains the state of the installation"
    } else {
        "`--help` shows what the verb takes"
    };
    Err(trouble(message, hint))
}
