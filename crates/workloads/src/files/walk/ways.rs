//! The directories that a walk of changes goes to.

use std::collections::BTreeMap;

/// A tree of directories that changed, with the ways to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways {
    nodes: Vec<WayNode>,
}

#[derive(Debug, Clone, Default)]
struct WayNode {
    change: Change,
    children: BTreeMap<Vec<u8>, u32>,
}

/// What is known of a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Something below it changed.
    #[default]
    Below,
    /// Its entries changed.
    Listed,
    /// It is new, or nothing is known of what is below it.
    Whole,
}

/// Where a walk is in the tree of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Where everything is walked.
    Everything,
    /// In a directory of the tree.
    At(u32),
}

impl Way {
    pub(super) fn to_number(self) -> u32 {
        match self {
            Self::Everything => u32::MAX,
            Self::At(node) => node,
        }
    }

    pub(super) fn from_number(number: u32) -> Self {
        if number == u32::MAX { Self::Everything } else { Self::At(number) }
    }
}

impl Ways {
    /// Adds a directory by its path in the tree. One with steps back is none.
    pub(crate) fn add(&mut self, path: &[u8], change: Change) {
        if path.split(|byte| *byte == b'/').any(|name| matches!(name, b"." | b"..") || name.contains(&0)) {
            return;
        }
        if self.nodes.is_empty() {
            self.nodes.push(WayNode::default());
        }
        let mut at = 0;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let next = self.nodes.len() as u32;
            let child = *self.nodes[at].children.entry(name.to_vec()).or_insert(next);
            if child == next {
                self.nodes.push(WayNode::default());
            }
            at = child as usize;
        }
        let known = &mut self.nodes[at].change;
        *known = change.max(*known);
    }

    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What is known of a directory; of those within a new one all is walked.
    pub(super) fn change(&self, way: Way) -> Option<Change> {
        match way {
            Way::Everything => None,
            Way::At(node) => self.nodes.get(node as usize).map(|node| node.change),
        }
    }

    /// The names that lead on, sorted.
    pub(super) fn names(&self, way: Way) -> impl Iterator<Item = &[u8]> {
        let node = if let Way::At(node) = way { self.nodes.get(node as usize) } else { None };
        node.into_iter().flat_map(|node| node.children.keys().map(Vec::as_slice))
    }

    /// The way on to a subdirectory; none where it is as it was.
    pub(super) fn on(&self, way: Way, name: &[u8]) -> Option<Way> {
        match way {
            Way::Everything => Some(Way::Everything),
            Way::At(node) => {
                let node = self.nodes.get(node as usize)?;
                if node.change == Change::Whole {
                    return Some(Way::Everything);
                }
                node.children.get(name).copied().map(Way::At)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_lead_to_what_changed_and_into_new_directories_as_a_whole() {
        let mut ways = Ways::default();
        assert!(ways.is_empty());
        ways.add(b"a/b", Change::Listed);
        ways.add(b"a/b/new", Change::Whole);
        ways.add(b"a/b/new", Change::Listed);
        ways.add(b"a/b/new/deep", Change::Listed);
        ways.add(b"c", Change::Listed);
        for step in ["a/../x", "..", "a/.", "a\0b"] {
            ways.add(step.as_bytes(), Change::Whole);
        }
        let top = Way::At(0);
        assert_eq!(ways.names(top).collect::<Vec<_>>(), [b"a", b"c"]);
        assert_eq!(ways.change(top), Some(Change::Below));
        let at = |path: &str| path.split('/').try_fold(top, |way, name| ways.on(way, name.as_bytes()));
        assert_eq!(at("a/b").and_then(|way| ways.change(way)), Some(Change::Listed));
        assert_eq!(at("a/b/new").and_then(|way| ways.change(way)), Some(Change::Whole));
        assert_eq!(at("a/b/new/deep"), Some(Way::Everything));
        assert_eq!(at("a/b/old"), None);
        assert_eq!(at("x"), None);
        assert_eq!(Way::from_number(Way::Everything.to_number()), Way::Everything);
        assert_eq!(Way::from_number(Way::At(7).to_number()), Way::At(7));
    }
}
