//! Goes through the tree of a point: makes directories and what has no content at once, plans the content of files.

use super::directories::FoundDirectories;
use super::file_job::{FileJob, Writing};
use super::in_place::{COMPARED_BYTES_MIN, InPlace};
use super::links::Links;
use super::report::concerns_entry_only;
use super::selection::{Selected, Selection};
use super::window::{Piece, Window};
use crate::error::{EngineError, Result, printable};
use crate::path;
use crate::progress::Progress;
use crate::read::{ContentReader, LeafStream, PageReader, is_damage, read_attributes};
use crate::stop::Stop;
use crate::target::{DirectoryRole, Placement, Shortfall};
use crossbeam_channel::Sender;
use format::BlobId;
use format::page::{Attribute, EntryKind, Extent, TreeEntry};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

/// For smaller files no room is made beforehand.
const RESERVE_FILE_BYTES_MIN: u64 = 16 << 20;
/// Nor for less data: a file is open from when its room is made.
const RESERVE_BYTES_MIN: u64 = 4 << 20;

/// Plans a restore and does what is no file content.
pub(crate) struct Planner<'a> {
    pub(crate) pages: &'a PageReader,
    pub(crate) selection: &'a Selection,
    pub(crate) writing: &'a Writing,
    pub(crate) stop: &'a Stop,
    pub(crate) progress: &'a Progress,
    pub(crate) windows: Sender<Window>,
    pub(crate) window_bytes: u64,
    pub(crate) resume: bool,
    pub(crate) window: Window,
    pub(crate) directories: FoundDirectories,
    pub(crate) links: Links,
    /// Selected paths that were found.
    pub(crate) found: BTreeSet<usize>,
    /// Parts of the tree could not be read, and with them perhaps directories of what comes behind.
    pub(crate) has_gaps: bool,
    /// The directory that was bridged last.
    pub(crate) bridged: Vec<u8>,
    /// Compares files that are changed in place, if any are.
    pub(crate) in_place: Option<InPlace>,
}

/// What is done when the content of all files is written.
pub(crate) struct Planned {
    pub(crate) directories: FoundDirectories,
    pub(crate) links: Links,
    pub(crate) found: BTreeSet<usize>,
}

