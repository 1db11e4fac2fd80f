//! Reads text and says what is wrong with it.
//!
//! The threats: instructions that hijack the model, secrets and personal data that
//! leak, text that is hidden from people. What comes in is text in its [`Channel`],
//! in anything that implements [`Carrier`] or piece by piece; what goes out is a
//! verdict with findings, and [`Screened`], the proof that everything was inspected.
//!
//! Promises: pure, no I/O, bounded by the text's length; the same text gets the same
//! verdict however it is cut; what was not inspected is never said to be.

pub mod classifier;
pub mod measure;
pub mod rules;

mod carrier;
mod engine;
mod error;
mod profile;
mod report;
mod rule;
mod shingles;
mod stream;
mod token;
mod views;

pub use carrier::{Carrier, Slot, Unseen};
pub use engine::{Guard, Screening};
pub use error::Error;
pub use profile::{Profile, Setting};
pub use report::{Coverage, Judged, Report};
pub use rule::{Channel, HITS_MAX, Hit, Look, Needs, Rule};
pub use stream::{Step, TextStream};
pub use token::{Held, Screened};

/// What a rule may know beyond the text.
#[derive(Clone, Debug, Default)]
pub struct Context {
    system: shingles::Shingles,
    canaries: Vec<String>,
    link_hosts: Vec<String>,
}

impl Context {
    /// `system` are the application's own instructions in this conversation;
    /// `canaries` the marks planted in them; `link_hosts` the hosts to which links
    /// and images in answers may point.
    pub fn new(system: &[String], canaries: Vec<String>, link_hosts: Vec<String>) -> Self {
        Self { system: shingles::Shingles::of(system), canaries, link_hosts }
    }
}
