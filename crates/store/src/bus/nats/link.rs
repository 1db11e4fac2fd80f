//! The connection to NATS: its address, its state, and the stream and consumers that we keep there.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{
    Client, ClientError, ConnectOptions, Event, ServerAddr,
    connection::State,
    datetime::DateTime,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
        context::{CreateStreamErrorKind, GetStreamErrorKind},
        stream::{self, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use tokio::sync::watch;

use super::wire;
use crate::{Error, Result, bus::outbox::EVENT_BYTES_MAX};

pub(super) const STREAM: &str = "BARTIZAN_EVENTS";
/// How long an event waits for a subscription that does not come back.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long JetStream knows the ids of what it has, and drops what has the same.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_secs(10 * 60);
/// How long a delivery is its receiver's who says nothing: then another gets it.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a start waits for NATS before it goes on without it.
const START_MAX: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(10);
/// The waits between attempts: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));
/// The headers of a message, at most, with room to spare.
const HEADERS_BYTES_MAX: usize = 4 << 10;
const KEY: &str = "store.nats_url";

/// The connection, which heals itself.
pub(super) struct Link {
    pub(super) jetstream: Context,
    client: Client,
    state: Arc<Condition>,
}

/// What is known of the server at the other end.
struct Condition {
    place: String,
    seen: Mutex<Seen>,
    /// Rings when the connection came or went.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Seen {
    stalled: Option<String>,
    /// Whether the stream was found in order since the connection stands.
    ready: bool,
}

impl Link {
    /// Connects, or goes on trying to.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let address = Address::read(url)?;
        let (changed, seen) = (watch::Sender::new(()), Mutex::default());
        let state = Arc::new(Condition { place: address.place, seen, changed });
        let mut options = ConnectOptions::new()
            .name("bartizan")
            .retry_on_initial_connect()
            .connection_timeout(CONNECT_MAX)
            .request_timeout(Some(ANSWER_MAX))
            .ping_interval(PING);
        options = match address.login {
            None => options,
            Some(Login::Token(token)) => options.token(token),
            Some(Login::Password(user, password)) => options.user_and_password(user, password),
        };
        let heard = state.clone();
        options = options.event_callback(move |event| {
            heard.hear(&event);
            std::future::ready(())
        });
        let client = options
            .connect(address.servers)
            .await
            .map_err(|error| state.away(error.to_string()))?;
        let link = Self { jetstream: jetstream::new(client.clone()), client, state };
        let start = Instant::now();
        loop {
            match link.ready().await {
                Err(Error::Away { .. }) if start.elapsed() < START_MAX => {
                    tokio::time::sleep(RETRY.0).await;
                }
                Err(error @ Error::Away { .. }) => {
                    link.lost(&error);
                    return Ok(link);
                }
                other => return other.map(|()| link),
            }
        }
    }

    pub(super) fn place(&self) -> &str {
        &self.state.place
    }

    pub(super) fn stalled(&self) -> Option<String> {
        self.state.seen().stalled.clone()
    }

    /// Notes what went wrong: with the first of a row of errors, events begin to wait.
    pub(super) fn lost(&self, error: &Error) {
        self.state.seen().ready = false;
        self.state.stall(match error {
            Error::Away { detail, .. } => detail.clone(),
            other => other.to_string(),
        });
    }

    /// Rings when the connection came or went.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.state.changed.subscribe()
    }

    /// What went wrong with a call to NATS.
    pub(super) fn away(&self, detail: impl fmt::Display) -> Error {
        self.state.away(detail.to_string())
    }

    /// Whether NATS is there, with a stream in order; it is made, or mended, if need be.
    pub(super) async fn ready(&self) -> Result<()> {
        if self.client.connection_state() != State::Connected {
            let known = self.stalled();
            return Err(self.away(known.as_deref().unwrap_or("there is no connection")));
        }
        if self.state.seen().ready {
            return Ok(());
        }
        let most = self.client.max_payload();
        if most < EVENT_BYTES_MAX + HEADERS_BYTES_MAX {
            let least = EVENT_BYTES_MAX + HEADERS_BYTES_MAX;
            return Err(self.away(format!(
                "it takes messages of at most {most} bytes: raise its `max_payload` to {least} at least"
            )));
        }
        self.keep_stream().await?;
        self.state.resume();
        Ok(())
    }

    /// Waits until NATS is there.
    async fn wait(&self) {
        let mut pause = Pause::default();
        let mut changed = self.listen();
        while let Err(error) = self.ready().await {
            self.lost(&error);
            pause.wait(&mut changed).await;
        }
    }

    async fn keep_stream(&self) -> Result<()> {
        let found = match self.jetstream.get_stream(STREAM).await {
            Ok(found) => found.cached_info().config.clone(),
            Err(error) => {
                return match error.kind() {
                    GetStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                    {
                        self.make_stream().await
                    }
                    _ => Err(self.away(error)),
                };
            }
        };
        let refuse = |problem: &str| Error::Stream {
            stream: STREAM,
            place: self.place().to_owned(),
            problem: problem.to_owned(),
        };
        if found.storage != StorageType::File {
            return Err(refuse("it is in memory, and must be in files"));
        }
        if found.retention != RetentionPolicy::Limits {
            return Err(refuse("its retention is not by limits"));
        }
        if found.sealed || found.mirror.is_some() || found.sources.is_some() {
            return Err(refuse("it is sealed, or filled from another stream"));
        }
        if found.no_ack {
            return Err(refuse("it does not acknowledge what it stores"));
        }
        let wanted = wanted(found.clone());
        if wanted != found {
            tracing::warn!(
                stream = STREAM,
                nats = self.place(),
                "the stream was configured otherwise, and is put in order"
            );
            self.jetstream.update_stream(&wanted).await.map_err(|e| refuse(&e.to_string()))?;
        }
        Ok(())
    }

    async fn make_stream(&self) -> Result<()> {
        let new = wanted(stream::Config { name: STREAM.to_owned(), ..Default::default() });
        match self.jetstream.create_stream(new).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                CreateStreamErrorKind::JetStream(error) => Error::Stream {
                    stream: STREAM,
                    place: self.place().to_owned(),
                    problem: error.to_string(),
                },
                _ => self.away(error),
            }),
        }
    }

    /// Makes the consumers of a subscription, or finds them; waits while NATS is away.
    pub(super) async fn subscribe(&self, name: &str) {
        loop {
            self.wait().await;
            let all = (0..wire::PARTITIONS).map(|p| self.consumer(name, p, DeliverPolicy::New));
            match futures_util::future::try_join_all(all).await {
                Ok(_) => return,
                Err(error) => self.lost(&error),
            }
        }
    }

    pub(super) async fn unsubscribe(&self, name: &str) -> Result<()> {
        self.ready().await?;
        for partition in 0..wire::PARTITIONS {
            let consumer = durable(name, partition);
            match self.jetstream.delete_consumer_from_stream(&consumer, STREAM).await {
                Ok(_) => {}
                Err(error) if not_found(&error.kind()) => {}
                Err(error) => return Err(self.away(error)),
            }
        }
        Ok(())
    }

    /// The consumer of one partition; where it is missing, it is made, and begins as told.
    pub(super) async fn consumer(
        &self,
        name: &str,
        partition: u8,
        begin: DeliverPolicy,
    ) -> Result<Consumer<pull::Config>> {
        let durable = durable(name, partition);
        match self.jetstream.get_consumer_from_stream(&durable, STREAM).await {
            Err(error) if not_found(&error.kind()) => {}
            other => return other.map_err(|error| self.away(error)),
        }
        let config = pull::Config {
            durable_name: Some(durable),
            filter_subject: wire::subjects_of_partition(partition),
            deliver_policy: begin,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // INVARIANT: one in flight, so that order is kept when a delivery is repeated.
            max_ack_pending: 1,
            ..Default::default()
        };
        let made = self.jetstream.create_consumer_on_stream(config, STREAM).await;
        made.map_err(|error| self.away(error))
    }

    /// Removes all events of a tenant.
    pub(super) async fn purge(&self, tenant: &str) -> Result<()> {
        let stream = self.jetstream.get_stream_no_info(STREAM).await.map_err(|e| self.away(e))?;
        let purge = stream.purge().filter(wire::subjects_of_tenant(tenant));
        purge.await.map(drop).map_err(|error| self.away(error))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("place", &self.state.place).finish_non_exhaustive()
    }
}

