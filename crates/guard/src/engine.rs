//! Runs the rules over a text and its views, and judges what they found.

use bartizan_core::{Confidence, Cx, Evidence, Finding, Id, Mode, Span, Verdict};

use crate::{
    Carrier, Channel, Context, Held, Hit, Judged, Look, Profile, Report, Rule, Screened, Slot,
    TextStream,
    rule::HITS_MAX,
    rules,
    views::{self, View},
};

/// The longest excerpt that a finding keeps, in bytes.
const EXCERPT_BYTES_MAX: usize = 256;

/// The inspectors, ready to use.
#[derive(Clone, Debug)]
pub struct Guard {
    rules: &'static [&'static Rule],
}

/// What became of a thing that was inspected.
#[derive(Debug)]
pub enum Screening<T> {
    /// It may go on, rewritten where a rule redacts.
    Pass(Screened<T>, Report),
    /// It waits for a person.
    Held(Held<T>, Report),
    /// It stops here.
    Stopped(Report),
}

/// A hit of a rule in a text, in bytes of that text.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) rule: &'static Rule,
    pub(crate) span: Span,
    pub(crate) view: String,
    /// What the view shows there, where that is not the plain text.
    pub(crate) decoded: Option<String>,
    pub(crate) confidence: Confidence,
    pub(crate) mode: Mode,
    pub(crate) would: Verdict,
}

impl Match {
    pub(crate) fn action(&self) -> Verdict {
        if self.mode == Mode::Enforce { self.would } else { Verdict::Allow }
    }

