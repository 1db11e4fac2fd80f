//! The list of rules, in the order of their codes. A new rule is a file and a line.

use super::{override_instruction, prompt_extraction, role_hijack, role_token};
use crate::Rule;

/// Every rule there is.
pub const ALL: &[&Rule] =
    &[&override_instruction::RULE, &prompt_extraction::RULE, &role_hijack::RULE, &role_token::RULE];
