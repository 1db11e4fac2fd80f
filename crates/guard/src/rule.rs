//! What a rule is, and what it may see: one file under `rules/` each.

use bartizan_core::{Confidence, Meta, Span, Verdict};

/// Whose words a text is, as far as the protocol says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The application's own instructions.
    System,
    /// The person who uses the application.
    #[serde(alias = "user_input")]
    User,
    /// Retrieved text, files, anything quoted: data, never instructions.
    #[serde(alias = "memory")]
    Content,
    /// What a tool returned.
    #[serde(alias = "tool_output")]
    ToolResult,
    /// How a tool describes itself.
    ToolDescription,
    /// Arguments of a tool call, in a request's history or in an answer.
    ToolCall,
    /// The model's words in a request's history.
    Assistant,
    /// The model's answer, on its way out.
    Output,
    /// The model's reasoning, on its way out.
    Reasoning,
}

impl Channel {
    /// Whether the text goes from the model to the client.
    pub const fn is_outbound(self) -> bool {
        matches!(self, Self::Output | Self::Reasoning)
    }
}

/// How much of a text a rule must have before it can speak.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Needs {
    /// As much as may still become a match.
    Automaton,
    /// The sentence or line.
    Sentence,
    /// All of it.
    Whole,
}

/// What a rule sees: one reading of one text.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The reading: the text itself, or a decoded view of it.
    pub text: &'a str,
    pub channel: Channel,
    /// `plain`, or the decodings that led here, outermost first, joined by `>`.
    pub view: &'a str,
    pub context: &'a crate::Context,
}

/// One place where a rule matched. The span lies in [`Look::text`], on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub span: Span,
    pub confidence: Confidence,
}

/// The most hits that one rule reports in one text. LIMIT: a table of customers has some
/// hundreds; a text with more is not fully inspected, so that nobody hides one number
/// behind many.
pub const HITS_MAX: usize = 1024;

/// A rule of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub meta: Meta,
    pub needs: Needs,
    /// What it does in mode `enforce` when the route says nothing.
    pub action: Verdict,
    /// The channels in which it speaks.
    pub channels: &'static [Channel],
    /// Whether decoded views are shown to it too.
    pub views: bool,
    /// Pure; bounded by the text's length times a small constant; hits in order of their start.
    pub inspect: fn(&Look<'_>, &mut Vec<Hit>),
}

/// Techniques of MITRE ATLAS by which somebody turns a model against its application: what a
/// finding must stand for to raise a text's score. Secrets, personal data and size do not.
const ATTACKS: &[&str] =
    &["AML.T0051", "AML.T0054", "AML.T0056", "AML.T0057", "AML.T0068", "AML.T0077", "AML.T0086"];

/// Whether a reference is to such a technique.
pub(crate) fn is_attack(reference: &str) -> bool {
    reference.starts_with("atlas@")
        && reference
            .split_once('/')
            .is_some_and(|(_, id)| ATTACKS.iter().any(|attack| id.starts_with(attack)))
}

impl Rule {
    /// Whether what it finds is itself what must not be seen: a secret, or a person's data.
    pub fn tells_data(&self) -> bool {
        let refs = self.meta.refs;
        refs.iter().any(|one| one.ends_with("/LLM02")) && !refs.iter().any(|one| is_attack(one))
    }
}
