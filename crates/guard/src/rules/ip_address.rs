//! Public IP addresses: they point at a person's line.
//!
//! Source: RFC 791, RFC 4291; RFC 6890 for those that are special.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use bartizan_core::{Meta, Severity, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, each, regex};
use crate::{Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD036",
        name: "ip-address",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::Low,
        since: "0.1",
        help: "set the rule to redact where addresses must not reach the model",
        examples: &[
            hit("He logged in from 81.2.69.142 yesterday."),
            hit("blocked: 8.8.4.4"),
            hit("from 2a00:1450:4001:81b::200e at noon"),
            miss("2001:db8::1 is for documentation"),
            miss("at 23:59:59 the clock stopped"),
            miss("std::collections::hash_map and fe80::1"),
            miss("listen on 127.0.0.1"),
            miss("10.0.0.1 and 192.168.1.1"),
            miss("version 1.2.3.4.5"),
            miss("256.1.1.1"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Annotate,
    channels: ALL_CHANNELS,
    views: false,
    inspect,
};

static FOUR: LazyLock<Regex> = LazyLock::new(|| regex(r"\b\d{1,3}(?:\.\d{1,3}){3,}\b"));
/// Three groups and more: times of day and paths in code are no addresses.
static SIX: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)\b[23][0-9a-f]{3}(?:::?[0-9a-f]{1,4}){2,7}(?:::)?"));

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if !look.text.bytes().any(|b| b.is_ascii_digit()) {
        return;
    }
    each(&FOUR, look.text, 70, hits, |seen| seen.parse().is_ok_and(is_public));
    if look.text.contains(':') {
        each(&SIX, look.text, 70, hits, |seen| {
            // Only 2000::/3 is given out; 2001:db8::/32 stands in documentation.
            seen.parse::<Ipv6Addr>().is_ok_and(|ip| !matches!(ip.segments(), [0x2001, 0xdb8, ..]))
        });
        hits.sort_by_key(|hit| hit.span);
    }
}

fn is_public(ip: Ipv4Addr) -> bool {
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast();
    // Small first numbers are versions more often than addresses.
    !special && ip.octets().first().is_some_and(|first| *first > 4)
}
