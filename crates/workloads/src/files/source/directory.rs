//! Open directories, within a limit of open files.
//!
//! A directory keeps its descriptor while the machine's share of descriptors allows it; otherwise it is opened anew each
//! time, from `/` down its path. What is found there then must be the same directory (device and inode), or it has vanished.

use super::file::File;
use crate::files::owners::Owners;
use crate::files::walk::Place;
use crate::platform::{self, Found, Stat};
use engine::source::{Details, SourceDirectory, SourceFile};
use format::page::{EntryKind, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What all directories of a walk share.
pub(crate) struct Machine {
    slash: OwnedFd,
    owners: Owners,
    /// Directories that keep their descriptor now.
    kept: AtomicUsize,
    kept_max: usize,
    files_max: usize,
}

/// A directory of a file set.
pub(crate) struct Directory {
    machine: Arc<Machine>,
    place: Arc<Place>,
    /// Device and inode.
    identity: (u64, u64),
    descriptor: OnceLock<OwnedFd>,
}

/// A descriptor that is kept, or one for this use only.
pub(crate) enum Handle<'a> {
    Kept(&'a OwnedFd),
    Passing(OwnedFd),
}

impl AsFd for Handle<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Kept(descriptor) => descriptor.as_fd(),
            Self::Passing(descriptor) => descriptor.as_fd(),
        }
    }
}

impl Machine {
    /// Opens `/` and reads the names of users and groups.
    pub(crate) fn new() -> io::Result<Self> {
        let open_files = platform::raise_open_files();
        Ok(Self {
            slash: platform::open_path_of_slash()?,
            owners: Owners::of_this_machine(),
            kept: AtomicUsize::new(0),
            kept_max: (open_files / 4).clamp(8, 2048) as usize,
            files_max: (open_files / 4) as usize,
        })
    }

    /// How many files may be open at once: as large a share of the descriptors as directories have.
    pub(crate) fn files_max(&self) -> usize {
        self.files_max
    }

    /// The directory `/`.
    pub(crate) fn slash(&self) -> BorrowedFd<'_> {
        self.slash.as_fd()
    }

    /// What of a `stat` is kept. Sizes of directories, fifos and devices say nothing about their content and are zero.
    pub(crate) fn metadata(&self, stat: &Stat) -> io::Result<Metadata> {
        let Found::Kept(kind) = stat.found else {
            return Err(io::Error::other("it is of a kind that is not kept"));
        };
        let sized = matches!(kind, EntryKind::File | EntryKind::Symlink);
        let is_device = matches!(kind, EntryKind::CharacterDevice | EntryKind::BlockDevice);
        Ok(Metadata {
            kind,
            mode: stat.mode,
            user: self.owners.user(stat.user),
            group: self.owners.group(stat.group),
            modified: stat.modified,
            changed: stat.changed,
            inode: stat.inode,
            names: stat.names,
            size: if sized { stat.size } else { 0 },
            device: if is_device { stat.device } else { (0, 0) },
        })
    }

    /// Attributes of an entry, and the target of a symlink.
    pub(crate) fn details(directory: BorrowedFd<'_>, name: &[u8], kind: EntryKind) -> io::Result<Details> {
        let (attributes, unreadable) = platform::read_attributes(directory, name)?;
        let target = match kind {
            EntryKind::Symlink => platform::read_link(directory, name)?,
            _ => Vec::new(),
        };
        Ok(Details { attributes, target, unreadable })
    }

    /// Opens a regular file.
    pub(crate) fn open(self: &Arc<Self>, directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Box<dyn SourceFile>> {
        let file = platform::open_file(directory, name)?;
        Ok(Box::new(File::new(file, self.clone())?))
    }

    /// Takes a share of the descriptors, unless more than `max` are taken.
    fn take_share(&self, max: usize) -> bool {
        self.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| (kept < max).then_some(kept + 1)).is_ok()
    }
}

impl Directory {
    /// A directory that was just opened. Keeps the descriptor while not more than half of all are kept: the other half is for
    /// those that are being read now.
    pub(crate) fn new(machine: &Arc<Machine>, place: Arc<Place>, opened: OwnedFd) -> io::Result<Self> {
        let stat = platform::stat_open(opened.as_fd())?;
        let identity = (stat.file_system, stat.inode);
        let directory = Self { machine: machine.clone(), place, identity, descriptor: OnceLock::new() };
        if machine.take_share(machine.kept_max / 2) {
            let _ = directory.descriptor.set(opened);
        }
        Ok(directory)
    }

    /// Device number of its file system.
    pub(crate) fn file_system(&self) -> u64 {
        self.identity.0
    }

    /// Its descriptor.
    pub(crate) fn handle(&self) -> io::Result<Handle<'_>> {
        if let Some(descriptor) = self.descriptor.get() {
            return Ok(Handle::Kept(descriptor));
        }
        let opened = platform::descend(self.machine.slash(), &self.place.path())?;
        let stat = platform::stat_open(opened.as_fd())?;
        if (stat.file_system, stat.inode) != self.identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "its directory was replaced by another one"));
        }
        if !self.machine.take_share(self.machine.kept_max) {
            return Ok(Handle::Passing(opened));
        }
        if let Err(second) = self.descriptor.set(opened) {
            self.machine.kept.fetch_sub(1, Ordering::Relaxed);
            return Ok(Handle::Passing(second));
        }
        self.descriptor.get().map(Handle::Kept).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.descriptor.get().is_some() {
            self.machine.kept.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl SourceDirectory for Directory {
    fn details(&self, name: &[u8], kind: EntryKind) -> io::Result<Details> {
        Machine::details(self.handle()?.as_fd(), name, kind)
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn SourceFile>> {
        self.machine.open(self.handle()?.as_fd(), name)
    }
}
