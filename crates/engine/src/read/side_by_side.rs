//! Two trees side by side: what only one has, and what both have. Pages that both have are skipped.

use super::pages::PageReader;
use super::tree::{Item, TreeCursor};
use crate::cancel::Cancel;
use crate::error::{EngineError, Result};
use format::BlobId;
use format::page::{TreeEntry, TreeKey, compare_keys};
use std::cmp::Ordering;

/// An entry that one tree has, or the entries of a path that both have.
pub(crate) enum Pair {
    /// Only the earlier tree has it.
    Removed(TreeEntry),
    /// Only the later tree has it.
    Added(TreeEntry),
    /// Both have it; they may be equal.
    Both(TreeEntry, TreeEntry),
}

/// Walks both in order.
pub(crate) struct SideBySide<'a> {
    before: TreeCursor<'a>,
    after: TreeCursor<'a>,
    /// Pages that were equal.
    pub(crate) pages_skipped: u64,
}

impl<'a> SideBySide<'a> {
    /// Of two trees, each with its pages and its root; without a root it is empty.
    pub(crate) fn new(before: (&'a PageReader, Option<BlobId>), after: (&'a PageReader, Option<BlobId>)) -> Self {
        Self { before: TreeCursor::new(before.0, before.1), after: TreeCursor::new(after.0, after.1), pages_skipped: 0 }
    }

    /// The next pair.
    pub(crate) fn next(&mut self, cancel: &Cancel) -> Result<Option<Pair>> {
        loop {
            match step(self.before.peek(), self.after.peek()) {
                Step::End => return Ok(None),
                Step::SkipBoth => {
                    cancel.check()?;
                    self.pages_skipped += 1;
                    self.before.take();
                    self.after.take();
                }
                Step::OpenBefore => self.before.open()?,
                Step::OpenAfter => self.after.open()?,
                Step::OpenBoth => {
                    cancel.check()?;
                    self.before.open()?;
                    self.after.open()?;
                }
                Step::Removed => return Ok(Some(Pair::Removed(entry(self.before.take())?))),
                Step::Added => return Ok(Some(Pair::Added(entry(self.after.take())?))),
                Step::Both => return Ok(Some(Pair::Both(entry(self.before.take())?, entry(self.after.take())?))),
            }
        }
    }
}

/// What the next step is.
enum Step {
    End,
    SkipBoth,
    OpenBefore,
    OpenAfter,
    OpenBoth,
    Removed,
    Added,
    Both,
}

fn entry(item: Option<Item>) -> Result<TreeEntry> {
    match item {
        Some(Item::Entry(entry)) => Ok(*entry),
        _ => Err(EngineError::Internal("a cursor does not stand before an entry")),
    }
}

fn step(before: Option<&Item>, after: Option<&Item>) -> Step {
    match (before, after) {
        (None, None) => Step::End,
        (Some(Item::Subtree { .. }), None) => Step::OpenBefore,
        (None, Some(Item::Subtree { .. })) => Step::OpenAfter,
        (Some(Item::Entry(_)), None) => Step::Removed,
        (None, Some(Item::Entry(_))) => Step::Added,
        (Some(Item::Entry(left)), Some(Item::Entry(right))) => {
            let left = (&*left.directory, left.entry.name.as_slice());
            match compare_keys(left, (&right.directory, &right.entry.name)) {
                Ordering::Less => Step::Removed,
                Ordering::Greater => Step::Added,
                Ordering::Equal => Step::Both,
            }
        }
        (Some(Item::Entry(left)), Some(Item::Subtree { first, .. })) => {
            if is_before(left, first.as_ref()) {
                Step::Removed
            } else {
                Step::OpenAfter
            }
        }
        (Some(Item::Subtree { first, .. }), Some(Item::Entry(right))) => {
            if is_before(right, first.as_ref()) {
                Step::Added
            } else {
                Step::OpenBefore
            }
        }
        (Some(Item::Subtree { first, page, below, .. }), Some(Item::Subtree { first: other, page: same, below: level, .. })) => {
            step_subtrees((first.as_ref(), page, *below), (other.as_ref(), same, *level))
        }
    }
}

/// Equal pages are skipped. Otherwise the higher one is opened, so that both come to the level where they may be equal, and
/// of two that are as high the one that starts first.
fn step_subtrees(before: (Option<&TreeKey>, &BlobId, u8), after: (Option<&TreeKey>, &BlobId, u8)) -> Step {
    if before.1 == after.1 {
        return Step::SkipBoth;
    }
    match before.2.cmp(&after.2) {
        Ordering::Greater => Step::OpenBefore,
        Ordering::Less => Step::OpenAfter,
        Ordering::Equal => match before.0.cmp(&after.0) {
            Ordering::Less => Step::OpenBefore,
            Ordering::Greater => Step::OpenAfter,
            Ordering::Equal => Step::OpenBoth,
        },
    }
}

/// Whether an entry stands before all of a subtree.
fn is_before(entry: &TreeEntry, first: Option<&TreeKey>) -> bool {
    first.is_some_and(|first| {
        let entry = (&*entry.directory, entry.entry.name.as_slice());
        compare_keys(entry, (&first.directory, &first.name)) == Ordering::Less
    })
}
