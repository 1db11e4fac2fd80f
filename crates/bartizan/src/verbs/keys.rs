//! `bartizan keys`: virtual keys of applications.

use bartizan_core::Timestamp;
use bartizan_gateway::{config::LimitConfig, keys::NewKey};
use clap::Subcommand;
use serde_json::Value;

use super::{Call, Whose, cell};
use crate::{
    api::encoded,
    output::{Outcome, printable},
    trouble::trouble,
};

/// Make, list and end the keys by which applications prove who they are.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key; its secret is shown this once.
    Create(Create),
    /// List the keys, newest first.
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// End a key at once.
    Revoke {
        /// The key's id, as `list` shows it.
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Make a key of the same rights, and end this one.
    Rotate {
        /// The key's id, as `list` shows it.
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// A name for people, such as `support-bot`.
    name: String,
    /// A route that it may use; may be given several times, and means every route when absent.
    #[arg(long = "route", value_name = "ROUTE")]
    routes: Vec<String>,
    /// A model that it may ask for, `*` standing for any characters; may be given several
    /// times, and means every model when absent.
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<String>,
    /// When it ends, such as `2027-01-31T00:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<Timestamp>,
    /// The window of its limits, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    window_s: u64,
    /// Requests in a window.
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// Tokens in a window.
    #[arg(long, value_name = "N")]
    tokens: Option<u64>,
    /// Cost in a window, in millionths.
    #[arg(long, value_name = "N")]
    cost_micros: Option<u64>,
    #[command(flatten)]
    whose: Whose,
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| format!("`{text}` is no time: expected such as `2027-01-31T00:00:00Z`"))
}

impl Create {
    fn body(self) -> anyhow::Result<Value> {
        let limited =
            self.requests.is_some() || self.tokens.is_some() || self.cost_micros.is_some();
        let limits = limited.then_some(LimitConfig {
            window_s: self.window_s,
            requests: self.requests,
            tokens: self.tokens,
            cost_micros: self.cost_micros,
        });
        let new = NewKey {
            name: self.name,
            routes: self.routes,
            models: self.models,
            expires_at: self.expires_at,
            limits,
        };
        Ok(serde_json::to_value(new)?)
    }
}

/// A slip of the hand in a route's name would make a key that opens nothing.
fn routes_are_known(call: &Call<'_>, create: &Create) -> anyhow::Result<()> {
    if call.server.is_some() || create.routes.is_empty() {
        return Ok(());
    }
    let known = call.config()?.routes;
    match create.routes.iter().find(|name| !known.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(trouble(
            format!("there is no route `{}`", printable(name)),
            match known.is_empty() {
                true => "the configuration has no routes yet; add `[routes.NAME]` first".to_owned(),
                false => format!(
                    "the configuration has: {}",
                    known.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
                ),
            },
        )),
    }
}

pub(super) async fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    if let Verb::Create(create) = &verb {
        routes_are_known(call, create)?;
    }
    let api = call.api("keys").await?;
    let answered = match &verb {
        Verb::List { whose } => api.get(&whose.path("/api/v1/keys")).await,
        Verb::Revoke { id, whose } => {
            api.post(&whose.path(&format!("/api/v1/keys/{}/revoke", encoded(id))), None).await
        }
        Verb::Rotate { id, whose } => {
            api.post(&whose.path(&format!("/api/v1/keys/{}/rotate", encoded(id))), None).await
        }
        Verb::Create(_) => Ok(Value::Null),
    };
    let (answered, verb) = match verb {
        Verb::Create(create) => {
            let path = create.whose.path("/api/v1/keys");
            (api.post(&path, Some(&create.body()?)).await, "create")
        }
        Verb::List { .. } => (answered, "list"),
        Verb::Revoke { .. } => (answered, "revoke"),
        Verb::Rotate { .. } => (answered, "rotate"),
    };
    api.close().await?;
    show(call, verb, &answered?)?;
    Ok(Outcome::Clean)
}

fn show(call: &Call<'_>, verb: &str, answer: &Value) -> anyhow::Result<()> {
    let mut out = call.out();
    match verb {
        "list" => {
            let keys = answer.as_array().cloned().unwrap_or_default();
            let state = |key: &Value| {
                let expires = key.get("expires_at").and_then(Value::as_str);
                if key.get("revoked_at").is_some_and(|at| !at.is_null()) {
                    "revoked"
                } else if expires.and_then(Timestamp::parse).is_some_and(|at| at <= call.cx.now()) {
                    "expired"
                } else {
                    "active"
                }
                .to_owned()
            };
            let row = |key: &Value| {
                vec![
                    cell(key, "/id"),
                    cell(key, "/name"),
                    state(key),
                    cell(key, "/routes"),
                    cell(key, "/models"),
                    cell(key, "/expires_at"),
                    cell(key, "/hint"),
                ]
            };
            out.many(
                &keys,
                &["id", "name", "state", "routes", "models", "expires", "ends in"],
                row,
                "there are no keys; `bartizan keys create NAME` makes one",
            )
        }
        "revoke" => out.one(answer, |key| {
            format!("revoked `{}` ({})", printable(&cell(key, "/name")), cell(key, "/id"))
        }),
        _ => out.one(answer, |made| {
            format!(
                "{}\nid {}; shown this once, keep it safe",
                cell(made, "/secret"),
                cell(made, "/key/id")
            )
        }),
    }
}
