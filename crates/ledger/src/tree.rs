//! The Merkle tree of RFC 6962, section 2.1: hashes, roots, proofs.

use ring::digest::{Context, SHA256};

/// A node's hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 over 0x00 and the entry.
pub fn leaf(entry: &[u8]) -> Hash {
    hash(&[&[0], entry])
}

/// The hash of an inner node: SHA-256 over 0x01 and its children.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

/// The root of an empty tree.
pub fn empty() -> Hash {
    hash(&[])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = Hash::default();
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// A tree that grows at the right: the complete subtrees of its left side, largest first.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete subtrees, one for each 1-bit of `size`, from high to low.
    peaks: Vec<Hash>,
}

impl Frontier {
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
