//! What an inspection found, and what it covered.

use bartizan_core::{Finding, Mode, Verdict};
use serde::Serialize;

use crate::carrier::Unseen;

/// A finding, and what it counts for here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    pub code: String,
    pub mode: Mode,
    /// What it does: nothing in mode `monitor`.
    pub action: Verdict,
    /// What it does, or would do in mode `enforce`.
    pub would: Verdict,
    pub finding: Finding,
}

/// What was inspected, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    pub texts: usize,
    pub bytes_seen: usize,
    /// Readings of the texts beyond the plain one.
    pub views: usize,
    /// Parts that hold no text.
    pub unseen: Vec<Unseen>,
    /// Texts that were not inspected in full, and why.
    pub not_fully_inspected: Vec<String>,
}

/// The outcome of an inspection.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    pub findings: Vec<Judged>,
    /// Places that were rewritten.
    pub redactions: usize,
    pub coverage: Coverage,
}

impl Report {
    /// Adds another report: the strictest verdict, all findings.
    pub fn merge(&mut self, other: Self) {
        self.verdict = self.verdict.max(other.verdict);
        self.findings.extend(other.findings);
        self.redactions += other.redactions;
        self.coverage.texts += other.coverage.texts;
        self.coverage.bytes_seen += other.coverage.bytes_seen;
        self.coverage.views += other.coverage.views;
        self.coverage.unseen.extend(other.coverage.unseen);
        self.coverage.not_fully_inspected.extend(other.coverage.not_fully_inspected);
    }
}
