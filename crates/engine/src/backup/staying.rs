//! What stays as the base has it where the source tells only what has changed.
//!
//! The walk of changes and the base come in the same order. An entry of the base that the walk passes without naming it stays,
//! unless its directory was listed (then it is gone), or something above it is gone or is given whole.
//!
//! What the source says is a hint and is held against the base: a subdirectory that the base does not have, or has as another
//! one, must be given whole. Where it is not, nothing is known of what is in it, and everything has to be walked.

use crate::error::{EngineError, Result};
use crate::path::{self, is_within};
use crate::source::{Changes, SourceDirectory, SourceEntry};
use format::page::{Entry, EntryKind};
use std::collections::HashSet;
use std::sync::Arc;

/// Most directories that are remembered as replaced or expected; where there are more, a walk costs little more.
const REMEMBERED_MAX: usize = 1 << 20;

/// Follows a walk of changes.
pub(crate) struct Staying {
    changes: Arc<dyn Changes>,
    /// The directory that was listed last.
    listed: Option<Arc<[u8]>>,
    /// The directory that was given whole last: so is all below it.
    whole: Option<Arc<[u8]>>,
    /// Directories of the base of which nothing stays, and nothing below them.
    replaced: HashSet<Vec<u8>>,
    /// Directories that have to be given whole.
    expected: HashSet<Vec<u8>>,
    /// Whether entries of this directory stay: most of the time the next one is in the same.
    last: Option<(Arc<[u8]>, bool)>,
    /// The same, for what opens them.
    handle: Option<Opened>,
}

/// A directory, and what opens its entries.
type Opened = (Arc<[u8]>, Arc<dyn SourceDirectory>);

impl Staying {
    pub(crate) fn new(changes: Arc<dyn Changes>) -> Self {
        let (replaced, expected) = (HashSet::new(), HashSet::new());
        Self { changes, listed: None, whole: None, replaced, expected, last: None, handle: None }
    }

    /// The entries of a directory follow, or all below it.
    pub(crate) fn listed(&mut self, directory: Arc<[u8]>, whole: bool) -> Result<()> {
        self.last = None;
        if whole {
            self.expected.remove(&*directory);
            self.replace(directory.to_vec())?;
            self.whole = Some(directory.clone());
        }
        self.listed = Some(directory);
        Ok(())
    }

    /// The walk gave an entry, of which the base has this.
    pub(crate) fn found(&mut self, directory: &[u8], found: &SourceEntry, base: Option<&Entry>) -> Result<()> {
        let is_directory = found.metadata.kind == EntryKind::Directory;
        let was_directory = base.is_some_and(|base| base.metadata.kind == EntryKind::Directory);
        if !is_directory && !was_directory || self.whole.as_ref().is_some_and(|whole| is_within(directory, whole)) {
            return Ok(());
        }
        let same = base.is_some_and(|base| base.metadata.inode == found.metadata.inode);
        let path = path::join(directory, &found.name);
        match (is_directory, was_directory) {
            (true, true) if same => Ok(()),
            (true, _) => self.expect(path),
            (false, _) => self.replace(path),
        }
    }

    /// Whether the walk leaves an entry of the base, which it passed, as it is.
    pub(crate) fn stays(&mut self, directory: &Arc<[u8]>, entry: &Entry) -> Result<bool> {
        let stays = match &self.last {
            Some((last, stays)) if last == directory => *stays,
            _ => {
                let stays = self.listed.as_ref() != Some(directory) && !self.is_below_replaced(directory);
                self.last = Some((directory.clone(), stays));
                stays
            }
        };
        if !stays && entry.metadata.kind == EntryKind::Directory && !self.is_below_replaced(directory) {
            self.replace(path::join(directory, &entry.name))?;
        }
        Ok(stays)
    }

    /// A look at an entry that stays, if it may have changed all the same.
    pub(crate) fn look(&self, directory: &[u8], entry: &Entry) -> Option<std::io::Result<SourceEntry>> {
        let by_another_name = entry.metadata.kind != EntryKind::Directory && self.changes.touches(entry.metadata.inode);
        by_another_name.then(|| self.changes.look(directory, &entry.name))
    }

    /// What opens the entries of a directory that stay.
    pub(crate) fn handle(&mut self, directory: &Arc<[u8]>) -> Arc<dyn SourceDirectory> {
        match &self.handle {
            Some((last, handle)) if last == directory => handle.clone(),
            _ => {
                let handle = self.changes.directory(directory);
                self.handle = Some((directory.clone(), handle.clone()));
                handle
            }
        }
    }

    /// The walk is over: nothing may be left that it had to give.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.expected.is_empty() {
            true => Ok(()),
            false => Err(EngineError::ChangesUnknown("there is a directory that the last point does not have")),
        }
    }

    fn is_below_replaced(&self, directory: &[u8]) -> bool {
        if self.replaced.is_empty() {
            return false;
        }
        let ends = directory.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        [0].into_iter().chain(ends).chain([directory.len()]).any(|end| self.replaced.contains(&directory[..end]))
    }

    fn replace(&mut self, directory: Vec<u8>) -> Result<()> {
        self.replaced.insert(directory);
        self.check()
    }

    fn expect(&mut self, directory: Vec<u8>) -> Result<()> {
        self.expected.insert(directory);
        self.check()
    }

    fn check(&self) -> Result<()> {
        match self.replaced.len() + self.expected.len() <= REMEMBERED_MAX {
            true => Ok(()),
            false => Err(EngineError::ChangesUnknown("more directories changed than are kept in mind")),
        }
    }
}
