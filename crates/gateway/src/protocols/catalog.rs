//! The list of protocols.

use super::{
    Protocol, anthropic_count_tokens, anthropic_messages, openai_chat, openai_completions,
    openai_embeddings, openai_moderations, openai_responses,
};

/// Every protocol that is spoken.
pub const ALL: &[&dyn Protocol] = &[
    &openai_chat::OpenAiChat,
    &openai_responses::OpenAiResponses,
    &openai_completions::OpenAiCompletions,
    &openai_embeddings::OpenAiEmbeddings,
    &openai_moderations::OpenAiModerations,
    &anthropic_messages::AnthropicMessages,
    &anthropic_count_tokens::AnthropicCountTokens,
];
