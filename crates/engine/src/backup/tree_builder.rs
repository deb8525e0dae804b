//! Builds the tree above its leaves, as they come, in order.

use super::boundary::Boundaries;
use super::leaf_job::{DoneLeaf, LeafResult};
use super::storing::Store;
use crate::error::{EngineError, Result};
use format::page::{Node, NodeChild};
use format::{BlobId, limits};
use std::collections::BTreeMap;

/// The tree so far.
pub(crate) struct TreeBuilder {
    store: Store,
    boundaries: Boundaries,
    /// Children of nodes that are not closed, by level from 1.
    levels: Vec<Level>,
    totals: TreeTotals,
    /// Leaves that came before their turn. Bounded by the places for leaves.
    early: BTreeMap<u64, LeafResult>,
    next: u64,
}

#[derive(Default, Clone)]
struct Level {
    children: Vec<NodeChild>,
    bytes: usize,
}

/// What a tree holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TreeTotals {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl TreeBuilder {
    pub(crate) fn new(store: Store, boundaries: Boundaries) -> Self {
        let totals = TreeTotals::default();
        Self { store, boundaries, levels: Vec::new(), totals, early: BTreeMap::new(), next: 0 }
    }

    /// Takes up a leaf, and those that waited for it.
    pub(crate) fn push(&mut self, result: LeafResult) -> Result<()> {
        self.early.insert(result.index, result);
        while let Some(LeafResult { leaf, place, .. }) = self.early.remove(&self.next) {
            self.next += 1;
            if let Some(DoneLeaf { first, page, entries, bytes }) = leaf {
                self.totals.entries += entries;
                self.totals.bytes += bytes;
                add(&self.store, &self.boundaries, &mut self.levels, 1, NodeChild { first, page, entries, bytes })?;
            }
            drop(place);
        }
        Ok(())
    }

    /// What the tree holds so far.
    pub(crate) fn totals(&self) -> TreeTotals {
        self.totals
    }

    /// Root of a tree of the leaves so far; none if there are none. More leaves may follow.
    pub(crate) fn root_so_far(&self) -> Result<Option<BlobId>> {
        finish(&self.store, &self.boundaries, self.levels.clone())
    }

    /// Root of the tree, when `leaves` leaves were started.
    pub(crate) fn finish(self, leaves: u64) -> Result<(Option<BlobId>, TreeTotals)> {
        if self.next != leaves || !self.early.is_empty() {
            return Err(EngineError::Internal("a leaf of the tree is missing"));
        }
        Ok((finish(&self.store, &self.boundaries, self.levels)?, self.totals))
    }
}

fn add(store: &Store, boundaries: &Boundaries, levels: &mut Vec<Level>, level: u8, child: NodeChild) -> Result<()> {
    if levels.len() < usize::from(level) {
        levels.push(Level::default());
    }
    let open = &mut levels[usize::from(level) - 1];
    let (directory, name) = (&child.first.directory, &child.first.name);
    if boundaries.node_starts(level, directory, name, open.children.len(), open.bytes) {
        let node = close(store, level, std::mem::take(open))?;
        add(store, boundaries, levels, level + 1, node)?;
    }
    let open = &mut levels[usize::from(level) - 1];
    open.bytes += child.bytes_max();
    open.children.push(child);
    Ok(())
}

fn close(store: &Store, level: u8, open: Level) -> Result<NodeChild> {
    let first = open.children.first().map(|child| child.first.clone());
    let first = first.ok_or(EngineError::Internal("a node of the tree is empty"))?;
    let entries = open.children.iter().map(|child| child.entries).sum();
    let bytes = open.children.iter().map(|child| child.bytes).sum();
    let node = Node { level, children: open.children };
    let page = node.encode().map_err(EngineError::format("make a page of the tree"))?;
    Ok(NodeChild { first, page: store.put_page_ahead(page)?, entries, bytes })
}

fn finish(store: &Store, boundaries: &Boundaries, mut levels: Vec<Level>) -> Result<Option<BlobId>> {
    let mut level = 1;
    loop {
        let place = usize::from(level) - 1;
        let Some(open) = levels.get_mut(place) else { return Ok(None) };
        let open = std::mem::take(open);
        let is_top = levels.len() == place + 1;
        match open.children.as_slice() {
            [only] if is_top => return Ok(Some(only.page)),
            [] => {}
            _ => {
                let node = close(store, level, open)?;
                add(store, boundaries, &mut levels, level + 1, node)?;
            }
        }
        level += 1;
        if level > limits::LEVELS_MAX {
            return Err(EngineError::Internal("a tree has too many levels"));
        }
    }
}
