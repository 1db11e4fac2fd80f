//! Who may do what: approvals by people, and authorization by policy.
//!
//! The threat is the check that was forgotten: a request that goes on although
//! nobody allowed it. So the answer is a token. [`Approval::redeem`] mints an
//! [`Approved`], [`Authorizer::authorize`] an [`Authorized`]; neither can be made
//! elsewhere or copied, and the rooms that act take the token, not the thing.
//!
//! What comes in is a record of an approval, or a [`Request`] with the facts about
//! who asks; what goes out is a token, or an error that says what is missing.
//!
//! Invariant: a policy that cannot be evaluated denies. An approval lets one thing
//! pass once, the thing whose digest it names, before it expires.
//!
//! ```
//! use bartizan_policy::{Access, Authorizer, Key, Principal, Request};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (cx, _) = bartizan_core::sim::cx(1);
//! let tenant = bartizan_core::Tenant::default();
//! let models = ["demo*".to_owned()];
//! let key = Principal::Key(Key { models: &models, ..Key::new("key-1", &tenant) });
//! let authorizer = Authorizer::new("")?;
//! let call = |model| Request::new(key, &tenant, Access::Call { route: "chat", model });
//! assert!(authorizer.authorize(&cx, &call("demo-small")).is_ok());
//! assert!(authorizer.authorize(&cx, &call("gpt-4o")).is_err());
//! # Ok(()) }
//! ```

mod approval;
mod authorizer;
mod error;
mod pattern;
mod question;
mod request;

pub use approval::{Approval, ApprovalRecord, Approved, Decision, State};
pub use authorizer::{Authorized, Authorizer, Denied, Grant};
pub use error::Error;
pub use pattern::fits;
pub use request::{Access, Area, Key, Person, Principal, Request, Role};
