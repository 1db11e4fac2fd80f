//! Plugs the rooms into one another: an installation, opened for a verb or a server.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use bartizan_console::{Admin, People, Secret};
use bartizan_core::Cx;
use bartizan_gateway::{Gateway, Parts, routes::Live};
use bartizan_guard::Guard;
use bartizan_ledger::{Ledger, Recovery};
use bartizan_net::{Client, Settings};
use bartizan_policy::Authorizer;
use bartizan_store::{Class, Store};

use crate::{config::Config, continuity, lock::DirectoryLock, restore, trouble::Hint};

/// Every class of records, of every room.
static CLASSES: std::sync::LazyLock<Vec<&'static Class>> = std::sync::LazyLock::new(|| {
    bartizan_gateway::CLASSES.iter().chain(bartizan_console::CLASSES).copied().collect()
});

/// The classes, as the store wants them.
pub(crate) fn classes() -> &'static [&'static Class] {
    &CLASSES
}

/// An installation that this process holds.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) admin: Admin,
    pub(crate) recovery: Recovery,
    /// The administrator's token, when a server that starts made it just now.
    pub(crate) token: Option<Secret>,
    /// The one-time link to make the first account, while there is none.
    pub(crate) first_link: Option<String>,
    client: Client,
    /// Where administration is reached, once it listens.
    reached: String,
    /// The ledger's name in the database's memory.
    pub(crate) log: [u8; 32],
    // Given up last, when everything else is closed.
    _lock: DirectoryLock,
}

impl House {
    /// Opens the data directory, and makes what is missing in it.
    pub(crate) async fn open(config: &Config, verb: &str, cx: &Cx) -> anyhow::Result<Self> {
        let lock = DirectoryLock::take(&config.data_dir, verb)?;
        Ledger::refuse_newer(&config.ledger_dir())?;
        continuity::database_is_there(config)?;
        let store = Store::open(&config.store, &config.data_dir, classes(), cx).await?;
        restore::finish(config)?;
        continuity::ledger_is_there(config, &store).await?;
        let settings = bartizan_ledger::Settings {
            origin: config.ledger.origin.clone(),
            previous: None,
            key: None,
        };
        let (ledger, recovery) = Ledger::open(&config.ledger_dir(), &settings, cx)?;
        let origin = ledger.head().origin;
        if origin.split("/restored-").next() != Some(config.ledger.origin.as_str()) {
            tracing::warn!(
                origin,
                configured = config.ledger.origin,
                "the ledger keeps the name that it began with; `ledger.origin` counts when a ledger begins"
            );
        }
        let log = continuity::agree(config, &store, &ledger).await?;
        let (client, authorizer) = outward(config)?;
        let (cx, guard) = (cx.clone(), Arc::new(Guard::new()));
        let parts = Parts { cx, store, ledger, guard, client: client.clone(), authorizer };
        let gateway = Gateway::new(parts, config.gateway())?;
        let reached = config.admin.listen.clone();
        let admin = Admin::new(gateway, config.console(&reached, client.clone()))?;
        let (token, first_link) = (None, None);
        Ok(Self { admin, recovery, token, first_link, client, reached, log, _lock: lock })
    }

    /// Makes what only a server needs, which listens at `admin`: the token, and the link
    /// by which the first person gets in.
    pub(crate) async fn begin(
        &mut self,
        config: &Config,
        admin: std::net::SocketAddr,
    ) -> anyhow::Result<()> {
        // What listens everywhere is reached here, too.
        let mut reached = admin;
        if reached.ip().is_unspecified() {
            reached.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        self.reached = reached.to_string();
        self.admin.set_people(self.people(config)?);
        self.token = self.admin.ensure_token().await?;
        self.first_link = self.admin.first_link().await?;
        Ok(())
    }

    /// People as this configuration has them, where administration listens now.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn people(&self, config: &Config) -> anyhow::Result<People> {
        Ok(People::new(config.console(&self.reached, self.client.clone()))?)
    }

    /// Lets the database remember how far the ledger is.
    pub(crate) async fn remember_ledger(&self) -> anyhow::Result<()> {
        let Gateway { store, ledger, .. } = &*self.admin.gateway;
        continuity::remember(store, ledger, self.log).await
    }

    /// Finishes what is being written.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.admin.gateway.write_refusals(true).await;
        if let Err(error) = self.remember_ledger().await {
            // What it remembers from before is true as well.
            tracing::warn!(
                error = format!("{error:#}"),
                "the database could not be told how far the ledger is"
            );
        }
        self.admin.gateway.store.close().await?;
        // The ledger moves its journal into tiles when its last handle goes, which takes a moment.
        tokio::task::spawn_blocking(move || drop(self)).await?;
        Ok(())
    }
}

/// Tries everything of a configuration that can be refused, before anything is made.
pub(crate) fn try_out(config: &Config) -> anyhow::Result<()> {
    let (client, _) = outward(config)?;
    Live::new(config.gateway(), &client)?;
    People::new(config.console(&config.admin.listen, client))?;
    Ok(())
}

/// The way out, and the policies.
fn outward(config: &Config) -> anyhow::Result<(Client, Authorizer)> {
    let net = Settings { allow: config.net.allow.clone(), ca_file: config.net.ca_file.clone() };
    let client = Client::new(&net).context("cannot set up the way out (`net`)")?;
    let policies = config.policy.file.as_deref().map(read).transpose()?.unwrap_or_default();
    let authorizer =
        Authorizer::new(&policies).context("cannot use the policies (`policy.file`)")?;
    Ok((client, authorizer))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the policies `{}`", path.display()))
        .hint("`policy.file` names a file of Cedar policies")
}
