//! Made-up decisions and findings, to measure by: of the very form that requests leave, the
//! same for the same seed, and nothing in them that anyone ever wrote.

use std::f64::consts::TAU;

use bartizan_core::{
    Confidence, Cx, Entropy, Evidence, Example, Finding, Id, Mode, Span, Tenant, Timestamp,
    Verdict, sim::SeededEntropy,
};
use bartizan_guard::{Judged, Rule, rules};
use bartizan_store::{Class, Store};
use serde_json::{Map, Value, json};

use crate::{
    Error,
    decisions::{self, DECISION, FINDING, FindingText, Judgement, Outcome, Subject, finding_meta},
    keys::{Keys, NewKey},
};

/// How much to make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub decisions: u64,
    pub findings: u64,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// A record to be put at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeUp {
    pub class: &'static Class,
    pub id: Id,
    pub time: Timestamp,
    pub meta: Map<String, Value>,
    pub sealed: Value,
}

const KEYS: usize = 40;
/// People behind the applications.
const END_USERS: usize = 2000;
const ROUTES: [&str; 8] =
    ["chat", "support", "search", "code", "summaries", "translate", "voice", "batch"];
/// Protocol and model, which a route uses most of the time.
const MODELS: [(&str, &str); 12] = [
    ("openai-chat", "gpt-4o-mini"),
    ("openai-chat", "gpt-4o"),
    ("openai-responses", "gpt-4.1"),
    ("anthropic-messages", "claude-sonnet-4"),
    ("anthropic-messages", "claude-haiku-4"),
    ("openai-chat", "llama-3.3-70b"),
    ("openai-chat", "mistral-small"),
    ("openai-responses", "o4-mini"),
    ("openai-embeddings", "text-embedding-3-large"),
    ("openai-chat", "qwen-2.5-coder"),
    ("openai-completions", "davinci-002"),
    ("openai-chat", "phi-4"),
];
const ASKED: [&str; 8] = [
    "How do I reset the password of my account?",
    "Summarize the minutes of the meeting in five points.",
    "Translate this paragraph into French, and keep the tone.",
    "Why does my function return nothing when the list is empty?",
    "Which of the two contracts ends first, and what does it cost to leave?",
    "Write a reply to the customer who asks where the parcel is.",
    "Explain to a child how a lighthouse works.",
    "Find the three largest expenses of the quarter in this table.",
];
const ANSWERED: [&str; 4] = [
    "Here is what I found, in the order in which you asked for it.",
    "You can do it in the settings, under the name of your account.",
    "The second one ends first; it may be left with notice of a month.",
    "It turns, so that ships see a flash and then the dark, and know where they are.",
];
/// How far the traffic of the night lies below the day's.
const SWING: f64 = 0.8;
const DAY_MS: f64 = 86_400_000.0;

/// Makes keys for the made-up applications, all of them expired; their ids.
///
/// # Errors
/// When the store fails.
pub async fn keys(store: &Store, tenant: &Tenant, cx: &Cx) -> Result<Vec<Id>, Error> {
    let keys = Keys::new(store.clone(), cx.clone());
    let mut ids = Vec::with_capacity(KEYS);
    for number in 1..=KEYS {
        let name = format!("made-up-{number:02}");
        let expires_at = Some(Timestamp::from_millis(0));
        let new = NewKey { name, expires_at, ..NewKey::default() };
        ids.push(keys.create(tenant, new).await?.0.id);
    }
    Ok(ids)
}

/// Makes up what a plan says, in the order of time: each decision, then its findings.
#[derive(Debug)]
pub struct Maker {
    plan: Plan,
    keys: Vec<Id>,
    random: SeededEntropy,
    done: u64,
    found: u64,
}

impl Maker {
    pub fn new(plan: Plan, keys: Vec<Id>) -> Self {
        Self { plan, keys, random: SeededEntropy::new(plan.seed), done: 0, found: 0 }
    }

