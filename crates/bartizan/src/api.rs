//! How a verb reaches administration: through a running server's socket, or, when
//! none runs, by opening the directory itself. Either way it is the same API.

use std::{fmt, io::Write, path::PathBuf, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Body};
use bartizan_console::Trust;
use bartizan_core::Cx;
use bartizan_net::{Client, Limits, Settings};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tower::ServiceExt;

use crate::{config::Config, lock, trouble::trouble, wiring::House};

/// The largest answer that a verb reads, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long an exchange with a server elsewhere may take; a large export is slow.
const EXCHANGE_MAX: Duration = Duration::from_secs(3600);
/// Where the token for a server elsewhere comes from.
const TOKEN_VARIABLE: &str = "BARTIZAN_ADMIN_TOKEN";

/// Administration, within reach.
#[derive(Debug)]
pub(crate) enum Api {
    /// A server on this machine.
    Socket(PathBuf),
    /// A server anywhere.
    Elsewhere(Box<Server>),
    /// No server: this process.
    Local(Box<House>, Router),
}

/// A server that is reached by its URL and the administrator's token.
pub(crate) struct Server {
    client: Client,
    base: String,
    bearer: HeaderValue,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Api {
    /// The running server's, or the directory's own.
    pub(crate) async fn reach(config: &Config, verb: &str, cx: &Cx) -> anyhow::Result<Self> {
        if let Some(running) = Self::running(config).await {
            return Ok(running);
        }
        let house = House::open(&at_rest(config, verb), verb, cx).await?;
        let router = bartizan_console::router(&house.admin, Trust::Local);
        Ok(Self::Local(Box::new(house), router))
    }

    /// The running server's, where one answers.
    pub(crate) async fn running(config: &Config) -> Option<Self> {
        let socket = lock::socket(&config.data_dir);
        UnixStream::connect(&socket).await.ok().map(|_| Self::Socket(socket))
    }

    /// The server at a URL, which the person who names it trusts with the token.
    pub(crate) fn elsewhere(config: &Config, url: &Uri) -> anyhow::Result<Self> {
        let host = url.host().filter(|_| url.scheme().is_some()).ok_or_else(|| {
            trouble(format!("`{url}` is no URL of a server"), "write it as `https://host:8481`")
        })?;
        let token = std::env::var(TOKEN_VARIABLE).map_err(|_| {
            trouble(
                format!("{TOKEN_VARIABLE} is not set"),
                "set it to the administrator's token, which was shown at the server's first start",
            )
        })?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .with_context(|| format!("{TOKEN_VARIABLE} holds no token"))?;
        bearer.set_sensitive(true);
        let allow = vec![host.trim_matches(['[', ']']).to_owned()];
        let settings = Settings { allow, ca_file: config.net.ca_file.clone() };
        let base = url.to_string().trim_end_matches('/').to_owned();
        Ok(Self::Elsewhere(Box::new(Server { client: Client::new(&settings)?, base, bearer })))
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
            Self::Elsewhere(server) => Ok((server.send(request).await?, None)),
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
            Self::Socket(_) | Self::Elsewhere(_) => Ok(()),
            Self::Local(house, router) => {
                drop(router);
                house.close().await
            }
        }
    }
}

impl Server {
    async fn send(&self, request: Request<Body>) -> anyhow::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let url: Uri = format!("{}{}", self.base, head.uri).parse()?;
        let mut request = bartizan_net::Request::new(head.method, url);
        request.headers = head.headers;
        // The URL names the host.
        request.headers.remove(header::HOST);
        request.headers.insert(header::AUTHORIZATION, self.bearer.clone());
        request.body = collect(body).await?;
        request.limits = Limits { total: EXCHANGE_MAX, body_bytes_max: u64::MAX, ..request.limits };
        let cannot = || format!("cannot reach `{}`", self.base);
        let answer = self.client.send(request).await.with_context(cannot)?;
        let pieces = futures_util::stream::unfold(answer.body, async |mut body| {
            let piece = body.next().await.transpose()?;
            Some((piece, body))
        });
        let mut response = Response::new(Body::from_stream(pieces));
        *response.status_mut() = answer.status;
        Ok(response)
    }
}

/// The configuration as far as administration needs it while no server runs: a
/// provider's key that this shell does not have must not stand in the way.
fn at_rest(config: &Config, verb: &str) -> Config {
    let mut config = config.clone();
    if verb != "routes" {
        config.routes.clear();
    }
    // Nor must the secret of the provider by which people sign in.
    config.people.oidc = None;
    config
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
    // Where the message itself says what is wrong, there is nothing to add.
    Err(match status {
        StatusCode::INTERNAL_SERVER_ERROR => {
            trouble(message, "`bartizan doctor` explains the state of the installation")
        }
        StatusCode::BAD_REQUEST => trouble(message, "`--help` shows what the verb takes"),
        _ => anyhow::anyhow!("{message}"),
    })
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
        assert!(
            answer(StatusCode::BAD_GATEWAY, b"nginx")
                .expect_err("fails")
                .to_string()
                .contains("nginx")
        );
        assert!(answer(StatusCode::OK, b"[1]").is_ok());
    }
}
