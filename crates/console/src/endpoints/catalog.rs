//! The list of endpoints. A new one is a file, or a constant in one, and a line.

use super::{Endpoint, approvals, database, decisions, keys, ledger, status, token};

pub(crate) const ALL: &[&Endpoint] = &[
    &status::STATUS,
    &status::ROUTES,
    &keys::ALL,
    &keys::REVOKE,
    &keys::ROTATE,
    &approvals::ALL,
    &approvals::ONE,
    &approvals::DECIDE,
    &decisions::ALL,
    &decisions::ONE,
    &decisions::FINDINGS,
    &ledger::HEAD,
    &ledger::ALL,
    &ledger::PROOF,
    &ledger::CONSISTENCY,
    &ledger::COSIGN,
    &ledger::ROTATE,
    &database::WORK,
    &database::EXPORT,
    &token::RENEW,
];
