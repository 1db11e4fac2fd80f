//! The administration API: a page for people, and its OpenAPI document.

use std::fmt::Write;

use serde_json::Value;

use super::{GENERATED, cell};

/// The document, as it is served.
pub(super) fn document() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&bartizan_console::document())? + "\n")
}

pub(super) fn page() -> anyhow::Result<String> {
    let mut page = format!(
        "{GENERATED}# Administration API\n\n\
         `bartizan serve` serves it on `admin.listen`, where it asks for the administrator's token (`Authorization: Bearer bza_...`), a person's API token (`bzp_...`) or the cookie of a session (with the header `x-csrf-token` where something changes), and on the Unix socket `admin.sock` in the data directory, whose file mode is the proof. \
         [`openapi.json`](openapi.json) describes it for programs; the server gives the same at `/api/v1/openapi.json`.\n\n\
         Every operation takes `?tenant=NAME`; `default` when absent. \
         What is refused comes as `{{\"error\": {{\"code\", \"message\", \"request_id\"}}}}`. \
         Every change is in the ledger before it is made; one that fails leaves an entry `admin.failed`.\n\n\
         | operation | | what it does | asks for | needs |\n|---|---|---|---|---|\n"
    );
    let document = bartizan_console::document();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            writeln!(page, "{}", row(path, method, operation))?;
        }
    }
    page.push_str(
        "\n`GET /healthz` says that the process lives, `GET /readyz` that it can do its work, and `GET /metrics` gives its metrics in the OpenMetrics text format; none of them asks for a proof.\n",
    );
    Ok(page)
}

fn row(path: &str, method: &str, operation: &Value) -> String {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let asks: Vec<String> = parameters
        .into_iter()
        .flatten()
        .filter(|one| one.get("in").and_then(Value::as_str) == Some("query"))
        .filter_map(|one| one.get("name")?.as_str())
        .filter(|name| *name != "tenant")
        .map(|name| format!("`{name}`"))
        .collect();
    let needs = text("description").trim_start_matches("Needs to ").trim_end_matches('.');
    format!(
        "| `{}` | `{} {path}` | {} | {} | {needs} |",
        text("operationId"),
        method.to_uppercase(),
        cell(text("summary")),
        asks.join(" "),
    )
}
