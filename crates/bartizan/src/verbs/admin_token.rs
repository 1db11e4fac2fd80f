//! `bartizan admin-token`: another administrator token.

use super::{Call, cell};
use crate::output::Outcome;

pub(super) async fn run(call: &Call<'_>) -> anyhow::Result<Outcome> {
    let api = call.api("admin-token").await?;
    let made = api.post("/api/v1/admin-token", None).await;
    api.close().await?;
    call.out().one(&made?, |made| {
        format!("{}\nshown this once; the token before is void", cell(made, "/token"))
    })?;
    Ok(Outcome::Clean)
}
