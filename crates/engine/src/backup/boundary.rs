//! Where a tree is cut into leaves and nodes.
//!
//! A cut follows from names alone (hashed under a key of the domain) and from how much stands before it. So the same
//! names give the same pages, and one that comes or goes moves the cuts near it only.

use format::limits;

/// Least entries of a leaf, unless it is the last one or full of bytes.
const LEAF_ENTRIES_MIN: usize = 128;
/// How many entries on average come between the least and the next cut.
const LEAF_ENTRIES_MORE: u64 = 384;
/// Bytes (of names, paths and targets) at which a leaf is full.
const LEAF_BYTES_FULL: usize = 1 << 20;
/// Least children of a node, unless it is the last one or full of bytes.
const NODE_CHILDREN_MIN: usize = 64;
/// How many children on average come between the least and the next cut.
const NODE_CHILDREN_MORE: u64 = 128;
/// Most children of a node.
const NODE_CHILDREN_MAX: usize = 512;
/// Bytes of keys at which a node is full.
const NODE_BYTES_FULL: usize = 1 << 20;

/// Cuts trees of one domain.
#[derive(Clone)]
pub(crate) struct Boundaries {
    key: [u8; 32],
}

impl Boundaries {
    pub(crate) fn new(page_boundary_key: [u8; 32]) -> Self {
        Self { key: page_boundary_key }
    }

    /// Whether a leaf starts with this name, when that many entries and bytes stand in the leaf before it.
    pub(crate) fn leaf_starts(&self, directory: &[u8], name: &[u8], entries: usize, bytes: usize) -> bool {
        if entries == 0 {
            return false;
        }
        entries >= limits::LEAF_ENTRIES_MAX
            || bytes >= LEAF_BYTES_FULL
            || (entries >= LEAF_ENTRIES_MIN && self.hash(0, directory, name).is_multiple_of(LEAF_ENTRIES_MORE))
    }

    /// Whether a node of this level starts with a child whose first entry this is.
    pub(crate) fn node_starts(&self, level: u8, directory: &[u8], name: &[u8], children: usize, bytes: usize) -> bool {
        // a node of one child would only be one more step on the way
        if children < 2 {
            return false;
        }
        children >= NODE_CHILDREN_MAX
            || bytes >= NODE_BYTES_FULL
            || (children >= NODE_CHILDREN_MIN && self.hash(level, directory, name).is_multiple_of(NODE_CHILDREN_MORE))
    }

    fn hash(&self, level: u8, directory: &[u8], name: &[u8]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[level]).update(directory).update(&[0]).update(name);
        u64::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(names: &[String]) -> Vec<String> {
        let boundaries = Boundaries::new([7; 32]);
        let mut entries = 0;
        let mut cuts = Vec::new();
        for name in names {
            if boundaries.leaf_starts(b"some/directory", name.as_bytes(), entries, 0) {
                cuts.push(name.clone());
                entries = 0;
            }
            entries += 1;
        }
        cuts
    }

    #[test]
    fn a_name_that_comes_moves_cuts_near_it_only() {
        let mut names: Vec<String> = (0..20_000).map(|number| format!("name-{number:06}")).collect();
        let before = cuts(&names);
        names.insert(9000, "name-008999-new".into());
        let after = cuts(&names);
        let same = before.iter().filter(|cut| after.contains(cut)).count();
        assert!(before.len() > 20_000 / 1024 && before.len() < 20_000 / LEAF_ENTRIES_MIN, "{}", before.len());
        assert!(before.len() - same <= 3, "{same} of {} cuts are the same", before.len());
    }

    #[test]
    fn a_leaf_is_never_over_its_limits() {
        let boundaries = Boundaries::new([7; 32]);
        assert!(boundaries.leaf_starts(b"", b"any", limits::LEAF_ENTRIES_MAX, 0));
        assert!(boundaries.leaf_starts(b"", b"any", 1, LEAF_BYTES_FULL));
        assert!(!boundaries.leaf_starts(b"", b"any", 0, 0));
    }
}
