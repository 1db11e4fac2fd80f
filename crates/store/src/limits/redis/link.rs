//! The connection to Redis: made, probed, and made anew when it is lost.
//!
//! While it is away nobody waits for it: a request learns at once that it is, and the connection
//! comes back behind the requests' backs.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisError, Script, ScriptInvocation,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{PROBE, WhenAway};

/// How long making a connection may take, names and TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Between two attempts to connect: at first, and after many.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection that lasted this long is replaced without a pause when it is lost.
const STEADY: Duration = Duration::from_secs(5);
/// How often an idle connection is tried.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What became of a script that gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was not sent.
    Unsent,
    /// It may have run, or may yet.
    Unanswered,
    /// Redis refused it.
    Refused,
}

#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    when_away: WhenAway,
    /// How long a script may take.
    patience: Duration,
    state: watch::Sender<State>,
    doubt: Notify,
}

#[derive(Debug)]
enum State {
    Starting,
    Here(Wire),
    Away(String),
}

/// A connection, and which one it is.
#[derive(Clone, Debug)]
struct Wire {
    serial: u64,
    connection: MultiplexedConnection,
}

impl Link {
    pub(super) fn new(client: Client, when_away: WhenAway, patience: Duration) -> Self {
        let state = watch::Sender::new(State::Starting);
        Self { client, when_away, patience, state, doubt: Notify::new() }
    }

    /// Host and port, without a password.
    pub(super) fn place(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Runs a script, within the time that a request may wait.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Failed> {
        let until = Instant::now() + self.patience;
        let Ok(Ok(mut wire)) = timeout_at(until, self.wire()).await else {
            return Err(Failed::Unsent);
        };
        match timeout_at(until, script.invoke_async(&mut wire.connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if !broken(&error) => {
                tracing::warn!(%error, "Redis refused to count a limit");
                self.doubt.notify_one();
                Err(Failed::Refused)
            }
            Ok(Err(error)) => {
                self.lose(wire.serial, error.to_string());
                Err(Failed::Unanswered)
            }
            Err(_) => {
                self.lose(wire.serial, silence(self.patience));
                Err(Failed::Unanswered)
            }
        }
    }

    /// Whether Redis counts.
    ///
    /// # Errors
    /// Says why not.
    pub(super) async fn check(&self) -> Result<(), String> {
        let wire = timeout(CONNECT_MAX, self.wire()).await;
        let mut wire = wire.map_err(|_| silence(CONNECT_MAX))??;
        probe(&mut wire.connection, self.patience).await
    }

    /// Waits until there is a connection.
    pub(super) async fn here(&self) {
        let here = |state: &State| matches!(state, State::Here(_));
        let _closed = self.state.subscribe().wait_for(here).await.is_err();
    }

    /// The connection, or why there is none; while the first is being made, waits for it.
    async fn wire(&self) -> Result<Wire, String> {
        let mut state = self.state.subscribe();
        let known = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match known.as_deref() {
            Ok(State::Here(wire)) => Ok(wire.clone()),
            Ok(State::Away(why)) => Err(why.clone()),
            Ok(State::Starting) | Err(_) => Err("it was not reached yet".to_owned()),
        }
    }

    /// Keeps a connection for ever.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut pause = PAUSE_MIN;
        for serial in 0.. {
            match self.connect().await {
                Ok(connection) => {
                    let since = Instant::now();
                    let wire = Wire { serial, connection };
                    self.gain(wire.clone());
                    self.watch(wire).await;
                    if since.elapsed() >= STEADY {
                        pause = PAUSE_MIN;
                        continue;
                    }
                }
                Err(why) => self.miss(why),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        // Every use has a time limit of its own.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let made = self.client.get_multiplexed_async_connection_with_config(&config);
        let made = timeout(CONNECT_MAX, made).await.map_err(|_| silence(CONNECT_MAX))?;
        let mut connection = made.map_err(|error| error.to_string())?;
        probe(&mut connection, CONNECT_MAX).await?;
        Ok(connection)
    }

    /// Returns when the connection is lost.
    async fn watch(&self, mut wire: Wire) {
        loop {
            tokio::select! {
                () = self.doubt.notified() => {}
                () = sleep(PROBE_EVERY) => {}
            }
            if !matches!(&*self.state.borrow(), State::Here(_)) {
                return;
            }
            if let Err(why) = probe(&mut wire.connection, self.patience.max(CONNECT_MAX)).await {
                self.lose(wire.serial, why);
            }
        }
    }

    fn gain(&self, wire: Wire) {
        let before = self.state.send_replace(State::Here(wire));
        match before {
            State::Away(_) => {
                tracing::warn!(redis = self.place(), "Redis is back: limits are counted again");
            }
            _ => tracing::info!(redis = self.place(), "Redis counts the limits"),
        }
    }

    /// A connection is lost; a later one is none of this one's business.
    fn lose(&self, serial: u64, why: String) {
        self.away(|state| matches!(state, State::Here(wire) if wire.serial == serial), why);
        self.doubt.notify_one();
    }

    /// No connection could be made.
    fn miss(&self, why: String) {
        self.away(|state| !matches!(state, State::Away(known) if *known == why), why.clone());
    }

    /// Says it once, and a new reason again.
    fn away(&self, news: impl Fn(&State) -> bool, why: String) {
        let mut still = false;
        let change = |state: &mut State| {
            let new = news(state);
            if new {
                still = matches!(state, State::Away(_));
                *state = State::Away(why.clone());
            }
            new
        };
        if !self.state.send_if_modified(change) {
            return;
        }
        let redis = self.place();
        match self.when_away {
            _ if still => tracing::info!(redis, why, "Redis is still away, for another reason"),
            WhenAway::Deny => {
                tracing::warn!(redis, why, "Redis is away: requests with a limit are denied");
            }
            WhenAway::Allow => tracing::warn!(
                redis,
                why,
                "Redis is away: requests go on UNCOUNTED (`store.limits_when_away`)"
            ),
        }
    }
}

/// Tries what requests do: a Redis that answers, and cannot run scripts or write, counts nothing.
async fn probe(connection: &mut MultiplexedConnection, max: Duration) -> Result<(), String> {
    static INVOCATION: LazyLock<Script> = LazyLock::new(|| Script::new(super::RESERVE_LUA));
    let mut call = INVOCATION.prepare_invoke();
    call.key(PROBE).arg("").arg(0).arg(1).arg(u32::MAX).arg(0);
    let answer = timeout(max, call.invoke_async::<Vec<i64>>(connection)).await;
    answer.map_err(|_| silence(max))?.map(drop).map_err(|error| error.to_string())
}

/// Whether nothing more can come over the connection.
fn broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

fn silence(max: Duration) -> String {
    format!("no answer within {} ms", max.as_millis())
}
