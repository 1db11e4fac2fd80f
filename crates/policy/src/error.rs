//! What can go wrong with approvals and policies. A denial by policy is not an
//! error but an answer: see [`Denied`](crate::Denied).

use bartizan_core::{Id, Timestamp};

/// An error of this room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("approval `{id}` waits for a decision; `bartizan approvals approve {id}` gives it")]
    Pending { id: Id },
    #[error("approval `{id}` was decided before: it is {state}; ask for another")]
    Decided { id: Id, state: &'static str },
    #[error("approval `{id}` was denied by `{by}`: {why}")]
    Refused { id: Id, by: String, why: String },
    #[error("approval `{id}` was used at {at}, and holds once; ask for another")]
    Used { id: Id, at: Timestamp },
    #[error("approval `{id}` expired at {at}; ask for another")]
    Expired { id: Id, at: Timestamp },
    #[error("approval `{id}` is for `{subject}`, not for `{other}`; ask for one for this thing")]
    OtherSubject { id: Id, subject: String, other: String },
    #[error("approval `{id}` was asked for by `{by}`, and another person must decide it")]
    SamePerson { id: Id, by: String },
    #[error("the policies are {len} bytes, and at most {max} are read; move or merge some")]
    TooLong { len: usize, max: usize },
    #[error("the policies cannot be read: {0}")]
    Malformed(String),
    #[error("policy `{0}` stands twice; give it another `@id`")]
    Twice(String),
    #[error("the policies do not fit the schema: {0}")]
    Invalid(String),
    #[error("`{0}` is no role; expected `administrator`, `operator`, `analyst` or `auditor`")]
    Role(String),
}
