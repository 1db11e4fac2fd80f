//! What happened, side by side, and how to reach what runs.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Running, Verified, play::Scene, story::Story};
use crate::output::{Outcome, printable, table};

/// What was said of a failure is cut to so many characters for the table.
const SAID_CHARS_MAX: usize = 72;

/// The whole play.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    title: String,
    steps: Vec<Line>,
    ledger: Verified,
    /// Attacks that landed without protection.
    landed: usize,
    /// Of those, the ones that protection stopped.
    stopped: usize,
    honest: usize,
    /// Honest steps that were answered under protection.
    answered: usize,
    passed: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    attack: bool,
    without: Scene,
    with: Scene,
}

impl Report {
    pub(super) fn new(
        story: &Story,
        without: Vec<Scene>,
        with: Vec<Scene>,
        ledger: Verified,
    ) -> Self {
        let scenes = story.steps.iter().zip(without.into_iter().zip(with));
        let steps: Vec<Line> = scenes
            .map(|(step, (without, with))| Line {
                name: step.name.clone(),
                attack: step.harm.is_some(),
                without,
                with,
            })
            .collect();
        let landed = steps.iter().filter(|line| line.attack && line.without.harm.is_some());
        let stopped = landed.clone().filter(|line| line.with.harm.is_none()).count();
        let landed = landed.count();
        // Harm that only protection brought would be the worst of all.
        let brought = steps
            .iter()
            .any(|line| line.attack && line.without.harm.is_none() && line.with.harm.is_some());
        let honest = steps.iter().filter(|line| !line.attack).count();
        let answered =
            steps.iter().filter(|line| !line.attack && line.with.missing.is_none()).count();
        // Where nothing landed, nothing was shown.
        let passed =
            landed > 0 && stopped == landed && !brought && answered == honest && ledger.intact;
        Self {
            title: story.title.clone(),
            steps,
            ledger,
            landed,
            stopped,
            honest,
            answered,
            passed,
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        if self.passed { Outcome::Clean } else { Outcome::Findings }
    }

    pub(super) fn to_text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .steps
            .iter()
            .map(|line| vec![line.name.clone(), line.without(), line.with()])
            .collect();
        let attacks = self.steps.iter().filter(|line| line.attack).count();
        let harmless = attacks - self.landed;
        let note = if self.landed == 0 {
            "; no attack landed even without it, so nothing was shown".to_owned()
        } else if harmless > 0 {
            format!(" ({harmless} did not land even without)")
        } else {
            String::new()
        };
        format!(
            "{}\n\n{}\n{} of {} attacks that landed without protection were stopped with it{note}; {} of {} honest steps were answered.\n{}\n",
            printable(&self.title),
            table(&["what happens", "without bartizan", "with bartizan"], &rows),
            self.stopped,
            self.landed,
            self.answered,
            self.honest,
            self.ledger.summary,
        )
    }
}

impl Line {
    fn without(&self) -> String {
        match (&self.without.harm, &self.without.missing) {
            (Some(harm), _) => format!("HARM: {harm}"),
            (None, Some(missing)) => format!("not answered: {}", said(missing)),
            (None, None) if self.attack => "the attack did not land".to_owned(),
            (None, None) => "answered".to_owned(),
        }
    }

    fn with(&self) -> String {
        match (&self.with.harm, &self.with.missing, &self.with.failure) {
            (Some(harm), ..) => format!("HARM: {harm}"),
            (None, Some(missing), _) => format!("not answered: {}", said(missing)),
            (None, None, _) if !self.attack => "answered".to_owned(),
            (None, None, Some(failure)) => format!("stopped: {}", said(failure)),
            (None, None, None) => "no harm: answered without it".to_owned(),
        }
    }
}

fn said(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(SAID_CHARS_MAX) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or(&text)),
        None => text,
    }
}

/// How to reach what stays up.
pub(super) fn reach(
    running: &Running,
    model: &str,
    open: SocketAddr,
    closed: SocketAddr,
) -> String {
    let mut lines = vec![
        String::new(),
        "It stays up until Ctrl-C:".to_owned(),
        format!(
            "  the application without protection: curl -d '{{\"say\": \"When do you open?\"}}' http://{open}/ask"
        ),
        format!(
            "  the same behind the gateway:        curl -d '{{\"say\": \"When do you open?\"}}' http://{closed}/ask"
        ),
        format!(
            "  the gateway for an SDK of yours:    base URL {}, key {}, model {model}",
            running.base_url, running.key
        ),
    ];
    lines.extend(running.hints.iter().map(|hint| format!("  {hint}")));
    lines.join("\n") + "\n"
}
