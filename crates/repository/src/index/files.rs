//! Segment files: in a directory, or in memory for simulation.

use format::segment::{Segment, SegmentPack, merge};
use memmap2::Mmap;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes of a draft that wait for the disk together.
const STEADY_BYTES: u64 = 32 << 20;
/// How names of drafts end.
const DRAFT: &str = "draft";
/// How names of segments end.
const SEGMENT: &str = "segment";
/// How names of files end that are becoming segments.
const NEW: &str = "new";
/// What is left behind is removed so long afterwards.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);
const DRAFT_IN_MEMORY: u64 = 1 << 63;

/// Bytes of a segment.
#[derive(Debug, Clone)]
pub(crate) enum SegmentBytes {
    /// Memory-mapped.
    Mapped(Arc<Mmap>),
    /// In memory.
    Memory(Arc<Vec<u8>>),
}

impl AsRef<[u8]> for SegmentBytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}

/// Where segment files lie.
#[derive(Debug)]
pub(crate) enum SegmentFiles {
    /// In a directory that belongs to the domain alone.
    Directory(PathBuf),
    /// In memory.
    #[cfg_attr(not(test), allow(dead_code))]
    Memory(Arc<Mutex<MemoryFiles>>),
}

/// Segments in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryFiles {
    files: BTreeMap<u64, Arc<Vec<u8>>>,
    /// Nothing more can be stored.
    pub(crate) is_full: bool,
}

impl MemoryFiles {
    fn store(&mut self, id: u64, bytes: Vec<u8>) -> io::Result<()> {
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.files.insert(id, Arc::new(bytes));
        Ok(())
    }

    fn open(&self, id: u64) -> io::Result<SegmentBytes> {
        self.files.get(&id).cloned().map(SegmentBytes::Memory).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A segment that is not one yet. While this is there nobody takes its file for left behind.
#[derive(Debug)]
pub(crate) struct Draft {
    name: [u8; 16],
    _file: Option<File>,
}

impl SegmentFiles {
    /// Stores a segment durably under its id. A file of that id that is there from an attempt that failed is replaced: no
    /// row of the ledger names it.
    pub(crate) fn store(&self, id: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Directory(directory) => store_file(directory, id, bytes),
            Self::Memory(files) => files.lock().expect("no panic under this lock").store(id, bytes.to_vec()),
        }
    }

    /// Removes drafts that a process left behind when it died.
    pub(crate) fn remove_drafts(&self) {
        match self {
            Self::Directory(directory) => remove_drafts(directory),
            Self::Memory(_) => {}
        }
    }

    /// Merges segments, of the packs for which `keep` answers true, into a draft of one, named by a random number. What is in memory does
    /// not grow with their entries.
    pub(crate) fn merge(
        &self,
        name: [u8; 16],
        segments: &[&Segment<SegmentBytes>],
        keep: impl Fn(&SegmentPack) -> bool,
    ) -> io::Result<Draft> {
        let file = match self {
            Self::Directory(directory) => {
                let path = draft_path(directory, name);
                let file = create_locked(directory, &path)?;
                Some(write_whole(file, &path, |file| merge(segments, keep, &mut Steady::new(file)).map(drop))?)
            }
            Self::Memory(files) => {
                let mut bytes = Cursor::new(Vec::new());
                merge(segments, keep, &mut bytes)?;
                files.lock().expect("no panic under this lock").store(draft_id(name), bytes.into_inner())?;
                None
            }
        };
        Ok(Draft { name, _file: file })
    }

    /// Whether so many bytes fit twice. Where that cannot be told, writing them tells.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        match self {
            Self::Directory(directory) => {
                let told = rustix::fs::statvfs(directory);
                told.map_or(true, |told| told.f_bavail.saturating_mul(told.f_frsize) / 2 >= bytes)
            }
            Self::Memory(_) => true,
        }
    }

    /// Makes a draft the segment of this id.
    pub(crate) fn adopt(&self, draft: &Draft, id: u64) -> io::Result<()> {
        match self {
            Self::Directory(directory) => {
                fs::rename(draft_path(directory, draft.name), path(directory, id))?;
                File::open(directory)?.sync_all()
            }
            Self::Memory(files) => {
                let files = &mut files.lock().expect("no panic under this lock").files;
                let bytes = files.remove(&draft_id(draft.name)).ok_or(io::ErrorKind::NotFound)?;
                files.insert(id, bytes);
                Ok(())
            }
        }
    }

    /// Removes a draft, if it is there.
    pub(crate) fn remove_draft(&self, draft: &Draft) {
        match self {
            Self::Directory(directory) => drop(fs::remove_file(draft_path(directory, draft.name))),
            Self::Memory(files) => drop(files.lock().expect("no panic under this lock").files.remove(&draft_id(draft.name))),
        }
    }

    /// Opens a segment's bytes.
    pub(crate) fn open(&self, id: u64) -> io::Result<SegmentBytes> {
        match self {
            Self::Directory(directory) => open_file(&path(directory, id)),
            Self::Memory(files) => files.lock().expect("no panic under this lock").open(id),
        }
    }

    /// Opens a draft's bytes, which stay what they are when it is adopted.
    pub(crate) fn open_draft(&self, draft: &Draft) -> io::Result<SegmentBytes> {
        match self {
            Self::Directory(directory) => open_file(&draft_path(directory, draft.name)),
            Self::Memory(files) => files.lock().expect("no panic under this lock").open(draft_id(draft.name)),
        }
    }

    /// Removes segments that are not among these, and those that were stored halfway, if they have been there for long: a process that a rebuild
    /// has fenced off meanwhile, and does not know, must not remove what that has made.
    pub(crate) fn remove_left(&self, named: &BTreeSet<u64>) {
        match self {
            Self::Directory(directory) => remove_left(directory, named),
            Self::Memory(files) => {
                files.lock().expect("no panic under this lock").files.retain(|id, _| named.contains(id) || is_draft(*id))
            }
        }
    }

    /// Removes all segment files: a rebuild starts anew.
    pub(crate) fn clear(&self) {
        match self {
            Self::Directory(directory) => {
                let Ok(files) = fs::read_dir(directory) else { return };
                files.flatten().for_each(|file| {
                    let _ = fs::remove_file(file.path());
                });
            }
            Self::Memory(files) => files.lock().expect("no panic under this lock").files.clear(),
        }
    }

    /// Removes a segment's file, if it is there.
    pub(crate) fn remove(&self, id: u64) {
        match self {
            Self::Directory(directory) => {
                // A file that stays is garbage and no harm: its id is never used again, and a collection removes it.
                let _ = fs::remove_file(path(directory, id));
            }
            Self::Memory(files) => {
                files.lock().expect("no panic under this lock").files.remove(&id);
            }
        }
    }
}

fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:016x}.{SEGMENT}"))
}

fn open_file(path: &Path) -> io::Result<SegmentBytes> {
    Ok(SegmentBytes::Mapped(Arc::new(map(&File::open(path)?)?)))
}

fn draft_path(directory: &Path, draft: [u8; 16]) -> PathBuf {
    directory.join(format!("{:032x}.{DRAFT}", u128::from_be_bytes(draft)))
}

/// In memory drafts lie among the segments, whose ids are small.
fn draft_id(draft: [u8; 16]) -> u64 {
    u128::from_be_bytes(draft) as u64 | DRAFT_IN_MEMORY
}

fn is_draft(id: u64) -> bool {
    id & DRAFT_IN_MEMORY != 0
}

fn remove_drafts(directory: &Path) {
    let Ok(files) = fs::read_dir(directory) else { return };
    let drafts = files.flatten().filter(|file| file.path().extension().is_some_and(|ending| ending == DRAFT));
    for draft in drafts {
        let Ok(file) = File::open(draft.path()) else { continue };
        let is_left = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => is_old(&draft),
        };
        if is_left {
            let _ = fs::remove_file(draft.path());
        }
    }
}

fn is_old(file: &DirEntry) -> bool {
    let age = file.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age >= LEFT)
}

fn remove_left(directory: &Path, named: &BTreeSet<u64>) {
    let Ok(files) = fs::read_dir(directory) else { return };
    for file in files.flatten() {
        let path = file.path();
        let id = path.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
        let is_named = id.is_some_and(|id| named.contains(&id));
        let is_left = path.extension().is_some_and(|ending| ending == NEW || ending == SEGMENT && id.is_some() && !is_named);
        if is_left && is_old(&file) {
            let _ = fs::remove_file(path);
        }
    }
}

