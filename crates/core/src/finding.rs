//! A finding: something that is wrong, with its evidence and what to do about it.

use serde::{Deserialize, Serialize};

use crate::{Id, Meta, Reference};

/// How bad it is. The words are OCSF's `severity_id` 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// OCSF's `severity_id`.
    pub const fn ocsf_id(self) -> u8 {
        match self {
            Self::Informational => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::Critical => 5,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How sure we are, in percent: 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Confidence(u8);

impl Confidence {
    pub const CERTAIN: Self = Self(100);

    /// Percent; more than 100 counts as 100.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    pub const fn as_percent(self) -> u8 {
        self.0
    }
}

impl From<u8> for Confidence {
    fn from(percent: u8) -> Self {
        Self::percent(percent)
    }
}

impl From<Confidence> for u8 {
    fn from(confidence: Confidence) -> Self {
        confidence.0
    }
}

/// A half-open range of bytes `start..end` in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bytes of `text` that the span covers, where it covers whole characters.
    pub fn of(self, text: &str) -> Option<&str> {
        text.get(self.start..self.end)
    }
}

/// What was seen, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where in the thing inspected: a JSON pointer (RFC 6901), a file, a field.
    pub location: String,
    /// Which bytes there.
    pub span: Span,
    /// How the text was read when it was seen: `plain`, or the decodings, outermost first.
    pub view: String,
    /// What was seen. It may hold a secret or a person's data: it rests encrypted and is never logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What that was read as, where the view is not `plain`. It rests encrypted, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoded: Option<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub id: Id,
    /// The rule's code, such as `GD001`: unique, and never used for another rule.
    pub code: String,
    pub title: String,
    pub severity: Severity,
    pub confidence: Confidence,
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub remediation: String,
    pub references: Vec<Reference>,
}

impl Finding {
    /// A finding of the rule that `meta` describes.
    pub fn of(meta: &Meta, id: Id, confidence: Confidence, evidence: Vec<Evidence>) -> Self {
        Self {
            id,
            code: meta.code.to_owned(),
            title: meta.name.replace('-', " "),
            severity: meta.severity,
            confidence,
            evidence,
            remediation: meta.help.to_owned(),
            references: meta.refs.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }

    /// The same finding without what was seen: fit for metadata, logs and the ledger.
    pub fn without_excerpts(&self) -> Self {
        let mut finding = self.clone();
        for evidence in &mut finding.evidence {
            evidence.excerpt = None;
            evidence.decoded = None;
        }
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: Meta = Meta {
        code: "XX001",
        name: "an-example",
        refs: &["owasp-llm@2025/LLM01"],
        severity: Severity::High,
        since: "0.1",
        help: "look at it",
        examples: &[],
    };

    #[test]
    fn a_finding_has_this_form_on_the_wire() {
        let (cx, _) = crate::sim::cx(1);
        let evidence = Evidence {
            location: "/messages/0/content".into(),
            span: Span::new(0, 3),
            view: "base64".into(),
            excerpt: Some("abc".into()),
            decoded: Some("i\u{b7}".into()),
        };
        let finding = Finding::of(&META, Id::new(&cx), Confidence::percent(90), vec![evidence]);
        let wire = serde_json::to_value(finding.without_excerpts()).expect("serializes");
        let golden = serde_json::json!({
            "id": finding.id.to_string(), "code": "XX001", "title": "an example",
            "severity": "high", "confidence": 90,
            "evidence": [{"location": "/messages/0/content", "span": {"start": 0, "end": 3}, "view": "base64"}],
            "remediation": "look at it", "references": ["owasp-llm@2025/LLM01"],
        });
        assert_eq!(wire, golden);
        let back: Finding = serde_json::from_value(golden).expect("reads");
        assert_eq!(back, finding.without_excerpts());
    }
}
