//! The list of models, made from the gateway's own routes.

use bartizan_core::Timestamp;
use http::Method;
use serde_json::{Value, json};

use super::Provider;

/// What is asked: `Some("")` for the list, a name for one model, none for another path.
pub fn wanted<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix("/v1/models")?;
    let one = if rest.is_empty() {
        Some("")
    } else {
        rest.strip_prefix('/').filter(|name| !name.is_empty())
    };
    one.filter(|_| *method == Method::GET)
}

/// The answer; none when the one model that is asked for is not there.
pub fn render(provider: Provider, names: &[String], wanted: &str, now: Timestamp) -> Option<Value> {
    let one = |name: &String| match provider {
        Provider::OpenAi => {
            json!({"id": name, "object": "model", "created": now.millis() / 1000, "owned_by": "bartizan"})
        }
        Provider::Anthropic => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": now})
        }
    };
    if !wanted.is_empty() {
        return names.iter().find(|name| *name == wanted).map(one);
    }
    let data: Vec<Value> = names.iter().map(one).collect();
    Some(match provider {
        Provider::OpenAi => json!({"object": "list", "data": data}),
        Provider::Anthropic => {
            json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
        }
    })
}
