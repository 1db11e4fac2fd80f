//! Public IPv4 addresses: they point at a person's line.
//!
//! Source: RFC 791; RFC 6890 for those that are special.

use std::{net::Ipv4Addr, sync::LazyLock};

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

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| regex(r"\b\d{1,3}(?:\.\d{1,3}){3,}\b"));

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    each(&ADDRESS, look.text, 70, hits, |seen| {
        seen.parse::<Ipv4Addr>().is_ok_and(|ip| {
            let special = ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_multicast();
            // Small first numbers are versions more often than addresses.
            !special && ip.octets().first().is_some_and(|first| *first > 4)
        })
    });
}