impl Planner<'_> {
    /// Goes through all leaves.
    pub(crate) fn run(mut self, leaves: LeafStream) -> Result<Planned> {
        for read in leaves {
            self.stop.check()?;
            let read = read?;
            match read.leaf {
                Ok(leaf) => leaf.entries.into_iter().try_for_each(|entry| self.entry(entry))?,
                Err(error) => {
                    let first = read.first.map_or_else(Vec::new, |first| path::join(&first.directory, &first.name));
                    let what = format!("a part of the tree that starts here cannot be read: {error}");
                    self.writing.tally.damaged(&first, what);
                    self.has_gaps = true;
                }
            }
        }
        self.send_window()?;
        let Self { directories, links, found, .. } = self;
        Ok(Planned { directories, links, found })
    }

    fn entry(&mut self, entry: TreeEntry) -> Result<()> {
        let origin = path::join(&entry.directory, &entry.entry.name);
        let is_directory = entry.entry.metadata.kind == EntryKind::Directory;
        let role = match self.selection.of(&origin) {
            Selected::Yes => DirectoryRole::Restored,
            Selected::OnTheWay if is_directory => DirectoryRole::OnTheWay,
            Selected::OnTheWay | Selected::No => return Ok(()),
        };
        self.found.extend(self.selection.naming(&origin));
        let Some(path) = self.selection.target(&origin).map(<[u8]>::to_vec) else {
            if !is_directory {
                let what = io::Error::other("--strip takes off more than it lies deep");
                self.writing.tally.failed(&origin, &what);
            }
            return Ok(());
        };
        self.progress.entries_found.add(1);
        let done = match self.bridge(&path) {
            Ok(()) if is_directory => self.directory(&path, role, entry),
            Ok(()) => self.other(path, &origin, entry),
            failed => failed,
        };
        match done {
            Ok(()) => {
                self.progress.entries_done.add(1);
                Ok(())
            }
            Err(Failure::Entry(error)) if concerns_entry_only(&error) => {
                self.writing.tally.failed(&origin, &error);
                Ok(())
            }
            Err(Failure::Entry(error)) => Err(EngineError::target(&origin)(error)),
            Err(Failure::All(error)) => Err(error),
        }
    }

    /// Makes the directories above an entry, where their own entries may have been in a part that cannot be read: what lies in
    /// them is not lost with them. They stay their owner's alone.
    fn bridge(&mut self, path: &[u8]) -> Result<(), Failure> {
        let above = path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |slash| &path[..slash]);
        if !self.has_gaps || above == self.bridged {
            return Ok(());
        }
        let slashes = above.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(place, _)| place);
        for end in slashes.chain([above.len()]).filter(|end| *end > 0) {
            self.writing.target.make_directory(&above[..end], DirectoryRole::OnTheWay)?;
        }
        self.bridged = above.to_vec();
        Ok(())
    }

    fn directory(&mut self, path: &[u8], role: DirectoryRole, entry: TreeEntry) -> Result<(), Failure> {
        if self.writing.target.make_directory(path, role)? {
            self.directories.push(entry)?;
        }
        Ok(())
    }

    fn other(&mut self, path: Vec<u8>, origin: &[u8], entry: TreeEntry) -> Result<(), Failure> {
        let entry = entry.entry;
        let target = &self.writing.target;
        if self.resume && target.holds(&path, &entry.metadata)? {
            if let Some(group) = &entry.link_group {
                self.links.set_first(group, &path)?;
            }
            self.writing.tally.resumed.add(1);
            self.progress.bytes_done.add(entry.metadata.size);
            return Ok(());
        }
        let placement = target.place(&path, &entry.metadata)?;
        match placement {
            Placement::Write => {}
            Placement::Skip => self.writing.tally.skipped.add(1),
            Placement::Conflict => self.writing.tally.in_the_way(origin),
        }
        if placement != Placement::Write {
            if let Some(group) = &entry.link_group {
                self.links.leave(group, &path)?;
            }
            self.progress.bytes_done.add(entry.metadata.size);
            return Ok(());
        }
        if let Some(group) = &entry.link_group
            && let Some(existing) = self.links.first(group)?
        {
            self.progress.bytes_done.add(entry.metadata.size);
            self.links.push(existing, path)?;
            return Ok(());
        }
        if let Some(group) = &entry.link_group
            && let Some(left) = self.links.left(group)?
        {
            let why = format!("'/{}' was left as it was: this is a file of its own now", printable(&left));
            self.writing.tally.shortfalls(origin, vec![Shortfall { what: "hard link".to_owned(), why }]);
        }
        let attributes = self.attributes(origin, &entry.attributes)?;
        let shortfalls = match entry.metadata.kind {
            EntryKind::File => {
                if let Some(group) = &entry.link_group {
                    self.links.set_first(group, &path)?;
                }
                return self.file(path, origin, entry, attributes).map_err(Failure::All);
            }
            EntryKind::Symlink => target.make_symlink(&path, &entry.target, &entry.metadata, &attributes)?,
            _ => target.make_node(&path, &entry.metadata, &attributes)?,
        };
        if let Some(group) = &entry.link_group {
            self.links.set_first(group, &path)?;
        }
        self.writing.tally.others.add(1);
        self.writing.tally.shortfalls(origin, shortfalls);
        Ok(())
    }

    /// The attributes; damaged ones are noted, and the entry is restored without.
    fn attributes(&self, origin: &[u8], attributes: &format::page::Attributes) -> Result<Vec<Attribute>> {
        attributes_or_damage(self.pages, self.writing, origin, attributes)
    }

    fn file(&mut self, path: Vec<u8>, origin: &[u8], entry: format::page::Entry, attributes: Vec<Attribute>) -> Result<()> {
        let size = entry.metadata.size;
        self.progress.bytes_found.add(size);
        let content = entry.content.clone();
        let job = FileJob::new(path, origin.to_vec(), entry, attributes);
        let pages = self.pages;
        let mut data = Stretches::of_file(size);
        let (mut at, mut first) = (0u64, None);
        if self.in_place.is_some() && size >= COMPARED_BYTES_MIN {
            self.stay_open(&job)?;
            job.open(self.writing)?;
        }
        for extent in ContentReader::new(pages, &content) {
            match extent {
                Ok(Extent::Hole { length }) => at = at.saturating_add(length),
                Ok(Extent::Data { length, .. }) if at.saturating_add(u64::from(length)) > size => {
                    job.note_damage(self.writing, "its content is longer than it should be");
                    return job.piece_done(self.writing);
                }
                Ok(Extent::Data { blob, offset: 0, length }) if self.is_there(&job, blob, at, length) => {
                    self.stop.check()?;
                    self.writing.tally.bytes_kept.add(u64::from(length));
                    self.progress.bytes_done.add(u64::from(length));
                    at = at.saturating_add(u64::from(length));
                }
                Ok(Extent::Data { blob, offset, length }) => {
                    // pieces of one blob are written in one go
                    if *first.get_or_insert(blob) != blob {
                        self.stay_open(&job)?;
                    }
                    job.add_piece();
                    self.window.push(blob, Piece { file: job.clone(), at, offset, length });
                    data.add(at, length);
                    at = at.saturating_add(u64::from(length));
                    if self.window.is_full(self.window_bytes) {
                        self.reserve(&job, &data.take())?;
                        self.send_window()?;
                    }
                }
                Err(error) if is_damage(&error) => {
                    job.note_damage(self.writing, error);
                    return job.piece_done(self.writing);
                }
                Err(error) => return Err(error),
            }
        }
        self.reserve(&job, &data.take())?;
        if at != size {
            job.note_damage(self.writing, "its content has another length than it should have");
        }
        job.piece_done(self.writing)
    }

    fn is_there(&mut self, job: &FileJob, blob: BlobId, at: u64, length: u32) -> bool {
        let range = at..at + u64::from(length);
        self.in_place.as_mut().is_some_and(|in_place| in_place.keeps(job, blob, &range))
    }

    /// Makes room for what is planned, in a file that stays open from now on.
    fn reserve(&mut self, job: &FileJob, ranges: &[Range<u64>]) -> Result<()> {
        if ranges.is_empty() {
            return Ok(());
        }
        self.stay_open(job)?;
        job.reserve(self.writing, ranges)
    }

    /// Gives the file a place, unless it has one: a further piece may be read much later than the first. Those that have places are planned whole, this one's pieces
    /// so far too: they are done once what was planned is written.
    fn stay_open(&mut self, job: &FileJob) -> Result<()> {
        while !job.has_place() {
            match self.writing.open_files.enter() {
                Some(place) => job.stay_open(place),
                None => {
                    self.send_window()?;
                    self.writing.open_files.wait_for_half(self.stop)?;
                }
            }
        }
        Ok(())
    }

    fn send_window(&mut self) -> Result<()> {
        if self.window.is_empty() {
            return Ok(());
        }
        let window = std::mem::take(&mut self.window);
        self.windows.send(window).map_err(|_| EngineError::Internal("the reading threads ended early"))
    }
}

