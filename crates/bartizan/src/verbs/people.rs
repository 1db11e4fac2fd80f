//! `bartizan people`: accounts of the console.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Call, cell};
use crate::{
    api::{Api, encoded},
    output::{Outcome, printable},
    trouble::trouble,
};

/// List, invite and recover the people who sign in to the console.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List people, oldest first.
    List,
    /// Make an account, and a one-time link by which its person gets in.
    Invite {
        /// By what the person will sign in, such as `ada` or `ada@example.com`.
        name: String,
        /// What the person may do.
        #[arg(long, value_enum)]
        role: Role,
    },
    /// Give a person another role; the person's sessions end.
    Role {
        /// The person's name or id, as `list` shows it.
        who: String,
        #[arg(value_enum)]
        role: Role,
    },
    /// Let nobody in by an account any more, at once.
    Disable {
        /// The person's name or id, as `list` shows it.
        who: String,
    },
    /// Let a person in again who was disabled.
    Enable {
        /// The person's name or id, as `list` shows it.
        who: String,
    },
    /// Make a one-time link with which a person sets another password and second factor.
    ///
    /// Nothing changes until the link is used; then every session of the person ends, and
    /// every API token is revoked.
    Recover {
        /// The person's name or id, as `list` shows it.
        who: String,
    },
    /// List a person's sessions, newest first.
    Sessions {
        /// The person's name or id, as `list` shows it.
        who: String,
    },
    /// End every session of a person, or one.
    End {
        /// The person's name or id, as `list` shows it.
        who: String,
        /// One session alone, by its id as `sessions` shows it.
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
}

/// What a person may do.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Role {
    /// Everything.
    Administrator,
    /// Reads all; manages keys, routes, assets and findings, and decides approvals.
    Operator,
    /// Reads all; decides approvals and findings.
    Analyst,
    /// Reads all, changes nothing.
    Auditor,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
        }
    }
}

pub(super) async fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    let api = call.api("people").await?;
    let answered = ask(&api, &verb).await;
    api.close().await?;
    show(call, &verb, &answered?)?;
    Ok(Outcome::Clean)
}

async fn ask(api: &Api, verb: &Verb) -> anyhow::Result<Value> {
    let act = async |who: &str, act: &str, body: Option<&Value>| {
        let id = id(api, who).await?;
        api.post(&format!("/api/v1/people/{}/{act}", encoded(&id)), body).await
    };
    match verb {
        Verb::List => api.get("/api/v1/people").await,
        Verb::Invite { name, role } => {
            let body = json!({"name": name, "role": role.as_str()});
            api.post("/api/v1/people", Some(&body)).await
        }
        Verb::Role { who, role } => act(who, "role", Some(&json!({"role": role.as_str()}))).await,
        Verb::Disable { who } => act(who, "disable", None).await,
        Verb::Enable { who } => act(who, "enable", None).await,
        Verb::Recover { who } => act(who, "recover", None).await,
        Verb::Sessions { who } => {
            let id = id(api, who).await?;
            api.get(&format!("/api/v1/people/{}/sessions", encoded(&id))).await
        }
        Verb::End { who, session: None } => act(who, "sessions/end", None).await,
        Verb::End { who, session: Some(session) } => {
            let id = id(api, who).await?;
            let of = api.get(&format!("/api/v1/people/{}/sessions", encoded(&id))).await?;
            let own = of.as_array().is_some_and(|all| {
                all.iter().any(|one| one.get("id").and_then(Value::as_str) == Some(session))
            });
            if !own {
                return Err(trouble(
                    format!("`{}` has no session `{}`", printable(who), printable(session)),
                    "`bartizan people sessions` shows which there are",
                ));
            }
            api.post(&format!("/api/v1/sessions/{}/end", encoded(session)), None).await
        }
    }
}

/// The id of the person of this name, or of this id.
async fn id(api: &Api, who: &str) -> anyhow::Result<String> {
    let people = api.get("/api/v1/people").await?;
    let people = people.as_array().cloned().unwrap_or_default();
    let text = |person: &Value, field: &str| {
        person.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let name = who.trim().to_lowercase();
    let found: Vec<String> = people
        .iter()
        .filter(|person| text(person, "id") == who || text(person, "name") == name)
        .map(|person| text(person, "id"))
        .collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(trouble(
            format!("there is no person `{}`", printable(who)),
            "`bartizan people list` shows who there is",
        )),
        _ => Err(trouble(
            format!("`{}` is the name of {} people", printable(who), found.len()),
            "name the person by id, as `bartizan people list` shows it",
        )),
    }
}

fn show(call: &Call<'_>, verb: &Verb, answer: &Value) -> anyhow::Result<()> {
    let mut out = call.out();
    let list = || answer.as_array().cloned().unwrap_or_default();
    let field = |value: &Value, name: &str| printable(&cell(value, name)).to_string();
    match verb {
        Verb::List => {
            let row = |person: &Value| {
                ["/id", "/name", "/role", "/state", "/origin", "/second_factor", "/signed_in_at"]
                    .map(|name| field(person, name))
                    .to_vec()
            };
            let heads = ["id", "name", "role", "state", "origin", "second factor", "signed in"];
            let none = "there is nobody; `bartizan serve` prints a link to make the first account, and `bartizan people invite` makes one";
            out.many(&list(), &heads, row, none)
        }
        Verb::Sessions { .. } => {
            let row = |session: &Value| {
                ["/id", "/address", "/started_at", "/seen_at", "/browser"]
                    .map(|name| field(session, name))
                    .to_vec()
            };
            let heads = ["id", "address", "started", "last seen", "browser"];
            out.many(&list(), &heads, row, "there are no sessions")
        }
        Verb::Invite { .. } | Verb::Recover { .. } => out.one(answer, |made| {
            format!(
                "{}\nshown this once; it holds once, give it to the person alone",
                cell(made, "/link")
            )
        }),
        Verb::End { .. } => {
            out.one(answer, |ended| format!("ended {} sessions", cell(ended, "/sessions")))
        }
        Verb::Role { .. } | Verb::Disable { .. } | Verb::Enable { .. } => {
            out.one(answer, |person| {
                let (name, role, state) =
                    (field(person, "/name"), field(person, "/role"), field(person, "/state"));
                format!("`{name}` is {state}, {role}")
            })
        }
    }
}
