//! Inclusion and consistency proofs (RFC 6962, section 2.1; verified as in RFC 9162, section 2.1).

use crate::tree::{Hash, empty, node};

/// Gives the hash of the complete subtree of `2^level` leaves that starts at leaf `index << level`.
pub(crate) trait Nodes {
    type Error;
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The hash over the leaves `start..end`, where `start` is a multiple of the largest
/// power of two not above `end - start`.
pub(crate) fn range<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let size = end - start;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes.node(level, start >> level);
    }
    let left = split(size);
    Ok(node(&range(nodes, start, start + left)?, &range(nodes, start + left, end)?))
}

/// The largest power of two below `size`, for `size` above 1.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

pub(crate) fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

pub(crate) fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    loop {
        if old == end {
            if start != 0 {
                path.push(range(nodes, start, end)?);
            }
            break;
        }
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Whether a leaf is in the tree of this size and root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node_index, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node_index & 1 == 1 || node_index == last {
            hash = node(sibling, &hash);
            while node_index & 1 == 0 && node_index != 0 {
                node_index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        node_index >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the tree of `new` entries only adds to the one of `old`.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root && (old > 0 || *old_root == empty());
    }
    // Nothing can be shown of an empty tree.
    if old == 0 {
        return false;
    }
    let mut path = path.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut node_index, mut last) = (old - 1, new - 1);
    while node_index & 1 == 1 {
        node_index >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node_index & 1 == 1 || node_index == last {
            old_hash = node(sibling, &old_hash);
            new_hash = node(sibling, &new_hash);
            while node_index & 1 == 0 && node_index != 0 {
                node_index >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node(&new_hash, sibling);
        }
        node_index >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}