impl Condition {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => {}
            Event::Disconnected => self.stall("the connection broke".to_owned()),
            Event::ClientError(ClientError::Other(detail)) => self.stall(detail.clone()),
            _ => return,
        }
        self.seen().ready = false;
        self.changed.send_replace(());
    }

    fn stall(&self, detail: String) {
        if self.seen().stalled.replace(detail.clone()).is_none() {
            tracing::error!(
                nats = self.place,
                detail,
                "events do not get to NATS: they wait in the database until they do"
            );
        }
    }

    fn resume(&self) {
        let mut seen = self.seen();
        seen.ready = true;
        if seen.stalled.take().is_some() {
            tracing::info!(nats = self.place, "events get to NATS again");
        }
    }

    fn away(&self, detail: String) -> Error {
        Error::Away { what: "NATS", place: self.place.clone(), key: KEY, detail }
    }
}

/// Waits longer each time.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(RETRY.0)
    }
}

impl Pause {
    /// Waits, or until something changed.
    pub(super) async fn wait(&mut self, changed: &mut watch::Receiver<()>) {
        tokio::time::sleep(RETRY.0).await;
        let _rung = tokio::time::timeout(self.0, changed.changed()).await;
        self.0 = (self.0 * 2).min(RETRY.1);
    }
}

