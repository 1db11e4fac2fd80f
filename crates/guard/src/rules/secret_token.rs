//! Keys and tokens of services, each by its own form: see `formats.rs`.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};

use super::{
    ALL_CHANNELS,
    formats::{self, FORMATS, Format},
};
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD020",
        name: "secret-token",
        refs: &["owasp-llm@2025/LLM02", "atlas@5.6/AML.T0055"],
        severity: Severity::Critical,
        since: "0.1",
        help: "the token was taken out; have it revoked, since it was seen where it does not belong",
        examples: &[
            // Complete tokens are made by the tests; this one is a web token of RFC 7519, section 3.1.
            hit(
                "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            ),
            miss("An example key looks like AKIAIOSFODNN7EXAMPLE."),
            miss("sk-learn is a library, and ghp_ the beginning of a token."),
            miss("eyJhbGciOiJub25lIn0"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: true,
    inspect,
};

/// The prefixes of all formats, and whose each is.
static PREFIXES: LazyLock<(AhoCorasick, Vec<&'static Format>)> = LazyLock::new(|| {
    let all = FORMATS.iter();
    let pairs = all.flat_map(|format| format.prefixes.iter().map(move |prefix| (prefix, format)));
    let (prefixes, formats): (Vec<&str>, Vec<&Format>) = pairs.unzip();
    let automaton = AhoCorasickBuilder::new()
        .kind(Some(AhoCorasickKind::DFA))
        .build(prefixes)
        .expect("INVARIANT: a few short words make an automaton");
    (automaton, formats)
});

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    let (automaton, formats) = &*PREFIXES;
    for prefix in automaton.find_overlapping_iter(look.text) {
        let Some(format) = formats.get(prefix.pattern().as_usize()) else { continue };
        if hits.len() < HITS_MAX
            && let Some(end) = format.token(look.text, prefix.start(), prefix.end())
        {
            hits.push(Hit {
                span: Span::new(prefix.start(), end),
                confidence: Confidence::percent(95),
            });
        }
    }
    formats::web_tokens(look.text, hits);
    formats::shaped(look.text, hits);
    hits.sort_by_key(|hit| (hit.span.start, usize::MAX - hit.span.end));
    hits.dedup_by(|next, last| next.span.start < last.span.end);
}

#[cfg(test)]
mod tests {
    use super::{super::formats::SHAPES, *};
    use crate::{Channel, Context};

    fn found(text: &str) -> Vec<String> {
        let context = Context::default();
        let mut hits = Vec::new();
        inspect(
            &Look { text, channel: Channel::User, view: "plain", context: &context },
            &mut hits,
        );
        hits.iter().filter_map(|hit| hit.span.of(text)).map(str::to_owned).collect()
    }

    #[test]
    fn each_format_is_found_and_its_near_misses_are_not() {
        let random = bartizan_core::sim::SeededEntropy::new(5);
        for format in FORMATS {
            for _ in 0..2 {
                let token = format.sample(&random);
                assert_eq!(
                    found(&format!("the key is {token}, keep it")),
                    [token.as_str()],
                    "{}",
                    format.name
                );
                assert_eq!(found(&format!("\"{token}\"")), [token.as_str()], "{}", format.name);
            }
            let token = format.sample(&random);
            let short = format.cut(&token);
            assert!(
                found(&format!("the key is {short}, keep it")).is_empty(),
                "{}: cut short",
                format.name
            );
            let dull = format.dull();
            assert!(
                found(&format!("the key is {dull}, keep it")).is_empty(),
                "{}: {dull}",
                format.name
            );
            assert!(format.source.starts_with("https://"), "{}", format.name);
        }
        assert!(FORMATS.len() + SHAPES.len() >= 80, "{} formats", FORMATS.len());
    }

    #[test]
    fn each_shape_is_found_and_its_near_misses_are_not() {
        let random = bartizan_core::sim::SeededEntropy::new(6);
        for shape in SHAPES {
            for _ in 0..2 {
                let (before, token) = shape.sample(&random);
                assert_eq!(
                    found(&format!("it is {before}{token} here")),
                    [token.as_str()],
                    "{}",
                    shape.name
                );
                let text = format!("\"{before}{token}\"");
                assert_eq!(found(&text), [token.as_str()], "{}", shape.name);
            }
            let (before, token) = shape.sample(&random);
            let cut: String = token.chars().skip(5).collect();
            assert!(
                found(&format!("it is {before}{cut} here")).is_empty(),
                "{}: {cut}",
                shape.name
            );
            let dull: String =
                token.chars().map(|c| if c.is_ascii_alphanumeric() { 'a' } else { c }).collect();
            assert!(
                found(&format!("it is {before}{dull} here")).is_empty(),
                "{}: {dull}",
                shape.name
            );
            assert!(shape.source.starts_with("https://"), "{}", shape.name);
        }
    }

    #[test]
    fn a_web_token_is_one_before_it_is_complete() {
        let Some(bartizan_core::Example::Hit(token)) = RULE.meta.examples.first() else {
            panic!("the first example is a token")
        };
        let whole = format!("the token {token}");
        let payload = token.find('.').expect("three parts") + 12;
        for end in payload..token.len() {
            let (seen, cut) = (whole.get(..10 + end), token.get(..end).expect("ASCII"));
            assert_eq!(found(seen.expect("ASCII")), [cut], "cut at {end}");
        }
        let unsigned = token.get(..payload).expect("ASCII");
        let text = format!("{unsigned} and then no signature");
        assert!(found(&text).is_empty());
    }

    #[test]
    fn names_are_unique() {
        let names = FORMATS.iter().map(|f| f.name).chain(SHAPES.iter().map(|s| s.name));
        let unique: std::collections::BTreeSet<&str> = names.collect();
        assert_eq!(unique.len(), FORMATS.len() + SHAPES.len());
    }
}
