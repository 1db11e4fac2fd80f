//! Stands between clients and models.
pub mod protocols;
pub mod sse;
pub mod upstream;