/// The stream as it must be; what is the operator's (replicas, placement, size) stays.
fn wanted(found: stream::Config) -> stream::Config {
    stream::Config {
        subjects: vec![wire::SUBJECTS.to_owned()],
        max_age: AGE_MAX,
        duplicate_window: DUPLICATE_WINDOW,
        // Where the operator limits the size, what finds no room waits in the outbox.
        discard: DiscardPolicy::New,
        ..found
    }
}

fn durable(name: &str, partition: u8) -> String {
    format!("{name}-{partition}")
}

fn not_found(kind: &ConsumerErrorKind) -> bool {
    matches!(kind, ConsumerErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}

/// What a consumer that went missing begins with when it is made again: what came since.
pub(super) fn since(time: DateTime) -> DeliverPolicy {
    DeliverPolicy::ByStartTime { start_time: time }
}

/// A URL taken apart, so that no password gets into a log.
#[derive(Debug)]
struct Address {
    servers: Vec<ServerAddr>,
    login: Option<Login>,
    place: String,
}

#[derive(PartialEq, Eq)]
enum Login {
    Token(String),
    Password(String, String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Address {
    /// Reads one URL, or several of one cluster, separated by commas.
    fn read(urls: &str) -> Result<Self> {
        let wrong = |problem: &str| Error::Url {
            key: KEY,
            what: "NATS",
            problem: problem.to_owned(),
            example: "`nats://127.0.0.1:4222` or `tls://user:password@host:4222`",
        };
        let (mut servers, mut login, mut places) = (Vec::new(), None, Vec::new());
        for url in urls.split(',').map(str::trim) {
            if !url.starts_with("nats://") && !url.starts_with("tls://") {
                return Err(wrong("it does not begin with `nats://` or `tls://`"));
            }
            // The parser's own words may hold the password.
            let unread = || wrong("it cannot be read as a URL");
            let full: ServerAddr = url.parse().map_err(|_| unread())?;
            if full.host().is_empty() {
                return Err(wrong("it names no host"));
            }
            let url = full.clone().into_inner();
            if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some()
            {
                return Err(wrong("it has more than a host and a port"));
            }
            if let Some(user) = full.username() {
                let undecoded = || wrong("its user or password is not percent-encoded UTF-8");
                let user = decoded(user).ok_or_else(undecoded)?;
                login = Some(match full.password() {
                    Some(password) => {
                        Login::Password(user, decoded(password).ok_or_else(undecoded)?)
                    }
                    None => Login::Token(user),
                });
            }
            let host = url.host_str().unwrap_or_default();
            let place = format!("{}://{host}:{}", full.scheme(), full.port());
            if full.scheme() == "nats" && !local(full.host()) {
                tracing::warn!(
                    nats = place,
                    "the connection to NATS is encrypted only if the server asks for it; `tls://` insists"
                );
            }
            servers.push(place.parse().map_err(|_| unread())?);
            places.push(place);
        }
        Ok(Self { servers, login, place: places.join(",") })
    }
}

fn local(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Percent-decoding, RFC 3986.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_password_is_never_shown() {
        let read = |url: &str| Address::read(url).expect("read");
        let one = read("nats://me:p%40ss@db.example");
        assert_eq!(one.place, "nats://db.example:4222");
        assert_eq!(one.login, Some(Login::Password("me".into(), "p@ss".into())));
        assert!(!format!("{one:?}").contains("ss@") && !format!("{one:?}").contains("p%40"));
        assert_eq!(read("tls://t%C3%A9@[::1]:99").login, Some(Login::Token("té".into())));
        let two = read("tls://a.example:1, tls://u:p@b.example:2");
        assert_eq!(two.place, "tls://a.example:1,tls://b.example:2");
        assert_eq!(two.servers.len(), 2);
        for bad in [
            "",
            "nats://",
            "secret",
            "http://secret@h",
            "nats://u:secret@h:port",
            "ws://secret@h",
            "nats://h/secret",
            "nats://h,",
            "nats://u:secret%zz@h",
            "nats://h?secret",
        ] {
            let said = Address::read(bad).expect_err(bad).to_string();
            assert!(said.contains(KEY) && !said.contains("secret"), "{said}");
        }
    }
}
