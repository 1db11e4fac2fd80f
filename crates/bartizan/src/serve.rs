//! `bartizan serve`: the gateway and administration, until it is told to stop.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use axum::Router;
use bartizan_console::Trust;
use bartizan_core::Cx;
use bartizan_gateway::{
    When,
    server::{self, Bounds, Tls},
};
use bartizan_store::Store;
use serde_json::Value;
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Loaded, LogFormat, Sources},
    continuity, lock, notify,
    trouble::Hint,
    wiring::{self, House},
};

/// How often counts of refusals are written and old records are swept.
const TICK: Duration = Duration::from_secs(15);
/// How often the records of refusals are brought up to date.
const TELL_EVERY: Duration = Duration::from_secs(3);
/// How often the database is told how far the ledger is: what is cut off unnoticed is at most
/// what was added since.
const REMEMBER_EVERY: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// A server that runs in this process.
#[derive(Debug)]
pub(crate) struct Running {
    house: House,
    pub(crate) data: std::net::SocketAddr,
    pub(crate) admin: std::net::SocketAddr,
    data_tls: Tls,
    admin_tls: Tls,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    socket: std::path::PathBuf,
}

impl Running {
    /// Opens the installation and listens.
    pub(crate) async fn start(config: &Config, cx: &Cx) -> anyhow::Result<Self> {
        // Ports first: a server that cannot listen changes nothing.
        let data = server::bind(&config.data.listen).await?;
        let admin = server::bind(&config.admin.listen).await?;
        let (data_tls, admin_tls) = (Tls::default(), Tls::default());
        data_tls.load(config.data.tls.as_ref())?;
        admin_tls.load(config.admin.tls.as_ref())?;
        wiring::try_out(config)?;
        let mut house = House::open(config, "serve", cx).await?;
        house.begin(config, admin.local_addr()?).await?;
        let socket = lock::socket(&config.data_dir);
        let local = socket_listener(&socket)?;
        let mut running = Self {
            data: data.local_addr()?,
            admin: admin.local_addr()?,
            data_tls,
            admin_tls,
            house,
            stop: CancellationToken::new(),
            tasks: Vec::new(),
            socket,
        };
        running.listen(config, data, admin, local);
        Ok(running)
    }

    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    fn listen(
        &mut self,
        config: &Config,
        data: TcpListener,
        admin: TcpListener,
        local: UnixListener,
    ) {
        let gateway = self.house.admin.gateway.clone();
        let bounds = Bounds::from(&config.data);
        let admin_bounds = Bounds {
            header_bytes_max: config.admin.header_bytes_max,
            header_ms_max: config.admin.header_ms_max,
            stall_ms_max: config.data.stall_ms_max,
            connections_max: config.admin.connections_max,
            drain_ms_max: 1000,
        };
        let stop = &self.stop;
        let plane = bartizan_gateway::router(gateway.clone());
        self.tasks.push(tokio::spawn(server::serve(
            data,
            self.data_tls.clone(),
            plane,
            bounds,
            stop.clone(),
        )));
        let api = bartizan_console::router(&self.house.admin, Trust::Token);
        self.tasks.push(tokio::spawn(server::serve(
            admin,
            self.admin_tls.clone(),
            api,
            admin_bounds,
            stop.clone(),
        )));
        let api = bartizan_console::router(&self.house.admin, Trust::Local);
        self.tasks.push(tokio::spawn(serve_socket(local, api, stop.clone())));
        let (remembering, log, sooner) = (gateway.clone(), self.house.log, stop.clone());
        self.tasks.push(tokio::spawn(async move {
            let mut tick = tokio::time::interval(REMEMBER_EVERY);
            let mut size = 0;
            loop {
                tokio::select! {
                    () = sooner.cancelled() => return,
                    _ = tick.tick() => {}
                }
                let now = remembering.ledger.head().size;
                if now == size {
                    continue;
                }
                match continuity::remember(&remembering.store, &remembering.ledger, log).await {
                    Ok(()) => size = now,
                    Err(error) => tracing::warn!(
                        error = format!("{error:#}"),
                        "the database could not be told how far the ledger is"
                    ),
                }
            }
        }));
        let (store, cx, stop) = (gateway.store.clone(), gateway.cx.clone(), stop.clone());
        let (starting, sooner) = (gateway.clone(), stop.clone());
        let began = When::Starting(self.house.recovery.size);
        self.tasks.push(tokio::spawn(async move {
            tokio::select! {
                () = sooner.cancelled() => {}
                made = bartizan_gateway::recover(&starting, began) => match made {
                    Ok(0) => {}
                    Ok(records) => tracing::warn!(records, "records that a crash swallowed were made again from the ledger"),
                    Err(error) => tracing::error!(%error, "records that a crash may have swallowed could not be made again from the ledger"),
                }
            }
        }));
        self.tasks.push(tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            let mut soon = tokio::time::interval(TELL_EVERY);
            let mut swept = tokio::time::Instant::now();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = soon.tick() => gateway.write_refusals(false).await,
                    _ = tick.tick() => gateway.catch_up().await,
                }
                if swept.elapsed() >= SWEEP_EVERY {
                    swept = tokio::time::Instant::now();
                    sweep(&store, &cx).await;
                }
            }
        }));
    }

    /// Puts another configuration in force. Listeners, the data directory and what is
    /// read at the start only stay as they are.
    pub(crate) fn reload(&self, loaded: &Loaded) -> anyhow::Result<()> {
        let config = &loaded.config;
        // Everything that can be refused is tried before anything changes.
        let (data, admin) = (Tls::default(), Tls::default());
        data.load(config.data.tls.as_ref())?;
        admin.load(config.admin.tls.as_ref())?;
        let people = self.house.people(config)?;
        self.house.admin.gateway.reload(config.gateway())?;
        self.house.admin.set_people(people);
        self.data_tls.load(config.data.tls.as_ref())?;
        self.admin_tls.load(config.admin.tls.as_ref())?;
        self.house.admin.set_settings(loaded.settings());
        Ok(())
    }

    /// Lets running requests end, and closes.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for task in self.tasks {
            task.await?;
        }
        let _absent = std::fs::remove_file(&self.socket);
        self.house.close().await
    }
}