    /// The next decision with its findings.
    fn make(&mut self) -> Vec<MadeUp> {
        let time = self.time();
        let rules = self.rules();
        let id = self.id(time);
        let (protocol, model) = self.pick(&MODELS);
        let subject = Subject {
            id,
            time,
            tenant_tag: String::new(),
            key: self.keys.get(self.zipf(self.keys.len())).copied().unwrap_or(id),
            route: self.pick(&ROUTES).to_owned(),
            model: model.to_owned(),
            protocol,
            end_user: (self.random.below(4) > 0)
                .then(|| digest("end-user", self.random.below(END_USERS))),
            prompt: String::new(),
        };
        let asked = self.pick(&ASKED);
        let asked = format!("{asked} ({})", self.random.below(1_000_000));
        let judged: Vec<(Judged, String)> =
            rules.iter().map(|rule| self.judged(rule, time, &asked)).collect();
        self.records(&subject, &asked, &judged)
    }

    fn records(&self, subject: &Subject, asked: &str, judged: &[(Judged, String)]) -> Vec<MadeUp> {
        let mut codes: Vec<String> = judged.iter().map(|(judged, _)| judged.code.clone()).collect();
        codes.sort_unstable();
        codes.dedup();
        let verdict = judged.iter().map(|(judged, _)| judged.action).max();
        let verdict = verdict.unwrap_or(Verdict::Allow);
        let input = Judgement {
            verdict,
            rules: codes,
            findings: judged.len(),
            unseen: 0,
            not_fully_inspected: 0,
        };
        let refused = verdict >= Verdict::Hold;
        let status = match (refused, self.random.below(100)) {
            (true, _) => 403,
            (false, 0) => 502,
            (false, 1 | 2) => 429,
            _ => 200,
        };
        let answer = self.pick(&ANSWERED);
        let outcome = Outcome {
            status,
            cut: (status == 200 && self.random.below(200) == 0).then_some("client_gone"),
            target: (!refused).then(|| "primary".to_owned()),
            judgement: (status == 200).then(|| Judgement {
                verdict: Verdict::Allow,
                rules: Vec::new(),
                findings: 0,
                ..input.clone()
            }),
            output: None,
            tokens_in: self.skewed(4000),
            tokens_out: if status == 200 { self.skewed(1500) } else { 0 },
        };
        let took_ms =
            if refused { self.skewed(20) } else { 80_u64.saturating_add(self.skewed(6000)) };
        let text = judged.first().map_or(asked, |(_, text)| text);
        let body = json!({
            "model": subject.model,
            "messages": [
                {"role": "system", "content": "You help the people who write to us. Be brief."},
                {"role": "user", "content": text},
            ],
        });
        let delivered = if status == 200 { answer } else { "" };
        let mut records = vec![MadeUp {
            class: &DECISION,
            id: subject.id,
            time: subject.time,
            meta: decisions::meta(subject, &input, &outcome, None, took_ms),
            sealed: json!({"request": body, "delivered": delivered}),
        }];
        records.extend(judged.iter().map(|(judged, _)| {
            let evidence = judged.finding.evidence.clone();
            MadeUp {
                class: &FINDING,
                id: judged.finding.id,
                time: subject.time,
                meta: finding_meta(subject, judged, "in"),
                sealed: json!(FindingText { evidence, notes: Vec::new() }),
            }
        }));
        records
    }

