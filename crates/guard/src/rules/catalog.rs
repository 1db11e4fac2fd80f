//! The list of rules, in the order of their codes. A new rule is a file and a line.

use super::{
    canary_leak, connection_string, email_address, exfiltration_instruction, exfiltration_link,
    exfiltration_request, hidden_text, iban, indirect_instruction, ip_address, jailbreak_persona,
    national_id, override_instruction, payment_card, phone_number, private_key, prompt_extraction,
    repetition, role_hijack, role_token, secret_token, system_prompt_overlap, us_ssn,
};
use crate::Rule;

/// Every rule there is.
pub const ALL: &[&Rule] = &[
    &override_instruction::RULE,
    &prompt_extraction::RULE,
    &role_hijack::RULE,
    &role_token::RULE,
    &indirect_instruction::RULE,
    &exfiltration_instruction::RULE,
    &jailbreak_persona::RULE,
    &exfiltration_request::RULE,
    &hidden_text::RULE,
    &secret_token::RULE,
    &private_key::RULE,
    &connection_string::RULE,
    &payment_card::RULE,
    &iban::RULE,
    &us_ssn::RULE,
    &national_id::RULE,
    &email_address::RULE,
    &phone_number::RULE,
    &ip_address::RULE,
    &canary_leak::RULE,
    &system_prompt_overlap::RULE,
    &exfiltration_link::RULE,
    &repetition::RULE,
];