/// Where data of a large file was planned since its room was made last.
struct Stretches {
    is_large: bool,
    bytes: u64,
    stretches: Vec<Range<u64>>,
}

impl Stretches {
    fn of_file(size: u64) -> Self {
        Self { is_large: size >= RESERVE_FILE_BYTES_MIN, bytes: 0, stretches: Vec::new() }
    }

    /// Adds data behind what was added before.
    fn add(&mut self, at: u64, length: u32) {
        let end = at.saturating_add(u64::from(length));
        self.bytes += u64::from(length);
        match self.stretches.last_mut() {
            _ if !self.is_large => {}
            Some(last) if last.end == at => last.end = end,
            _ => self.stretches.push(at..end),
        }
    }

    /// The stretches; none where it is little altogether.
    fn take(&mut self) -> Vec<Range<u64>> {
        let stretches = std::mem::take(&mut self.stretches);
        if std::mem::take(&mut self.bytes) < RESERVE_BYTES_MIN { Vec::new() } else { stretches }
    }
}

/// The attributes; damaged ones are noted, and the entry is restored without.
pub(crate) fn attributes_or_damage(
    pages: &PageReader,
    writing: &Writing,
    origin: &[u8],
    attributes: &format::page::Attributes,
) -> Result<Vec<Attribute>> {
    match read_attributes(pages, attributes) {
        Err(error) if is_damage(&error) => {
            writing.tally.damaged(origin, format!("restored without its extended attributes: {error}"));
            Ok(Vec::new())
        }
        read => read,
    }
}

/// Why an entry was not restored.
enum Failure {
    /// The target.
    Entry(io::Error),
    /// The vault, or this program.
    All(EngineError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Entry(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::All(error)
    }
}
