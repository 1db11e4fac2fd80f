//! Plays a story against an endpoint, step by step, and has each step judged.

use std::sync::{Arc, atomic::AtomicU64};

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::{
    app::{App, Endpoint, Talk},
    judge::{self, Traces},
    reached,
    story::{Step, Story},
};

/// Conversations of one step that go on at the same time.
const AT_ONCE: usize = 8;

/// A step that was played, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scene {
    /// The harm that was done, of an attack.
    pub(super) harm: Option<String>,
    /// What an honest step lacked.
    pub(super) missing: Option<String>,
    /// What the application said instead of an answer, first of all.
    pub(super) failure: Option<String>,
    pub(super) requests: u64,
}

/// Plays every step in order, in one world.
pub(super) async fn play(
    story: &Arc<Story>,
    endpoint: &Endpoint,
    count: &Arc<AtomicU64>,
) -> anyhow::Result<Vec<Scene>> {
    let app = App::new(story, endpoint.clone())?;
    let mut scenes = Vec::new();
    for (at, step) in story.steps.iter().enumerate() {
        scenes.push(scene(story, step, at, &app, count).await);
    }
    Ok(scenes)
}

async fn scene(story: &Story, step: &Step, at: usize, app: &App, count: &AtomicU64) -> Scene {
    let before = reached(count);
    let user = step.user(at);
    let talk = Talk { user: &user, turns: step.turns(), stream: step.stream };
    let talks = (0..step.times).map(|_| app.converse(talk));
    let seen: Vec<_> = stream::iter(talks).buffer_unordered(AT_ONCE).collect().await;
    let traces = Traces { seen, mails: app.take_mails(), requests: reached(count) - before };
    Scene {
        harm: step.harm.as_ref().and_then(|harm| judge::harm(story, harm, &traces)),
        missing: step.expect.as_ref().and_then(|expect| judge::missing(expect, &traces)),
        failure: traces.seen.iter().find_map(|seen| seen.failure.clone()),
        requests: traces.requests,
    }
}
