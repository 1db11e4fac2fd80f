//! `bartizan decisions`: what was decided about requests.

use clap::Subcommand;
use serde_json::Value;

use super::{Call, Whose, cell};
use crate::{
    api::encoded,
    output::{Outcome, printable},
};

/// See what was decided about requests, and read one with its text.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the newest decisions, without their texts.
    List {
        /// Only those that `allow`, `annotate`, `redact`, `hold` or `block`.
        #[arg(long)]
        verdict: Option<String>,
        /// Only through this route.
        #[arg(long)]
        route: Option<String>,
        /// How many, at most 500.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u16,
        #[command(flatten)]
        whose: Whose,
    },
    /// Show one decision with its text; that it was read is on record.
    Show {
        /// The request's id.
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
}

pub(super) async fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    let api = call.api("decisions").await?;
    let answered = match &verb {
        Verb::List { verdict, route, limit, whose } => {
            let mut path = whose.path("/api/v1/decisions") + &format!("&limit={limit}");
            for (name, value) in [("verdict", verdict), ("route", route)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={}", encoded(value)));
                }
            }
            api.get(&path).await
        }
        Verb::Show { id, whose } => {
            api.get(&whose.path(&format!("/api/v1/decisions/{}", encoded(id)))).await
        }
    };
    api.close().await?;
    let answer = answered?;
    let mut out = call.out();
    if matches!(verb, Verb::Show { .. }) {
        out.one(&answer, page)?;
        return Ok(Outcome::Clean);
    }
    let list = answer.get("records").and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |one: &Value| {
        vec![
            cell(one, "/id"),
            cell(one, "/time"),
            cell(one, "/meta/verdict"),
            cell(one, "/meta/route"),
            cell(one, "/meta/model"),
            cell(one, "/meta/key"),
            cell(one, "/meta/rules"),
        ]
    };
    out.many(
        &list,
        &["id", "time", "verdict", "route", "model", "key", "rules"],
        row,
        "nothing was decided yet",
    )?;
    Ok(Outcome::Clean)
}

/// A request, and its text as it is kept.
pub(super) fn page(request: &Value) -> String {
    let text = match request.get("text") {
        None | Some(Value::Null) => "its text is not kept".to_owned(),
        Some(text) => serde_json::to_string_pretty(text).unwrap_or_default(),
    };
    let lines: Vec<String> = text.lines().map(printable).collect();
    format!(
        "request {} at {}: {} through route {}, model {}, rules {}\n{}",
        cell(request, "/id"),
        cell(request, "/time"),
        cell(request, "/meta/verdict"),
        printable(&cell(request, "/meta/route")),
        printable(&cell(request, "/meta/model")),
        cell(request, "/meta/rules"),
        lines.join("\n"),
    )
}
