//! Reads text and says what is wrong with it.
pub mod rules;
mod rule;
pub use rule::{Channel, HITS_MAX, Hit, Look, Needs, Rule};

/// What a rule may know beyond the text.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The application's own instructions in this conversation.
    pub system: Vec<String>,
    /// Marks planted in system prompts: their appearance in an answer is a leak.
    pub canaries: Vec<String>,
    /// Hosts to which links and images in answers may point.
    pub link_hosts: Vec<String>,
}
