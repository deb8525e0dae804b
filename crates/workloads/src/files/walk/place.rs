//! Where a directory is: a name and the place of its parent.
//!
//! Places share their parents, so that a chain of thousands of directories within one another costs its names once, not
//! once a level. They compare in the order of trees.

use std::cmp::Ordering;
use std::sync::Arc;

/// A directory's place.
#[derive(Debug)]
pub(crate) struct Place {
    parent: Option<Arc<Place>>,
    name: Box<[u8]>,
    depth: u32,
    /// Bytes of the path.
    length: usize,
}

impl Place {
    /// The top of the tree.
    pub(crate) fn top() -> Arc<Self> {
        Arc::new(Self { parent: None, name: Box::default(), depth: 0, length: 0 })
    }

    /// A directory in this one.
    pub(crate) fn child(self: &Arc<Self>, name: &[u8]) -> Arc<Self> {
        let length = if self.depth == 0 { name.len() } else { self.length + 1 + name.len() };
        Arc::new(Self { parent: Some(self.clone()), name: name.into(), depth: self.depth + 1, length })
    }

    /// Its name; empty at the top.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Bytes of the path.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The path: names joined by `/`, empty at the top.
    pub(crate) fn path(&self) -> Vec<u8> {
        let mut path = vec![b'/'; self.length];
        let mut end = self.length;
        let mut at = self;
        while let Some(parent) = &at.parent {
            let start = end - at.name.len();
            path[start..end].copy_from_slice(&at.name);
            end = start.saturating_sub(1);
            at = parent;
        }
        path
    }

    /// The place `depth` levels below the top on the way to this one.
    fn at_depth(&self, depth: u32) -> &Self {
        let mut at = self;
        while at.depth > depth {
            match &at.parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        at
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let depth = self.depth.min(other.depth);
        let (mut left, mut right) = (self.at_depth(depth), other.at_depth(depth));
        let mut order = Ordering::Equal;
        while let (Some(left_parent), Some(right_parent)) = (&left.parent, &right.parent) {
            if std::ptr::eq(left, right) {
                break;
            }
            // A difference nearer to the top counts more.
            order = left.name.cmp(&right.name).then(order);
            if Arc::ptr_eq(left_parent, right_parent) {
                break;
            }
            (left, right) = (left_parent, right_parent);
        }
        order.then(self.depth.cmp(&other.depth))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Place {}

impl Drop for Place {
    /// One after the other: a chain may be deeper than the stack.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(place) = next {
            next = Arc::into_inner(place).and_then(|mut place| place.parent.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::page::compare_paths;
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    fn place(path: &[Vec<u8>]) -> Arc<Place> {
        path.iter().fold(Place::top(), |place, name| place.child(name))
    }

    proptest! {
        #[test]
        fn places_compare_as_their_paths_do(
            left in prop::collection::vec(prop::collection::vec(prop::sample::select(b"!.0a\xff".to_vec()), 1..3), 0..5),
            right in prop::collection::vec(prop::collection::vec(prop::sample::select(b"!.0a\xff".to_vec()), 1..3), 0..5),
            shared in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab".to_vec()), 1..3), 0..4),
        ) {
            let base = place(&shared);
            let build = |tail: &[Vec<u8>]| tail.iter().fold(base.clone(), |place, name| place.child(name));
            let (a, b) = (build(&left), build(&right));
            prop_assert_eq!(a.cmp(&b), compare_paths(&a.path(), &b.path()));
            // The same without shared parents.
            let c = place(&[shared.clone(), right.clone()].concat());
            prop_assert_eq!(a.cmp(&c), compare_paths(&a.path(), &c.path()));
            prop_assert_eq!(c.path(), [shared, right].concat().join(&b'/'));
        }
    }

    #[test]
    fn a_chain_deeper_than_the_stack_is_dropped() {
        let deep = (0..1_000_000).fold(Place::top(), |place, _| place.child(b"d"));
        assert_eq!(deep.length(), 1_999_999);
        drop(deep);
    }
}
