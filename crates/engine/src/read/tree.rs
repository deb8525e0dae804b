//! A cursor over a tree that opens only the pages that its user wants opened.

use super::pages::{PageReader, decode};
use crate::error::{EngineError, Result};
use format::BlobId;
use format::page::{Leaf, Node, PageType, TreeEntry, TreeKey};
use std::collections::VecDeque;

/// What a cursor stands before.
pub(crate) enum Item {
    /// A part of the tree that is not opened yet.
    Subtree {
        /// Place of its first entry; unknown for the root.
        first: Option<TreeKey>,
        /// Its root page.
        page: BlobId,
        /// Above which level it must lie.
        below: u8,
    },
    /// An entry.
    Entry(Box<TreeEntry>),
}

/// Walks a tree in order.
pub(crate) struct TreeCursor<'a> {
    pages: &'a PageReader,
    /// The next item first. Grows by one page for each level.
    items: VecDeque<Item>,
}

impl<'a> TreeCursor<'a> {
    pub(crate) fn new(pages: &'a PageReader, root: Option<BlobId>) -> Self {
        let whole = root.map(|page| Item::Subtree { first: None, page, below: u8::MAX });
        Self { pages, items: whole.into_iter().collect() }
    }

    /// The next item.
    pub(crate) fn peek(&self) -> Option<&Item> {
        self.items.front()
    }

    /// Takes the next item, whatever it is.
    pub(crate) fn take(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// Opens the next item if it is a subtree: its children stand in its place. If that fails it is gone.
    pub(crate) fn open(&mut self) -> Result<()> {
        let Some(Item::Subtree { page: id, below, .. }) = self.items.pop_front() else {
            return Err(EngineError::Internal("only a subtree can be opened"));
        };
        let page = self.pages.page(id)?;
        if decode(&page, |_, content| PageType::of(content))? == PageType::TreeLeaf {
            let entries = decode(&page, Leaf::decode)?.entries;
            entries.into_iter().rev().for_each(|entry| self.items.push_front(Item::Entry(Box::new(entry))));
            return Ok(());
        }
        let node = decode(&page, Node::decode)?;
        if node.level >= below {
            return Err(EngineError::Damaged { what: "page", id });
        }
        for child in node.children.into_iter().rev() {
            let first = Some(child.first);
            self.items.push_front(Item::Subtree { first, page: child.page, below: node.level });
        }
        Ok(())
    }
}
