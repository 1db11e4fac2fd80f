//! People: accounts, how they prove who they are, and what they hold.

mod scope;

pub(crate) use scope::Scope;
