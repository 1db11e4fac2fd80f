//! How a verb reaches administration: through a running server's socket, or, when
//! none runs, by opening the directory itself. Either way it is the same API.

use std::io::Write;

use anyhow::Context as _;
use axum::{Router, body::Body};
use bartizan_console::Trust;
use bartizan_core::Cx;
use http::{Method, Request, Response, StatusCode, header};
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

    /// Writes an answer as it comes, whatever its size.
    pub(crate) async fn pour(&self, path: &str, to: &mut dyn Write) -> anyhow::Result<()> {
        let (response, connection) = self.send(Method::GET, path, None).await?;
        let (head, mut body) = response.into_parts();
        if !head.status.is_success() {
            return answer(head.status, &collect(body).await?).map(|_| ());
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
            if let Ok(piece) = frame.into_data() {
                to.write_all(&piece)?;
            }
        }
        end(connection).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (response, connection) = self.send(method, path, body).await?;
        let status = response.status();
        let body = collect(response.into_body()).await?;
        end(connection).await?;
        answer(status, &body)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(Response<Body>, Option<Connection>)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))?;
        match self {
            Self::Local(_, router) => Ok((router.clone().oneshot(request).await?, None)),
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await.context("the server has gone")?;
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                let connection = tokio::spawn(connection);
                let response =
                    sender.send_request(request).await.context("the server did not answer")?;
                Ok((response.map(Body::new), Some(connection)))
            }
        }
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

/// What drives a connection to a server.
type Connection = tokio::task::JoinHandle<hyper::Result<()>>;

/// Waits for the connection's end, which follows the answer's.
async fn end(connection: Option<Connection>) -> anyhow::Result<()> {
    match connection {
        Some(connection) => Ok(connection.await??),
        None => Ok(()),
    }
}

async fn collect(body: Body) -> anyhow::Result<bytes::Bytes> {
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

/// A text as a part of a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| match plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_stays_one_part_of_a_path() {
        assert_eq!(encoded("019b-x_~."), "019b-x_~.");
        assert_eq!(encoded("../a?b&c=é"), "..%2Fa%3Fb%26c%3D%C3%A9");
    }

    #[test]
    fn a_refusal_is_told_in_the_server_s_words() {
        let body = br#"{"error":{"code":"not_found","message":"there is no key `x`"}}"#;
        let error = answer(StatusCode::NOT_FOUND, body).expect_err("is refused");
        assert_eq!(error.to_string(), "there is no key `x`");
        assert!(answer(StatusCode::BAD_GATEWAY, b"nginx").expect_err("fails").to_string().contains("nginx"));
        assert!(answer(StatusCode::OK, b"[1]").is_ok());
    }
}