async fn sweep(store: &Store, cx: &Cx) {
    match store.sweep(cx.now()).await {
        Ok(swept) => tracing::info!(
            records = swept.records.values().sum::<u64>(),
            "old records were removed"
        ),
        Err(error) => tracing::error!(%error, "old records could not be removed"),
    }
}

/// The verb.
pub(crate) async fn run(config_file: Option<&Path>, cx: &Cx) -> anyhow::Result<()> {
    let loaded = Sources::of_process(config_file).load_to_serve()?;
    let config = &loaded.config;
    log(config)?;
    let running = Running::start(config, cx).await?;
    let house = running.house();
    house.admin.set_settings(loaded.settings());
    if let Some(token) = &house.token {
        say(&format!("administrator token, shown this once: {}", token.reveal()));
    }
    if let Some(link) = &house.first_link {
        say(&format!("make the first account, by this link, which holds once: {link}"));
    }
    if house.recovery.torn > 0 {
        tracing::warn!(
            entries = house.recovery.torn,
            "entries that were never acknowledged were dropped after a crash"
        );
    }
    let (mut term, mut interrupt, mut hangup) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
    tracing::info!(data = %running.data, admin = %running.admin, ledger_entries = house.recovery.size, "serving");
    notify::tell(notify::READY);
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                let read = Sources::of_process(config_file).load_to_serve();
                let reloaded = read.and_then(|now| {
                    running.reload(&now)?;
                    Ok(needs_restart(config, &now.config))
                });
                match reloaded {
                    Ok(keys) => {
                        tracing::info!("the configuration was read again");
                        if !keys.is_empty() {
                            tracing::warn!(
                                keys = keys.join(", "),
                                "these keys were changed, and count from the next start on"
                            );
                        }
                    }
                    Err(error) => tracing::error!(error = format!("{error:#}"), "the configuration was refused; the one before stays in force"),
                }
            }
        }
    }
    notify::tell(notify::STOPPING);
    tracing::info!("stopping: running requests may end");
    running.stop().await
}

/// What is read at the start only; the last part of a name may be a table.
const AT_START: &[&str] = &[
    "data_dir",
    "data.listen",
    "data.header_bytes_max",
    "data.header_ms_max",
    "data.stall_ms_max",
    "data.connections_max",
    "data.drain_ms_max",
    "admin.listen",
    "admin.header_bytes_max",
    "admin.header_ms_max",
    "admin.connections_max",
    "net",
    "store",
    "ledger",
    "policy",
    "log",
];

/// The keys of which the running server has another value than the file, and keeps it.
fn needs_restart(running: &Config, read: &Config) -> Vec<String> {
    let value = |config: &Config| serde_json::to_value(config).unwrap_or_default();
    let (old, new) = (value(running), value(read));
    let mut changed = Vec::new();
    for key in AT_START {
        let pointer = format!("/{}", key.replace('.', "/"));
        match (old.pointer(&pointer), new.pointer(&pointer)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let differ = new.iter().filter(|(name, value)| old.get(*name) != Some(*value));
                changed.extend(differ.map(|(name, _)| format!("{key}.{name}")));
            }
            (old, new) if old != new => changed.push((*key).to_owned()),
            _ => {}
        }
    }
    changed
}

fn on(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen for signals")
}

/// For the person at the terminal, whatever the log's level and form.
fn say(line: &str) {
    use std::io::Write;
    let _unseen = writeln!(std::io::stderr(), "{line}");
}

fn log(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.level)
        .with_context(|| format!("`log.level`: `{}` is no level", config.log.level))
        .hint("use `error`, `warn`, `info`, `debug` or `trace`")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match config.log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("the log cannot be set up: {error}"))
}

/// The socket, which only its owner may use.
fn socket_listener(path: &Path) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    // The directory's lock is ours: a socket that is there was left by a crash.
    let _absent = std::fs::remove_file(path);
    let cannot = || format!("cannot listen on the socket `{}`", path.display());
    let listener = UnixListener::bind(path)
        .with_context(cannot)
        .hint("a socket's path has at most 107 bytes; name a shorter `data_dir`")?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(cannot)?;
    Ok(listener)
}

async fn serve_socket(listener: UnixListener, router: Router, stop: CancellationToken) {
    let served =
        axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the local socket is not served any more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_from_the_next_start_on_is_named() {
        let running = Config::default();
        let mut read = running.clone();
        assert_eq!(needs_restart(&running, &read), Vec::<String>::new());
        read.data.body_bytes_max += 1;
        assert_eq!(needs_restart(&running, &read), Vec::<String>::new());
        read.data.listen = "127.0.0.1:1".to_owned();
        read.ledger.origin = "another".to_owned();
        read.store.backup_dir = Some("elsewhere".into());
        assert_eq!(
            needs_restart(&running, &read),
            ["data.listen", "store.backup_dir", "ledger.origin"]
        );
    }
}
