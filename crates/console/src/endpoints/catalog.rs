//! The list of endpoints. A new one is a file, or a constant in one, and a line.

use super::{Endpoint, approvals, decisions, keys, ledger, status, token};

pub(crate) const ALL: &[&Endpoint] = &[
    &keys::LIST,
    &keys::REVOKE,
    &keys::ROTATE,
    &status::ROUTES,
    &status::STATUS,
    &approvals::LIST,
    &approvals::DECIDE,
    &decisions::LIST,
    &decisions::ONE,
    &decisions::FINDINGS,
    &ledger::HEAD,
    &ledger::ENTRIES,
    &ledger::PROOF,
    &ledger::CONSISTENCY,
    &ledger::COSIGN,
    &ledger::ROTATE,
    &token::RENEW,
    &status::DATABASE,
];
