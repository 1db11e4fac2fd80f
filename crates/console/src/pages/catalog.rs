//! The list of pages, in the order of the navigation. A new one is a file and a line.

use super::{
    Page, alerts, approvals, assets, controls, conversations, detection, findings, health, help,
    inbox, incidents, keys, ledger, overview, playbooks, playground, preferences, programme,
    redteam, rules, search, settings, traffic, vulnerabilities,
};

// A line a page, with the paths below it.
#[rustfmt::skip]
pub(crate) static ALL: &[&Page] = &[
    &overview::PAGE,
    &traffic::PAGE, &traffic::EVENTS, &traffic::ONE,
    &findings::PAGE, &findings::ONE, &findings::TRIAGE, &findings::UNDO,
    &approvals::PAGE, &approvals::DECIDE,
    &conversations::PAGE,
    &inbox::PAGE,
    &keys::PAGE, &keys::ONE, &keys::CREATE, &keys::REVOKE, &keys::ROTATE, &keys::TEST,
    &rules::PAGE, &rules::ONE,
    &assets::PAGE,
    &playground::PAGE,
    &alerts::PAGE,
    &incidents::PAGE,
    &playbooks::PAGE,
    &detection::PAGE,
    &vulnerabilities::PAGE,
    &redteam::PAGE,
    &ledger::PAGE, &ledger::ONE, &ledger::PROOF, &ledger::CHECKPOINT, &ledger::ENTRIES, &ledger::CONSISTENCY,
    &controls::PAGE,
    &programme::PAGE,
    &settings::PAGE,
    &health::PAGE,
    &search::PAGE,
    &help::PAGE,
    &preferences::PAGE,
];
