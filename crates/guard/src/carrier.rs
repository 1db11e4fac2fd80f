//! What carries text: a request, an answer, anything that shows every text in it.

use crate::Channel;

/// Where a text stands, and whose words it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub channel: Channel,
    /// A JSON pointer (RFC 6901), or a field's name. Recorded in clear: it must not repeat
    /// what anybody wrote.
    pub location: String,
}

/// A part that holds no text an inspector could read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unseen {
    pub location: String,
    /// What it is, such as `image`.
    pub what: String,
    pub bytes: usize,
}

/// Something that carries texts and lets each be read and rewritten.
pub trait Carrier {
    /// Shows every text, each with its slot. What is not shown must be in [`Carrier::unseen`].
    fn visit(&mut self, visitor: &mut dyn FnMut(&Slot, &mut String));

    /// The parts that are not text.
    fn unseen(&self) -> Vec<Unseen>;
}