    pub(crate) fn judge(&self, cx: &Cx, location: &str, text: &str, offset: usize) -> Judged {
        let excerpt = self
            .span
            .of(text)
            .map(|seen| bartizan_core::json::clip(seen, EXCERPT_BYTES_MAX).to_owned());
        let evidence = Evidence {
            location: location.to_owned(),
            span: Span::new(self.span.start + offset, self.span.end + offset),
            view: self.view.clone(),
            excerpt,
            decoded: self.decoded.clone(),
        };
        Judged {
            code: self.rule.meta.code.to_owned(),
            mode: self.mode,
            action: self.action(),
            would: self.would,
            finding: Finding::of(&self.rule.meta, Id::new(cx), self.confidence, vec![evidence]),
        }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Guard {
    /// The shipped rules. Their automata are built here, not at the first request.
    pub fn new() -> Self {
        let guard = Self { rules: rules::ALL };
        let (context, profile) = (Context::default(), Profile::default());
        for channel in [Channel::User, Channel::Content, Channel::Output] {
            let _warm = guard.matches(&profile, &context, channel, "warm up: a@b.c");
        }
        guard
    }

    /// The rules, as the catalogue lists them.
    pub fn rules(&self) -> &'static [&'static Rule] {
        self.rules
    }

    /// Inspects every text of a thing, rewrites what is to be redacted, and decides.
    pub fn screen<T: Carrier>(
        &self,
        cx: &Cx,
        profile: &Profile,
        context: &Context,
        mut item: T,
    ) -> Screening<T> {
        let mut report = Report::default();
        item.visit(&mut |slot, text| {
            let one = self.rewrite(cx, profile, context, slot, text);
            report.merge(one);
        });
        report.coverage.unseen = item.unseen();
        match report.verdict {
            Verdict::Block => Screening::Stopped(report),
            Verdict::Hold => Screening::Held(Held::new(item), report),
            _ => Screening::Pass(Screened::new(item), report),
        }
    }

    /// Inspects one text and changes nothing.
    pub fn inspect(
        &self,
        cx: &Cx,
        profile: &Profile,
        context: &Context,
        channel: Channel,
        text: &str,
    ) -> Report {
        let slot = Slot { channel, location: String::new() };
        self.rewrite(cx, profile, context, &slot, &mut text.to_owned())
    }

    /// A stream of text that comes in pieces.
    pub fn stream(
        &self,
        profile: &Profile,
        context: std::sync::Arc<Context>,
        channel: Channel,
        location: &str,
    ) -> TextStream {
        TextStream::new(self.clone(), profile.clone(), context, channel, location)
    }

    fn rewrite(
        &self,
        cx: &Cx,
        profile: &Profile,
        context: &Context,
        slot: &Slot,
        text: &mut String,
    ) -> Report {
        let mut report = Report::default();
        report.coverage.texts = 1;
        let seen = bartizan_core::json::clip(text, profile.text_bytes_max);
        if seen.len() < text.len() {
            report.incomplete(
                profile,
                format!("{}: longer than {} bytes", slot.location, profile.text_bytes_max),
            );
        }
        let found = self.matches(profile, context, slot.channel, seen);
        report.coverage.bytes_seen = seen.len();
        report.coverage.views = found.views;
        if found.over_budget {
            report.incomplete(
                profile,
                format!("{}: too many encodings within one another", slot.location),
            );
        }
        if found.crowded {
            report.incomplete(
                profile,
                format!("{}: a rule matched {HITS_MAX} times and more", slot.location),
            );
        }
        for one in &found.matches {
            report.add(one.judge(cx, &slot.location, text, 0));
        }
        let spans = redactions(&found.matches);
        if !spans.is_empty() {
            report.redactions = spans.len();
            *text = redact(text, 0, &spans);
        }
        report
    }

    /// Every match of every rule that speaks in this channel, in order.
    pub(crate) fn matches(
        &self,
        profile: &Profile,
        context: &Context,
        channel: Channel,
        text: &str,
    ) -> Found {
        let (decoded, over_budget) = views::of(text);
        let mut found =
            Found { matches: Vec::new(), views: decoded.len(), over_budget, crowded: false };
        for rule in self.rules {
            let setting = profile.setting(rule);
            if setting.mode == Mode::Off || !rule.channels.contains(&channel) {
                continue;
            }
            let mut seen: Vec<Match> = Vec::new();
            let mut take = |hits: Vec<Hit>, view: Option<&View>| {
                found.crowded |= hits.len() >= HITS_MAX;
                for hit in hits.into_iter().take(HITS_MAX) {
                    let span = view.map_or(hit.span, |view| view.origin(hit.span));
                    // What the plain text shows already needs no second finding.
                    if seen.iter().any(|m| m.span.start < span.end && span.start < m.span.end) {
                        continue;
                    }
                    let decoded = view.and_then(|view| hit.span.of(&view.text));
                    let decoded = decoded
                        .map(|text| bartizan_core::json::clip(text, EXCERPT_BYTES_MAX).to_owned());
                    let view = view.map_or("plain", |view| view.name.as_str()).to_owned();
                    seen.push(Match {
                        rule,
                        span,
                        view,
                        decoded,
                        confidence: hit.confidence,
                        mode: setting.mode,
                        would: setting.action,
                    });
                }
            };
            take(look(rule, text, channel, "plain", context), None);
            if rule.views {
                for view in &decoded {
                    take(look(rule, &view.text, channel, &view.name, context), Some(view));
                }
            }
            found.matches.append(&mut seen);
        }
        found.matches.sort_by_key(|m| (m.span.start, m.span.end, m.rule.meta.code));
        found
    }
}

fn look(rule: &Rule, text: &str, channel: Channel, view: &str, context: &Context) -> Vec<Hit> {
    let mut hits = Vec::new();
    (rule.inspect)(&Look { text, channel, view, context }, &mut hits);
    hits
}

/// What the rules found in one text.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) matches: Vec<Match>,
    pub(crate) views: usize,
    pub(crate) over_budget: bool,
    /// Whether some rule stopped counting.
    pub(crate) crowded: bool,
}

impl Report {
    pub(crate) fn add(&mut self, judged: Judged) {
        self.verdict = self.verdict.max(judged.action);
        self.findings.push(judged);
    }

    pub(crate) fn incomplete(&mut self, profile: &Profile, what: String) {
        self.coverage.not_fully_inspected.push(what);
        self.verdict = self.verdict.max(profile.not_fully_inspected);
    }
}

/// A span to redact, and the name of the rule that does.
pub(crate) type Redaction = (Span, &'static str);

/// The spans to redact, in order, those that overlap or touch merged into one.
pub(crate) fn redactions(matches: &[Match]) -> Vec<Redaction> {
    let mut merged: Vec<Redaction> = Vec::new();
    for one in matches.iter().filter(|m| m.action() == Verdict::Redact && !m.span.is_empty()) {
        match merged.last_mut() {
            Some((last, _)) if one.span.start < last.end => last.end = last.end.max(one.span.end),
            _ => merged.push((one.span, one.rule.meta.name)),
        }
    }
    merged
}

/// The text with each span replaced; `offset` is where the text begins in the spans' terms.
pub(crate) fn redact(text: &str, offset: usize, spans: &[Redaction]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, name) in spans {
        let (start, end) = (span.start.saturating_sub(offset), span.end.saturating_sub(offset));
        out.push_str(text.get(at..start).unwrap_or_default());
        out.push_str("[REDACTED:");
        out.push_str(name);
        out.push(']');
        at = end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}
