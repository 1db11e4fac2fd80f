//! `bartizan demo`: an AI application attacked before your eyes, once without Bartizan
//! and once with it.
//!
//! ```text
//! story ──► play ──► app ──────────────► model        without
//!             │       └────► gateway ──► model        with
//!             └──► judge: what is in the outbox, on the screen, in the model's count
//! ```
//! Invariant: the application cannot tell the two apart (only its base URL and key
//! differ), the model knows nothing of the story, and the judge never hears what the
//! gateway says of itself: it looks at the world.

mod app;
mod judge;
mod model;
mod play;
mod relay;
mod report;
mod story;
mod world;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use bartizan_core::Cx;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::output::{Outcome, Output};
use app::{App, Endpoint};
use report::Report;
use story::Story;

/// The name of the built-in model.
const MODEL: &str = "demo";

/// Watch attacks on an AI application land without Bartizan and fail with it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// End when the story has been played, with exit code 0 only if every attack that
    /// landed unprotected was stopped and every honest request passed.
    #[arg(long)]
    pub(crate) once: bool,
    /// Play this story instead of the built-in one (docs/reference/demo-story.md).
    #[arg(long, value_name = "FILE")]
    pub(crate) story: Option<PathBuf>,
    /// Play against a real model behind this OpenAI-compatible base URL.
    #[arg(long, value_name = "URL", requires = "model")]
    pub(crate) upstream: Option<String>,
    /// The name of the real model.
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub(crate) model: Option<String>,
    /// The environment variable that holds the real model's key.
    #[arg(long, value_name = "VARIABLE", default_value = "OPENAI_API_KEY", requires = "upstream")]
    pub(crate) key_env: String,
}

/// What the demonstration wants to be protected, as an operator would configure it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Where the model is: scheme, host and port. The paths are the provider's.
    pub(crate) upstream_url: String,
    /// The provider's key.
    pub(crate) upstream_key: String,
    pub(crate) model: String,
    /// Marks planted in the system prompt.
    pub(crate) canaries: Vec<String>,
    /// Hosts to which answers may link.
    pub(crate) link_hosts: Vec<String>,
    /// Requests of one end user (the body's `user`) in a window.
    pub(crate) requests_max: u64,
    pub(crate) window_s: u64,
}

/// A protection that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// Where applications send their requests, up to and with `/v1`.
    pub(crate) base_url: String,
    /// A virtual key.
    pub(crate) key: String,
    /// Lines that say how to reach and administer it.
    pub(crate) hints: Vec<String>,
}

/// What the verification of the ledger came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verified {
    pub(crate) intact: bool,
    pub(crate) entries: u64,
    /// The same as a sentence.
    pub(crate) summary: String,
}

/// The gateway, as the demonstration needs it.
pub(crate) trait Protection: Sync {
    /// Starts it on loopback with data of its own.
    fn start(&self, wanted: &Wanted) -> impl Future<Output = anyhow::Result<Running>> + Send;

    /// Verifies its ledger, as an outsider would.
    fn verify_ledger(&self) -> impl Future<Output = anyhow::Result<Verified>> + Send;

    /// Ends it.
    fn stop(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Plays the story without and with protection, and prints what happened.
///
/// # Errors
/// When the story cannot be read, or something cannot be started.
pub(crate) async fn run<P: Protection, W: std::io::Write>(
    args: &Args,
    protection: &P,
    cx: &Cx,
    out: &mut Output<W>,
) -> anyhow::Result<Outcome> {
    let story = Arc::new(story::load(args.story.as_deref())?);
    let model = start_model(args, &story, cx).await?;
    let running =
        protection.start(&model.wanted(&story)).await.context("cannot start the gateway")?;
    let played = show(args, &story, &model, &running, protection, out).await;
    // The first trouble is the one to tell of.
    let stopped = protection.stop().await.context("cannot stop the gateway");
    let outcome = played?;
    stopped?;
    Ok(outcome)
}

async fn show<P: Protection, W: std::io::Write>(
    args: &Args,
    story: &Arc<Story>,
    model: &Model,
    running: &Running,
    protection: &P,
    out: &mut Output<W>,
) -> anyhow::Result<Outcome> {
    let protected = Endpoint {
        base_url: running.base_url.clone(),
        key: running.key.clone(),
        model: model.name.clone(),
    };
    let without = play::play(story, &model.endpoint(), &model.count).await?;
    let with = play::play(story, &protected, &model.count).await?;
    let ledger = protection.verify_ledger().await.context("cannot verify the ledger")?;
    let report = Report::new(story, without, with, ledger);
    out.one(&report, Report::to_text)?;
    if !args.once {
        stay(story, model, &protected, running, out).await?;
    }
    Ok(report.outcome())
}

/// Stays up until Ctrl-C, with both applications on loopback.
async fn stay<W: std::io::Write>(
    story: &Arc<Story>,
    model: &Model,
    protected: &Endpoint,
    running: &Running,
    out: &mut Output<W>,
) -> anyhow::Result<()> {
    let open = app::serve(App::new(story, model.endpoint())?).await?;
    let closed = app::serve(App::new(story, protected.clone())?).await?;
    let text = report::reach(running, &model.name, open.address, closed.address);
    if out.is_json() {
        eprintln!("{text}");
    } else {
        out.text(&text)?;
    }
    // Either way its folder goes with it.
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot wait for SIGTERM")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("cannot wait for Ctrl-C"),
        _ = term.recv() => Ok(()),
    }
}

/// The model that the story is played against, and the count of its requests.
struct Model {
    served: Served,
    name: String,
    key: String,
    count: Arc<AtomicU64>,
}

impl Model {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            base_url: format!("http://{}/v1", self.served.address),
            key: self.key.clone(),
            model: self.name.clone(),
        }
    }

    fn wanted(&self, story: &Story) -> Wanted {
        Wanted {
            upstream_url: format!("http://{}", self.served.address),
            upstream_key: self.key.clone(),
            model: self.name.clone(),
            canaries: story.protection.canaries.clone(),
            link_hosts: story.protection.link_hosts.clone(),
            requests_max: story.protection.requests_max,
            window_s: story.protection.window_s,
        }
    }
}

/// The built-in model, or a relay to a real one that counts.
async fn start_model(args: &Args, story: &Story, cx: &Cx) -> anyhow::Result<Model> {
    let count = Arc::new(AtomicU64::new(0));
    // A key that only this run knows: whoever reaches the model came through the app or the gateway.
    let key =
        cx.random::<16>().iter().fold("demo-".to_owned(), |key, byte| format!("{key}{byte:02x}"));
    let (served, name) = match (&args.upstream, &args.model) {
        (Some(url), Some(model)) => {
            let own = std::env::var(&args.key_env).unwrap_or_default();
            (relay::start(url, &own, &key, count.clone()).await?, model.clone())
        }
        _ => {
            let settings = model::Settings {
                name: MODEL.to_owned(),
                key: key.clone(),
                memory: story.model.memory.clone(),
                chunk_chars: story.model.chunk_chars,
            };
            let served = model::start(settings, count.clone(), cx).await;
            (served.context("cannot start the built-in model")?, MODEL.to_owned())
        }
    };
    Ok(Model { served, name, key, count })
}

/// A server on loopback that ends when dropped.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    fn new(listener: TcpListener, router: axum::Router) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "a server of the demonstration ended");
            }
        });
        Ok(Self { address, task })
    }

    /// A server on a free port of loopback.
    async fn start(router: axum::Router) -> std::io::Result<Self> {
        Self::new(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?, router)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How many requests have reached the model.
fn reached(count: &AtomicU64) -> u64 {
    count.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests;
