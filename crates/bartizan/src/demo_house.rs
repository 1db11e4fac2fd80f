//! The demonstration's protection: the real gateway, on loopback, with a directory of
//! its own that goes with it.

use bartizan_core::Cx;
use bartizan_gateway::{
    config::{LimitConfig, RouteConfig},
    keys::NewKey,
    upstream::TargetConfig,
};
use bartizan_ledger::{VerifierKey, verify};
use tokio::sync::Mutex;

use crate::{
    config::Config,
    demo::{Protection, Running, Verified, Wanted},
    serve,
};

/// The real gateway for the demonstration.
#[derive(Debug)]
pub(crate) struct House {
    cx: Cx,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    server: serve::Running,
    config: Config,
    home: Home,
}

/// A folder that is removed with its value.
#[derive(Debug)]
struct Home(std::path::PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

impl House {
    pub(crate) fn new(cx: &Cx) -> Self {
        Self { cx: cx.clone(), state: Mutex::new(None) }
    }
}

impl Protection for House {
    async fn start(&self, wanted: &Wanted) -> anyhow::Result<Running> {
        let name = self
            .cx
            .random::<8>()
            .iter()
            .fold("bartizan-demo-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        let home = Home(std::env::temp_dir().join(name));
        // The provider's key comes from a file, as an operator would give it.
        std::fs::create_dir_all(&home.0)?;
        let key_file = home.0.join("provider.key");
        std::fs::write(&key_file, &wanted.upstream_key)?;
        let mut config = config(wanted, key_file);
        config.data_dir = home.0.join("data");
        let server = serve::Running::start(&config, &self.cx).await?;
        server.house().admin.set_settings(config.told("the demonstration"));
        let gateway = &server.house().admin.gateway;
        let new = NewKey { name: "demo".to_owned(), ..NewKey::default() };
        let (_, secret) = gateway.keys.create(&bartizan_core::Tenant::default(), new).await?;
        let token = server.house().token.as_ref().map_or("", |token| token.reveal());
        let link = server.house().first_link.clone().unwrap_or_default();
        let running = Running {
            base_url: format!("http://{}/v1", server.data),
            key: secret.reveal().to_owned(),
            hints: vec![
                format!("the console; make yourself an account:   {link}"),
                format!(
                    "administration:                     curl -H 'authorization: Bearer {token}' http://{}/api/v1/decisions",
                    server.admin
                ),
                format!(
                    "the ledger, verified from its files: bartizan ledger verify {}",
                    config.ledger_dir().display()
                ),
            ],
        };
        *self.state.lock().await = Some(State { server, config, home });
        Ok(running)
    }

    async fn verify_ledger(&self) -> anyhow::Result<Verified> {
        let state = self.state.lock().await;
        let state = state.as_ref().ok_or_else(|| anyhow::anyhow!("the gateway does not run"))?;
        let ledger = state.config.ledger_dir();
        let key = VerifierKey::parse(std::fs::read_to_string(ledger.join("ledger.pub"))?.trim())?;
        let report = verify::directory(&ledger, &key, &verify::Options::default())?;
        let entries = report.head.as_ref().map_or(0, |head| head.size);
        let summary = match report.problems.first() {
            None => format!("The ledger verifies: {entries} entries, from the files alone."),
            Some(problem) => format!("THE LEDGER DOES NOT VERIFY: {problem}"),
        };
        Ok(Verified { intact: report.is_intact(), entries, summary })
    }

    async fn stop(&self) -> anyhow::Result<()> {
        if let Some(State { server, home, .. }) = self.state.lock().await.take() {
            server.stop().await?;
            drop(home);
        }
        Ok(())
    }
}

fn config(wanted: &Wanted, key_file: std::path::PathBuf) -> Config {
    let mut config = Config::default();
    "127.0.0.1:0".clone_into(&mut config.data.listen);
    "127.0.0.1:0".clone_into(&mut config.admin.listen);
    config.net.allow = vec!["127.0.0.1".to_owned()];
    let target = TargetConfig {
        url: wanted.upstream_url.clone(),
        key_file: Some(key_file),
        ..TargetConfig::default()
    };
    let route = RouteConfig {
        models: vec![wanted.model.clone()],
        targets: vec![target],
        canaries: wanted.canaries.clone(),
        link_hosts: wanted.link_hosts.clone(),
        per_end_user: LimitConfig {
            window_s: wanted.window_s,
            requests: Some(wanted.requests_max),
            ..LimitConfig::default()
        },
        ..RouteConfig::default()
    };
    config.routes.insert("assistant".to_owned(), route);
    config
}
