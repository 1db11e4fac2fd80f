//! The one way out: an HTTP client that a hostile answer cannot lead astray.
//!
//! The threats are the address that a name turns out to have (a metadata service,
//! a database on the private network), the redirect, and the upstream that stalls,
//! never ends, or sends a bomb. What comes in is a [`Request`]; what goes out is a
//! [`Response`] whose [`Body`] is read piece by piece under [`Limits`].
//!
//! Promises:
//! - A connection goes to an address that was checked, and to no other: a name is
//!   resolved once, what is refused is left out, and the socket opens on the rest.
//! - No redirect is followed, no proxy is taken from the environment.
//! - Plain HTTP goes only to hosts that the operator lists.
//! - Connecting, waiting for the head, silence, the whole exchange, the head's
//!   size and the body's size (decoded) are all bounded.
//! - Every failure says whether the request may have been acted upon
//!   ([`Error::is_unsent`]).

mod address;
mod backoff;
mod body;
mod client;
mod decode;
mod dial;
mod error;
mod tls;

pub use address::{Allow, Kind, kind_of};
pub use backoff::{Backoff, retry_after};
pub use body::Body;
pub use client::{Client, Limits, Request, Response, Settings};
pub use decode::{Coding, Decoder, Problem};
pub use dial::{Lookup, Resolve, System};
pub use error::Error;
