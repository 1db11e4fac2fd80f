//! `bartizan approvals`: what waits for a person.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Call, Whose, cell};
use crate::{
    api::encoded,
    output::{Outcome, printable},
};

/// See what waits for a person, and release or refuse it.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List approvals, newest first.
    List {
        /// Only those that are `pending`, `approved`, `denied` or `used`.
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// Show what waits, with its text; that it was read is on record.
    Show {
        /// The approval's id, as `list` shows it.
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Release what waits: once, the same request.
    Approve(Word),
    /// Refuse what waits.
    Deny(Word),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Word {
    /// The approval's id, as `list` shows it.
    id: String,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    whose: Whose,
}

pub(super) async fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    let api = call.api("approvals").await?;
    let decide =
        |word: &Word| word.whose.path(&format!("/api/v1/approvals/{}/decision", encoded(&word.id)));
    let answered = match &verb {
        Verb::List { state, whose } => {
            let state = state
                .as_ref()
                .map(|state| format!("&state={}", encoded(state)))
                .unwrap_or_default();
            api.get(&(whose.path("/api/v1/approvals") + &state)).await
        }
        Verb::Show { id, whose } => {
            api.get(&whose.path(&format!("/api/v1/approvals/{}", encoded(id)))).await
        }
        Verb::Approve(word) => {
            api.post(&decide(word), Some(&json!({"decision": "approve", "why": word.why}))).await
        }
        Verb::Deny(word) => {
            api.post(&decide(word), Some(&json!({"decision": "deny", "why": word.why}))).await
        }
    };
    api.close().await?;
    let answer = answered?;
    let mut out = call.out();
    if matches!(verb, Verb::List { .. }) {
        let list = answer.as_array().cloned().unwrap_or_default();
        let row = |one: &Value| {
            vec![
                cell(one, "/id"),
                cell(one, "/state/is"),
                cell(one, "/requested_by"),
                cell(one, "/reason"),
                cell(one, "/expires_at"),
            ]
        };
        out.many(&list, &["id", "state", "asked by", "reason", "expires"], row, "nothing waits")?;
    } else if matches!(verb, Verb::Show { .. }) {
        out.one(&answer, waiting)?;
    } else {
        out.one(&answer, |one| format!("{} is {}", cell(one, "/id"), cell(one, "/state/is")))?;
    }
    Ok(Outcome::Clean)
}

fn waiting(shown: &Value) -> String {
    let mut page = format!(
        "{} is {}\nasked by {} at {}, until {}\nbecause {}",
        cell(shown, "/approval/id"),
        cell(shown, "/approval/state/is"),
        cell(shown, "/approval/requested_by"),
        cell(shown, "/approval/requested_at"),
        cell(shown, "/approval/expires_at"),
        printable(&cell(shown, "/approval/reason")),
    );
    page.push_str(&match shown.get("request") {
        None | Some(Value::Null) => "\nits request is not on record (any more)".to_owned(),
        Some(request) => format!("\n\n{}", super::decisions::page(request)),
    });
    page
}
