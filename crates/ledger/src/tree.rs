//! The Merkle tree of RFC 6962, section 2.1: hashes and roots.

use ring::digest::{Context, SHA256, digest};

/// A node's hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 over 0x00 and the entry.
pub fn leaf(entry: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    to_hash(context.finish().as_ref())
}

/// The hash of an inner node: SHA-256 over 0x01 and its children.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 65];
    for (to, from) in input.iter_mut().skip(1).zip(left.iter().chain(right)) {
        *to = *from;
    }
    sha256(&input)
}

/// The root of an empty tree.
pub fn empty() -> Hash {
    sha256(&[])
}

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    to_hash(digest(&SHA256, bytes).as_ref())
}

fn to_hash(digest: &[u8]) -> Hash {
    let mut out = Hash::default();
    out.copy_from_slice(digest);
    out
}

/// The hash over a row of nodes whose number is a power of two.
pub(crate) fn subtree(row: &[Hash]) -> Hash {
    match row {
        [] => empty(),
        [only] => *only,
        row => {
            let mut above: Vec<Hash> = pairs(row).collect();
            while above.len() > 1 {
                above = pairs(&above).collect();
            }
            above.first().copied().unwrap_or_else(empty)
        }
    }
}

fn pairs(row: &[Hash]) -> impl Iterator<Item = Hash> {
    row.as_chunks::<2>().0.iter().map(|[left, right]| node(left, right))
}

/// A tree that grows at the right: the complete subtrees of its left side, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete subtrees, one for each 1-bit of `size`, from high to low.
    peaks: Vec<Hash>,
}

impl Frontier {
    pub(crate) fn new(size: u64, peaks: Vec<Hash>) -> Self {
        Self { size, peaks }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut size = self.size;
        while size & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node(&left, &hash);
            size >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty() };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of RFC 6962, word for word.
    fn slow(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [one] => *one,
            many => {
                let k = 1 << (usize::BITS - 1 - (many.len() - 1).leading_zeros());
                node(&slow(&many[..k]), &slow(&many[k..]))
            }
        }
    }

    proptest! {
        #[test]
        fn the_growing_tree_is_the_one_of_the_definition(n in 0_usize..700) {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf(&i.to_be_bytes())).collect();
            let mut frontier = Frontier::default();
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
            prop_assert_eq!(frontier.root(), slow(&leaves));
            let power = n.next_power_of_two() / 2;
            prop_assert_eq!(subtree(&leaves[..power]), slow(&leaves[..power]));
        }
    }
}