    /// Spread over the days as people work: more by day than by night.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a millisecond more or less is none"
    )]
    fn time(&self) -> Timestamp {
        let (since, until) = (self.plan.since.millis(), self.plan.until.millis());
        let length = until.saturating_sub(since).max(1) as f64;
        let days = (length / DAY_MS).max(1.0);
        let part = (self.done as f64 + 0.5) / self.plan.decisions.max(1) as f64;
        let part = part + SWING / (TAU * days) * (TAU * days * part).sin();
        let offset = (length * part.clamp(0.0, 1.0)) as i64;
        Timestamp::from_millis(since.saturating_add(offset).min(until.saturating_sub(1)))
    }

    /// As many as are due, so that all findings are given with the last decision; some
    /// requests have several.
    fn rules(&mut self) -> Vec<&'static Rule> {
        self.done = self.done.saturating_add(1);
        let (done, all) = (u128::from(self.done), u128::from(self.plan.decisions.max(1)));
        let due = u128::from(self.plan.findings) * done / all;
        let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(self.found);
        let wanted = u64::try_from(1 + self.random.below(3)).unwrap_or(1);
        if due < wanted && self.done < self.plan.decisions {
            return Vec::new();
        }
        self.found = self.found.saturating_add(due);
        (0..due).filter_map(|_| rules::ALL.get(self.zipf(rules::ALL.len())).copied()).collect()
    }

    /// A finding of a rule, in one of the rule's own examples; and the text that holds it.
    fn judged(&self, rule: &Rule, time: Timestamp, asked: &str) -> (Judged, String) {
        let hit = |example: &Example| match example {
            Example::Hit(text) => Some(*text),
            Example::Miss(_) => None,
        };
        let hit = rule.meta.examples.iter().find_map(hit).unwrap_or(rule.meta.name);
        let text = format!("{asked} {hit}");
        let start = asked.len().saturating_add(1);
        let evidence = Evidence {
            location: "/messages/1/content".to_owned(),
            span: Span::new(start, text.len()),
            view: "plain".to_owned(),
            excerpt: Some(hit.to_owned()),
            decoded: None,
        };
        let confidence =
            Confidence::percent(u8::try_from(60 + self.random.below(40)).unwrap_or(60));
        let finding = Finding::of(&rule.meta, self.id(time), confidence, vec![evidence]);
        let watched = self.random.below(10) == 0;
        let judged = Judged {
            code: finding.code.clone(),
            mode: if watched { Mode::Monitor } else { Mode::Enforce },
            action: if watched { Verdict::Allow } else { rule.action },
            would: rule.action,
            finding,
        };
        (judged, text)
    }

    /// An id as if it had been made at this time.
    fn id(&self, time: Timestamp) -> Id {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        let millis = u64::try_from(time.millis()).unwrap_or(0).to_be_bytes();
        for (byte, from) in bytes.iter_mut().zip(millis.iter().skip(2)) {
            *byte = *from;
        }
        // Version 7 and variant 2 (RFC 9562).
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Id::from_bytes(bytes)
    }

    /// One of these, the first ones more often.
    fn pick<T: Copy + Default>(&self, from: &[T]) -> T {
        from.get(self.zipf(from.len())).copied().unwrap_or_default()
    }

    /// A place below `count`, the first ones more often.
    fn zipf(&self, count: usize) -> usize {
        let (a, b) = (self.random.below(count), self.random.below(count));
        a.min(b).min(self.random.below(count))
    }

    /// A number below `max`, the small ones more often.
    fn skewed(&self, max: usize) -> u64 {
        let most = 1 + self.random.below(max);
        u64::try_from(1 + self.random.below(most)).unwrap_or(1)
    }
}

impl Iterator for Maker {
    type Item = Vec<MadeUp>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.done < self.plan.decisions).then(|| self.make())
    }
}

/// Of the form that a keyed digest has.
fn digest(label: &str, number: usize) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, format!("{label}{number}").as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hmac-sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(decisions: u64, findings: u64) -> Plan {
        let (since, until) =
            (Timestamp::from_millis(1_000_000), Timestamp::from_millis(900_000_000));
        Plan { seed: 3, decisions, findings, since, until }
    }

    #[test]
    fn a_plan_is_kept_to_the_last_finding_and_the_same_seed_makes_the_same() {
        for (decisions, findings) in [(1000, 100), (1000, 0), (10, 35), (1, 1)] {
            let plan = plan(decisions, findings);
            let made: Vec<MadeUp> = Maker::new(plan, Vec::new()).flatten().collect();
            let of = |class: &Class| made.iter().filter(|made| made.class == class).count() as u64;
            assert_eq!((of(&DECISION), of(&FINDING)), (decisions, findings));
            assert!(made.iter().all(|made| (plan.since..plan.until).contains(&made.time)));
            assert!(made.windows(2).all(|pair| pair[0].time <= pair[1].time));
            let again: Vec<MadeUp> = Maker::new(plan, Vec::new()).flatten().collect();
            assert_eq!(made, again);
            let other = Maker::new(Plan { seed: 4, ..plan }, Vec::new());
            assert_ne!(made, other.flatten().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_found_is_where_the_evidence_says() {
        for made in Maker::new(plan(300, 300), Vec::new()).collect::<Vec<_>>() {
            let text =
                made[0].sealed["request"]["messages"][1]["content"].as_str().expect("a text");
            let Some(finding) = made.get(1) else { continue };
            let text_of = FindingText::of(Some(&finding.sealed)).expect("read");
            let evidence = &text_of.evidence[0];
            assert_eq!(evidence.span.of(text), evidence.excerpt.as_deref());
            assert_eq!(finding.meta["request"], made[0].id.to_string());
        }
    }
}