fn store_file(directory: &Path, id: u64, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{id:016x}.{NEW}"));
    write_file(directory, &temporary, |file| file.write_all(bytes))?;
    if let Err(error) = fs::rename(&temporary, path(directory, id)) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// A file that is whole and durable, or not there.
fn write_file(directory: &Path, path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    write_whole(create(directory, path)?, path, write)
}

fn create(directory: &Path, path: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// A draft's file. Whoever looks for drafts left behind may see and remove it before it is locked: then it is made once more.
fn create_locked(directory: &Path, path: &Path) -> io::Result<File> {
    let create = || {
        let file = create(directory, path)?;
        // Where there are no locks, it is left behind when it is old.
        let _ = file.lock();
        Ok(file)
    };
    let file: File = create()?;
    // Not for as long as it takes: some file systems tell of no names.
    if file.metadata()?.nlink() > 0 { Ok(file) } else { create() }
}

fn write_whole(mut file: File, path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let written = write(&mut file).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.map(|()| file)
}

/// Writes what others wait behind if it all goes to the disk at once.
struct Steady<'a> {
    file: &'a mut File,
    /// Bytes that may not be on the disk yet.
    written: u64,
}

impl<'a> Steady<'a> {
    fn new(file: &'a mut File) -> Self {
        Self { file, written: 0 }
    }
}

impl Write for Steady<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= STEADY_BYTES {
            self.flush()?;
        }
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.written = 0;
        self.file.sync_data()
    }
}

impl Seek for Steady<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Maps a segment file.
///
/// Safety argument: segment files are written once under a name that nobody maps, renamed, and never written again; the
/// directory belongs to the vault (mode 0700). A process of the same user that truncates one anyway can make this process
/// stop with SIGBUS; it cannot make it misbehave otherwise, since every position is bounds-checked against the length at
/// mapping and all bytes are treated as untrusted.
#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: see above.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::samples;

    fn names(directory: &Path) -> Vec<String> {
        let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = files.collect();
        names.sort();
        names
    }

    /// Packs of the segment with this id.
    fn packs(files: &SegmentFiles, id: u64) -> usize {
        Segment::open(files.open(id).unwrap()).unwrap().packs().len()
    }

    #[test]
    fn a_disk_has_no_room_for_more_than_half_of_what_is_free_there() {
        let directory = tempfile::tempdir().unwrap();
        let told = rustix::fs::statvfs(directory.path()).unwrap();
        let free = told.f_bavail * told.f_frsize;
        let files = SegmentFiles::Directory(directory.path().to_owned());
        assert!(files.has_room(0) && files.has_room(free / 4));
        assert!(!files.has_room(free) && !files.has_room(u64::MAX));
    }

    #[test]
    fn files_that_no_segment_has_are_removed_when_they_are_old() {
        let directory = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - LEFT - Duration::from_secs(60);
        let files = ["0000000000000001", "0000000000000002", "0000000000000003", "somebody's"];
        for file in files.map(|stem| format!("{stem}.segment")).into_iter().chain(["0000000000000004.new".to_owned()]) {
            let file = File::create(directory.path().join(file)).unwrap();
            file.set_modified(old).unwrap();
        }
        for young in ["0000000000000005.segment", "0000000000000006.new"] {
            File::create(directory.path().join(young)).unwrap();
        }
        SegmentFiles::Directory(directory.path().to_owned()).remove_left(&BTreeSet::from([1, 3]));
        let left = [
            "0000000000000001.segment",
            "0000000000000003.segment",
            "0000000000000005.segment",
            "0000000000000006.new",
            "somebody's.segment",
        ];
        assert_eq!(names(directory.path()), left);
    }

    #[test]
    fn a_draft_is_a_segment_once_it_is_adopted_and_one_left_behind_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let files = SegmentFiles::Directory(directory.path().to_owned());
        let bytes = |number| {
            let row = samples::pack_row(number, 2);
            let footer = samples::footer(&row, &[format::BlobId([1; 32]), format::BlobId([2; 32])]);
            format::segment::build(&[(row.number, row.length, footer)]).unwrap()
        };
        files.store(1, &bytes(1)).unwrap();
        files.store(2, &bytes(2)).unwrap();
        let segments = [1, 2].map(|id| Segment::open(files.open(id).unwrap()).unwrap());
        let both: Vec<_> = segments.iter().collect();
        let in_the_making = files.merge([1; 16], &both, |_| true).unwrap();
        drop(files.merge([2; 16], &both, |_| true).unwrap());
        // Nobody else is at the second one.
        files.remove_drafts();
        let left = Draft { name: [2; 16], _file: None };
        assert_eq!(files.adopt(&left, 3).unwrap_err().kind(), io::ErrorKind::NotFound);
        files.adopt(&in_the_making, 3).unwrap();
        assert_eq!(packs(&files, 3), 2);
        let unwanted = files.merge([3; 16], &both, |pack| pack.number == 2).unwrap();
        files.remove_draft(&unwanted);
        let left = ["0000000000000001.segment", "0000000000000002.segment", "0000000000000003.segment"];
        assert_eq!(names(directory.path()), left);
    }
}
