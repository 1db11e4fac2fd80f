//! The verbs: a file each. Their command lines are the reference's pages.

mod admin_token;
mod approvals;
mod db;
mod doctor;
mod guard;
mod keys;
mod ledger;
mod people;
mod reference;
mod routes;
mod seed;

use std::path::PathBuf;

use bartizan_core::{Cx, Tenant};
use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::{
    api::Api,
    config::{Config, Sources},
    demo,
    output::{Format, Outcome, Output},
    serve,
    trouble::trouble,
};

/// Protects, tests and governs AI systems.
///
/// Exit code 0: clean, or answered; 1: something was found or could not be judged;
/// 2: the work could not be done.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The configuration file; `bartizan.toml` in the working directory where there is one.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Administer the server at this URL, such as `https://host:8481`, with the token in
    /// `BARTIZAN_ADMIN_TOKEN`, in place of the one on this machine.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<http::Uri>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the gateway and administration until told to stop.
    ///
    /// SIGTERM lets running requests end; SIGHUP reads the configuration again.
    Serve,
    Demo(demo::Args),
    Doctor(doctor::Args),
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Show the routes in force, and how their targets do.
    Routes,
    #[command(subcommand)]
    Approvals(approvals::Verb),
    #[command(subcommand)]
    Guard(guard::Verb),
    #[command(subcommand)]
    Ledger(ledger::Verb),
    #[command(subcommand)]
    Db(db::Verb),
    #[command(subcommand)]
    People(people::Verb),
    /// Make another administrator token; the one before is void.
    AdminToken,
    /// Write the generated pages of the reference.
    #[command(hide = true)]
    Reference(reference::Args),
}

impl Verb {
    /// Whether it works through administration, wherever that is.
    fn administers(&self) -> bool {
        match self {
            Self::Keys(_)
            | Self::Routes
            | Self::Approvals(_)
            | Self::People(_)
            | Self::AdminToken => true,
            Self::Ledger(verb) => verb.administers(),
            Self::Db(verb) => verb.administers(),
            Self::Serve | Self::Demo(_) | Self::Doctor(_) | Self::Guard(_) | Self::Reference(_) => {
                false
            }
        }
    }
}

/// What every verb is given.
#[derive(Debug)]
struct Call<'a> {
    cx: &'a Cx,
    sources: Sources,
    format: Format,
    server: Option<http::Uri>,
}

type Out = Output<std::io::BufWriter<std::io::StdoutLock<'static>>>;

impl Call<'_> {
    fn config(&self) -> anyhow::Result<Config> {
        Ok(self.sources.load()?.config)
    }

    async fn api(&self, verb: &str) -> anyhow::Result<Api> {
        let config = self.config()?;
        match &self.server {
            Some(url) => Api::elsewhere(&config, url),
            None => Api::reach(&config, verb, self.cx).await,
        }
    }

    fn out(&self) -> Out {
        Output::stdout(self.format)
    }
}

/// Runs a verb to its end.
pub(crate) async fn run(cli: Cli, cx: &Cx) -> anyhow::Result<Outcome> {
    if cli.server.is_some() && !cli.verb.administers() {
        return Err(trouble(
            "`--server` has no use with this verb: it works on this machine",
            "leave it out",
        ));
    }
    let sources = Sources::of_process(cli.config.as_deref());
    let call = Call { cx, sources, format: cli.format, server: cli.server };
    match cli.verb {
        Verb::Serve => serve::run(cli.config.as_deref(), cx).await.map(|()| Outcome::Clean),
        Verb::Demo(args) => {
            demo::run(&args, &crate::demo_house::House::new(cx), cx, &mut call.out()).await
        }
        Verb::Doctor(args) => doctor::run(&call, &args).await,
        Verb::Keys(verb) => keys::run(&call, verb).await,
        Verb::Routes => routes::run(&call).await,
        Verb::Approvals(verb) => approvals::run(&call, verb).await,
        Verb::Guard(verb) => guard::run(&call, verb),
        Verb::Ledger(verb) => ledger::run(&call, verb).await,
        Verb::Db(verb) => db::run(&call, verb).await,
        Verb::People(verb) => people::run(&call, verb).await,
        Verb::AdminToken => admin_token::run(&call).await,
        Verb::Reference(args) => reference::run(&args),
    }
}

/// Whose records.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Whose {
    /// The tenant.
    #[arg(long, default_value = "default")]
    tenant: Tenant,
}

impl Whose {
    fn path(&self, path: &str) -> String {
        format!("{path}?tenant={}", self.tenant)
    }
}

/// A field of an answer, as a cell of a table.
fn cell(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}
