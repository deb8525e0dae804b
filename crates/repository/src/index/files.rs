//! Segment files: in a directory, or in memory for simulation.

use memmap2::Mmap;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

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
    Memory(Arc<Mutex<BTreeMap<u64, Arc<Vec<u8>>>>>),
}

impl SegmentFiles {
    /// Stores a segment durably under its id. A file of that id that is there from an attempt that failed is replaced: no
    /// row of the ledger names it.
    pub(crate) fn store(&self, id: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Directory(directory) => store_file(directory, id, bytes),
            Self::Memory(files) => {
                files.lock().expect("no panic under this lock").insert(id, Arc::new(bytes.to_vec()));
                Ok(())
            }
        }
    }

    /// Opens a segment's bytes.
    pub(crate) fn open(&self, id: u64) -> io::Result<SegmentBytes> {
        match self {
            Self::Directory(directory) => {
                let file = File::open(path(directory, id))?;
                Ok(SegmentBytes::Mapped(Arc::new(map(&file)?)))
            }
            Self::Memory(files) => {
                let files = files.lock().expect("no panic under this lock");
                files.get(&id).cloned().map(SegmentBytes::Memory).ok_or_else(|| io::ErrorKind::NotFound.into())
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
            Self::Memory(files) => files.lock().expect("no panic under this lock").clear(),
        }
    }

    /// Removes a segment's file, if it is there.
    pub(crate) fn remove(&self, id: u64) {
        match self {
            Self::Directory(directory) => {
                // A file that stays is garbage and no harm: its id is never used again.
                let _ = fs::remove_file(path(directory, id));
            }
            Self::Memory(files) => {
                files.lock().expect("no panic under this lock").remove(&id);
            }
        }
    }
}

fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:016x}.segment"))
}

fn store_file(directory: &Path, id: u64, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let temporary = directory.join(format!("{id:016x}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path(directory, id)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        return written;
    }
    File::open(directory)?.sync_all()
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
