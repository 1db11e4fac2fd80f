//! An installation in a temporary directory, and requests to its administration.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use bartizan_console::{Admin, PeopleConfig, Setup, Trust, router};
use bartizan_core::{Cx, sim};
use bartizan_gateway::{
    Gateway, Parts,
    config::{GatewayConfig, RouteConfig},
    upstream::TargetConfig,
};
use bartizan_guard::Guard;
use bartizan_ledger::Ledger;
use bartizan_net::{Client, Settings};
use bartizan_policy::Authorizer;
use bartizan_store::{Class, Store, StoreSettings};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

static CLASSES: LazyLock<Vec<&'static Class>> = LazyLock::new(|| {
    bartizan_gateway::CLASSES.iter().chain(bartizan_console::CLASSES).copied().collect()
});

pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) cx: Cx,
    pub(crate) clock: Arc<sim::ManualClock>,
    pub(crate) admin: Admin,
    pub(crate) token: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// The status and the code of a refusal.
    #[track_caller]
    pub(crate) fn refused(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with_policies("").await
    }

    pub(crate) async fn with_policies(policies: &str) -> Self {
        Self::with(policies, PeopleConfig::default()).await
    }

    pub(crate) async fn with(policies: &str, people: PeopleConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cx, clock) = sim::cx(1);
        let store =
            Store::open(&StoreSettings::default(), dir.path(), &CLASSES, &cx).await.unwrap();
        let settings = bartizan_ledger::Settings {
            origin: "test.example/ledger".to_owned(),
            previous: None,
            key: None,
        };
        let (ledger, _) = Ledger::open(&dir.path().join("ledger"), &settings, &cx).unwrap();
        let client =
            Client::new(&Settings { allow: vec!["127.0.0.1".to_owned()], ca_file: None }).unwrap();
        let parts = Parts {
            cx: cx.clone(),
            store,
            ledger,
            guard: Arc::new(Guard::new()),
            client: client.clone(),
            authorizer: Authorizer::new(policies).unwrap(),
        };
        let gateway = Gateway::new(parts, config()).unwrap();
        let url = "http://console.test".to_owned();
        let admin = Admin::new(gateway, Setup { config: people, url, client: Some(client) });
        let token = admin.ensure_token().await.unwrap().unwrap().reveal().to_owned();
        Self { dir, cx, clock, admin, token }
    }

    pub(crate) fn router(&self, trust: Trust) -> Router {
        router(&self.admin, trust)
    }

    /// A request with the administrator's token.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call_as(Some(&self.token), method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &body.to_string()).await
    }

    pub(crate) async fn call_as(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        read(self.router(Trust::Token).oneshot(request).await.unwrap()).await
    }

    /// Kinds and subjects of the ledger's entries from an index on.
    pub(crate) fn recorded(&self, from: u64) -> Vec<(String, String)> {
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let entries = self.admin.gateway.ledger.entries(from, 1000).unwrap();
        entries.iter().map(|(_, entry)| (text(entry, "kind"), text(entry, "subject"))).collect()
    }

    pub(crate) fn size(&self) -> u64 {
        self.admin.gateway.ledger.head().size
    }
}

pub(crate) async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn config() -> GatewayConfig {
    let target = TargetConfig { url: "http://127.0.0.1:9".to_owned(), ..TargetConfig::default() };
    let route = RouteConfig {
        models: vec!["*".to_owned()],
        targets: vec![target],
        ..RouteConfig::default()
    };
    GatewayConfig { routes: [("chat".to_owned(), route)].into(), ..GatewayConfig::default() }
}
