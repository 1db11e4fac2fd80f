//! The list of pages, in the order of the navigation. A new one is a file and a line.

use super::{
    Page, account, alerts, approvals, assets, controls, conversations, detection, filters,
    findings, health, help, inbox, incidents, keys, ledger, overview, people, playbooks,
    playground, preferences, programme, redteam, refusals, rules, search, settings, traffic,
    vulnerabilities,
};

// A line a page, with the paths below it.
#[rustfmt::skip]
pub(crate) static ALL: &[&Page] = &[
    &overview::PAGE,
    &traffic::PAGE, &traffic::EVENTS, &traffic::ONE,
    &refusals::PAGE,
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
    &people::PAGE, &people::ONE, &people::INVITE, &people::ROLE, &people::DISABLE, &people::ENABLE, &people::RECOVER, &people::END,
    &settings::PAGE,
    &health::PAGE,
    &search::PAGE,
    &help::PAGE,
    &account::PAGE, &account::PASSWORD, &account::DROP_FACTOR, &account::RECOVERY, &account::END, &account::END_OTHERS, &account::TOKENS, &account::REVOKE,
    &preferences::PAGE,
    &filters::SAVE, &filters::DELETE,
];
