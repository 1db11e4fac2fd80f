//! Whether a server runs on the data directory, and how it does.

use super::{Found, Site};

const WHAT: &str = "server";

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    let answered = match &site.server {
        Some(api) => Some(api.get("/api/v1/status").await),
        None => None,
    };
    vec![match (answered, &site.holder) {
        (Some(Ok(status)), holder) => {
            let holder = holder.as_deref().unwrap_or("another process");
            match status.get("problem").and_then(|problem| problem.as_str()) {
                None => Found::good(WHAT, format!("runs: {holder}")),
                Some(problem) => Found::bad(
                    WHAT,
                    format!("runs ({holder}), and is not ready: {problem}"),
                    "its log says more; mend the cause and start it again",
                ),
            }
        }
        (Some(Err(error)), _) => Found::bad(
            WHAT,
            format!("it does not answer as it should: {error:#}"),
            "its log says more; start it again",
        ),
        (None, Some(holder)) => Found::note(
            WHAT,
            format!("the directory is held by {holder}, which does not answer on its socket"),
        ),
        (None, None) => Found::note(WHAT, "none runs on this directory"),
    }]
}
