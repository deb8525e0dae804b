//! A regular file that is being restored.

use super::open_files::{OpenFile, OpenFiles};
use super::report::{Tally, concerns_entry_only};
use crate::error::{EngineError, Result};
use crate::spill::SpillMap;
use crate::target::{TargetFile, TreeTarget};
use format::page::{Attribute, Entry, Metadata};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A file, its pieces written by any thread. It is finished (and gets its modification time) when its last piece is written
/// and the planner has planned them all; until then an interruption leaves it recognisably unfinished.
pub(crate) struct FileJob {
    /// Where it goes.
    pub(crate) path: Vec<u8>,
    /// Its path in the point, for reports.
    pub(crate) origin: Vec<u8>,
    pub(crate) metadata: Metadata,
    pub(crate) attributes: Vec<Attribute>,
    /// Further names may be made of it.
    has_links: bool,
    /// Pieces that are not written, and one while it is being planned.
    open: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<Arc<dyn TargetFile>>,
    is_changed_in_place: bool,
    /// Its place, where it has pieces of several blobs.
    place: Option<OpenFile>,
    /// Damage or an error: it is not finished, and what was made of it is removed.
    given_up: bool,
}

impl State {
    fn close(&mut self) {
        (self.file, self.place) = (None, None);
    }

    /// What is left of a file that is given up, to be told.
    fn left(&self) -> &'static str {
        if self.is_changed_in_place { "; what is there may be changed in part" } else { "" }
    }
}

/// What threads write files with.
pub(crate) struct Writing {
    pub(crate) target: Arc<dyn TreeTarget>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) open_files: Arc<OpenFiles>,
    /// Paths of files that were given up and of which further names are to be made: whatever stands there is another file.
    given_up: Mutex<SpillMap>,
}

impl Writing {
    pub(crate) fn new(target: Arc<dyn TreeTarget>, tally: Arc<Tally>) -> Self {
        let open_files = OpenFiles::new(target.open_files_max());
        Self { target, tally, open_files, given_up: Mutex::default() }
    }

    /// Whether the file that goes to this path was given up.
    pub(crate) fn is_given_up(&self, path: &[u8]) -> Result<bool> {
        Ok(self.given_up.lock().unwrap_or_else(PoisonError::into_inner).get(path)?.is_some())
    }

    fn give_up(&self, path: &[u8]) -> Result<()> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(path, Vec::new())
    }
}

impl FileJob {
    pub(crate) fn new(path: Vec<u8>, origin: Vec<u8>, entry: Entry, attributes: Vec<Attribute>) -> Arc<Self> {
        let (open, state) = (AtomicU64::new(1), Mutex::default());
        let has_links = entry.link_group.is_some();
        Arc::new(Self { path, origin, metadata: entry.metadata, attributes, has_links, open, state })
    }

    /// Counts a piece that is to be written.
    pub(crate) fn add_piece(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it has the place of one that stays open.
    pub(crate) fn has_place(&self) -> bool {
        self.lock().place.is_some()
    }

    /// Gives it the place of one that stays open.
    pub(crate) fn stay_open(&self, place: OpenFile) {
        self.lock().place = Some(place);
    }

    /// Makes room for what is written next. An error of this file is noted, one of the target as a whole is answered.
    pub(crate) fn reserve(&self, writing: &Writing, ranges: &[Range<u64>]) -> Result<()> {
        match self.file(writing).and_then(|file| file.map_or(Ok(()), |file| file.reserve(ranges))) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(writing, error),
        }
    }

    /// Writes a piece. An error of this file is noted, one of the target as a whole is answered.
    pub(crate) fn write(&self, writing: &Writing, bytes: &[u8], offset: u64) -> Result<()> {
        match self.file(writing) {
            Ok(Some(file)) => match file.write_at(bytes, offset) {
                Ok(()) => writing.tally.bytes_written.add(bytes.len() as u64),
                Err(error) => self.fail(writing, error)?,
            },
            Ok(None) => {}
            Err(error) => self.fail(writing, error)?,
        }
        self.piece_done(writing)
    }

    /// A piece cannot be written because its blob is damaged.
    pub(crate) fn damage(&self, writing: &Writing, what: &EngineError) -> Result<()> {
        self.note_damage(writing, what);
        self.piece_done(writing)
    }

    /// It cannot be restored as it was.
    pub(crate) fn note_damage(&self, writing: &Writing, what: impl ToString) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.given_up, true) {
            writing.tally.damaged(&self.origin, format!("{}{}", what.to_string(), state.left()));
        }
    }

    /// A piece is written, or all pieces are planned. The last of these finishes the file.
    pub(crate) fn piece_done(&self, writing: &Writing) -> Result<()> {
        if self.open.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        if !self.lock().given_up {
            match self.finish(writing) {
                Ok(()) => {
                    writing.tally.files.add(1);
                    return Ok(());
                }
                Err(error) => self.fail(writing, error)?,
            }
        }
        // rather nothing than something that looks right, unless it was there and was to be changed in place
        self.lock().close();
        if self.has_links { writing.give_up(&self.path) } else { Ok(()) }
    }

    fn finish(&self, writing: &Writing) -> io::Result<()> {
        if let Some(file) = self.file(writing)? {
            let shortfalls = file.finish(&self.metadata, &self.attributes)?;
            writing.tally.shortfalls(&self.origin, shortfalls);
        }
        self.lock().close();
        Ok(())
    }

    /// The open file, made at its first use; none if it is given up.
    fn file(&self, writing: &Writing) -> io::Result<Option<Arc<dyn TargetFile>>> {
        let mut state = self.lock();
        if state.given_up {
            return Ok(None);
        }
        if state.file.is_none() {
            let there = writing.target.change_file(&self.path, &self.metadata, &self.attributes)?;
            state.is_changed_in_place = there.is_some();
            let file = there.map_or_else(|| writing.target.create_file(&self.path, self.metadata.size), Ok)?;
            state.file = Some(file.into());
        }
        Ok(state.file.clone())
    }

    /// Opens it before its turn, where it may be changed in place. An error of this file is noted, one of the target as a whole is answered.
    pub(crate) fn open(&self, writing: &Writing) -> Result<()> {
        match self.file(writing) {
            Ok(_) => Ok(()),
            Err(error) => self.fail(writing, error),
        }
    }

    /// The file, if it is open and changed in place.
    pub(crate) fn changed_in_place(&self) -> Option<Arc<dyn TargetFile>> {
        let state = self.lock();
        if state.is_changed_in_place { state.file.clone() } else { None }
    }

    fn fail(&self, writing: &Writing, error: io::Error) -> Result<()> {
        let mut state = self.lock();
        let known = std::mem::replace(&mut state.given_up, true);
        let left = state.left();
        drop(state);
        if !concerns_entry_only(&error) {
            return Err(EngineError::target(&self.path)(error));
        }
        if !known {
            let told = if left.is_empty() { error } else { io::Error::new(error.kind(), format!("{error}{left}")) };
            writing.tally.failed(&self.origin, &told);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
