//! Lanes of a stream that clients join: the end of one is held until as much of the next
//! has come as may belong to it, so that what is split over them is found as it is in an
//! answer that comes whole.
//!
//! Where a text ends, and how much of it was let go before, does not depend on how it was
//! cut; so neither does what is held here, nor what is shown.

use std::collections::BTreeMap;

use bartizan_guard::{Carrier, Channel, Slot, Unseen};

use super::{
    Envelope, Lane,
    seam::{End, REACH},
    walk::Walk,
};

/// What is held of short texts that follow each other before the first of it goes on,
/// in bytes.
const HELD_BYTES: usize = 1024;

/// What goes out next.
#[derive(Debug)]
pub(crate) enum Out {
    Text(Text),
    Whole { lane: Lane, text: String },
    Pass(Envelope),
}

/// Text that the guard released.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) lane: Lane,
    /// Stands for all the lanes that it is joined with, if with any.
    pub(crate) group: Option<Lane>,
    pub(crate) channel: Channel,
    pub(crate) text: String,
    /// Whether its lane ends with it.
    pub(crate) is_last: bool,
}

/// The joints of one stream.
#[derive(Debug, Default)]
pub(crate) struct Joints {
    held: Vec<Out>,
    /// Groups of which a lane has ended, and the bytes that came since.
    open: BTreeMap<Lane, usize>,
    /// The end of what went out of each group.
    before: BTreeMap<Lane, String>,
    /// Bytes of text held.
    bytes: usize,
}

impl Joints {
    /// Takes what comes next; gives what may go out with it.
    pub(crate) fn push(&mut self, out: Out) -> Option<Batch> {
        let mut ended = None;
        if let Out::Text(Text { group: Some(group), text, is_last, .. }) = &out {
            if let Some(since) = self.open.get_mut(group) {
                *since += text.len();
                if *since >= REACH {
                    self.open.remove(group);
                }
            }
            if *is_last {
                self.open.insert(group.clone(), 0);
                ended = Some(group.clone());
            }
        }
        self.bytes += out.bytes();
        self.held.push(out);
        match ended {
            None if self.open.is_empty() => self.all(),
            Some(group) if self.open.len() == 1 && self.bytes >= HELD_BYTES => {
                self.batch(self.settled(&group))
            }
            _ => None,
        }
    }

    /// Nothing more comes of a group; gives what may go out.
    pub(crate) fn over(&mut self, group: &Lane) -> Option<Batch> {
        let was_open = self.open.remove(group).is_some();
        if was_open && self.open.is_empty() { self.all() } else { None }
    }

    /// Nothing more comes; gives the rest.
    pub(crate) fn finish(&mut self) -> Option<Batch> {
        self.open.clear();
        self.all()
    }

    fn all(&mut self) -> Option<Batch> {
        self.batch(self.held.len())
    }

    /// How many of what is held stand before the first text of the group whose end waits
    /// for more.
    fn settled(&self, group: &Lane) -> usize {
        let (mut since, mut first) = (0, self.held.len());
        for (i, out) in self.held.iter().enumerate().rev() {
            let Out::Text(text) = out else { continue };
            if text.group.as_ref() != Some(group) {
                continue;
            }
            if text.is_last {
                if since >= REACH {
                    break;
                }
                first = i;
            }
            since += text.text.len();
        }
        first
    }

    fn batch(&mut self, going: usize) -> Option<Batch> {
        (going > 0).then(|| Batch {
            outs: std::mem::take(&mut self.held),
            going,
            before: std::mem::take(&mut self.before),
        })
    }

    /// What goes out of a batch that the guard has passed.
    pub(crate) fn settle(&mut self, batch: Batch) -> Vec<Out> {
        let Batch { mut outs, going, before } = batch;
        self.before = before;
        self.held = outs.split_off(going.min(outs.len()));
        self.bytes = self.held.iter().map(Out::bytes).sum();
        for out in &outs {
            if let Out::Text(Text { group: Some(group), text, .. }) = out {
                let before = self.before.entry(group.clone()).or_default();
                before.push_str(text);
                let excess = before.ceil_char_boundary(before.len().saturating_sub(REACH));
                before.drain(..excess);
            }
        }
        outs
    }
}

impl Out {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.text.len(),
            Self::Whole { .. } | Self::Pass(_) => 0,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Text(Text { group: Some(_), is_last: true, .. }))
    }
}

/// What goes out together, and what is held behind it.
#[derive(Debug)]
pub(crate) struct Batch {
    outs: Vec<Out>,
    going: usize,
    before: BTreeMap<Lane, String>,
}

/// The texts of a group, in order, and their ends.
struct Group<'a> {
    channel: Channel,
    texts: Vec<&'a mut String>,
    ends: Vec<End>,
}

impl Carrier for Batch {
    fn visit(&mut self, visitor: &mut dyn FnMut(&Slot, &mut String)) {
        if !self.outs.iter().take(self.going).any(Out::is_last) {
            return;
        }
        // What is out already is shown for context, and cannot be rewritten.
        let mut out_already = self.before.clone();
        let mut before: BTreeMap<&Lane, &mut String> = out_already.iter_mut().collect();
        let mut groups: BTreeMap<&Lane, Group<'_>> = BTreeMap::new();
        for (i, out) in self.outs.iter_mut().enumerate() {
            let Out::Text(Text { group: Some(group), channel, text, is_last, .. }) = out else {
                continue;
            };
            let own = groups.entry(group).or_insert_with_key(|group| {
                let texts: Vec<_> = before.remove(*group).into_iter().collect();
                let ends = vec![End::Open; texts.len()];
                Group { channel: *channel, texts, ends }
            });
            own.texts.push(text);
            own.ends.push(match *is_last {
                true if i < self.going => End::Seam,
                true => End::Shown,
                false => End::Open,
            });
        }
        for (lane, Group { channel, mut texts, ends }) in groups {
            let at = format!("/{}/{}/{}", lane.index, lane.part, lane.field);
            Walk::new(visitor, None, None).seams(&mut texts, &ends, &at, channel);
        }
    }

    fn unseen(&self) -> Vec<Unseen> {
        Vec::new()
    }
}
