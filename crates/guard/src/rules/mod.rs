//! The rules. One file each, listed in `catalog.rs`.

mod catalog;

pub use catalog::ALL;
