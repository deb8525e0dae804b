//! The calls that change a disk. In tests they can be watched, and told to fail.

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Every change of the disk goes through here.
#[derive(Default)]
pub(super) struct Disk {
    /// The sync of a directory failed. The kernel tells of an error once: a second sync would succeed without having brought
    /// anything to the disk.
    broken: AtomicBool,
    #[cfg(test)]
    pub(super) watch: watch::Watch,
}

/// What a watched call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    MakeDirectory,
    MakeFile,
    SyncFile,
    Rename,
    Link,
    Unlink,
    SyncDirectory,
    SyncAll,
    Lock,
}

impl Disk {
    /// Whether a sync of a directory failed, so that what is on the disk is not known until the store is opened again.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Makes a directory for the owner's eyes only. Whether it was not there before.
    pub(super) fn make_directory(&self, path: &Path) -> io::Result<bool> {
        self.note(Call::MakeDirectory, path)?;
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Err(_) if fs::symlink_metadata(path)?.is_dir() => Ok(false),
            // mkdir says "exists" for a file or a symbolic link too.
            Err(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Makes a new file for the owner's eyes only.
    pub(super) fn make_file(&self, path: &Path) -> io::Result<File> {
        self.note(Call::MakeFile, path)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    /// Brings a file's content and length to the disk. After an error the kernel may have dropped what it could not write:
    /// the file must not be used any more.
    pub(super) fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.note(Call::SyncFile, path)?;
        file.sync_all()
    }

    /// Brings the names in a directory to the disk.
    pub(super) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::DIRECTORY.bits() as i32;
        let directory = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let synced = self.note(Call::SyncDirectory, path).and_then(|()| directory.sync_all());
        if synced.is_err() {
            self.broken.store(true, Ordering::Release);
        }
        synced
    }

    /// Brings everything in the file system of a directory to the disk.
    pub(super) fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.note(Call::SyncAll, path)?;
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    /// Moves a file to a name that must not exist; `AlreadyExists` when it does, and then the file is where it was.
    pub(super) fn publish(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.rename(from, to) {
            Err(error) if lacks_no_replace(&error) => {}
            other => return other,
        }
        self.note(Call::Link, to)?;
        fs::hard_link(from, to)?;
        // The second name is garbage from now on: should this fail, the clearing of left-overs finds it.
        let _ = self.remove_file(from);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Call::Rename, to)?;
        Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    /// Waits for the advisory lock of a directory, which its descriptor then holds.
    pub(super) fn lock(&self, directory: &File, path: &Path) -> io::Result<()> {
        self.note(Call::Lock, path)?;
        match rustix::fs::flock(directory, FlockOperation::LockExclusive) {
            // No such locks here: then nobody else gets this one either.
            Err(Errno::NOLCK | Errno::NOSYS | Errno::NOTSUP | Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Removes a file.
    pub(super) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.note(Call::Unlink, path)?;
        fs::remove_file(path)
    }

    #[cfg(not(test))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    fn note(&self, _: Call, _: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn note(&self, call: Call, path: &Path) -> io::Result<()> {
        self.watch.note(call, path)
    }
}

/// Whether the error is that of a file system or kernel without `RENAME_NOREPLACE`.
fn lacks_no_replace(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP))
}

#[cfg(test)]
pub(super) mod watch {
    use super::Call;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    /// What somebody else does at a bad moment.
    pub(crate) type Interference = Box<dyn FnOnce() + Send>;

    /// The calls so far, and those that shall fail.
    #[derive(Default)]
    pub(crate) struct Watch {
        calls: Mutex<Vec<(Call, PathBuf)>>,
        failing: Mutex<Vec<(Call, i32)>>,
        interfering: Mutex<Option<(Call, Interference)>>,
    }

    impl Watch {
        pub(super) fn note(&self, call: Call, path: &Path) -> io::Result<()> {
            if let Some((_, interfere)) = self.interfering.lock().unwrap().take_if(|(at, _)| *at == call) {
                interfere();
            }
            if let Some((_, errno)) = self.failing.lock().unwrap().iter().find(|(failing, _)| *failing == call) {
                return Err(io::Error::from_raw_os_error(*errno));
            }
            self.calls.lock().unwrap().push((call, path.to_owned()));
            Ok(())
        }

        /// The calls since the last time.
        pub(crate) fn take(&self) -> Vec<(Call, PathBuf)> {
            std::mem::take(&mut self.calls.lock().unwrap())
        }

        /// Lets all calls of a kind fail with that error.
        pub(crate) fn fail(&self, call: Call, errno: i32) {
            self.failing.lock().unwrap().push((call, errno));
        }

        /// Lets somebody else do something just before the next call of a kind.
        pub(crate) fn interfere(&self, call: Call, interfere: impl FnOnce() + Send + 'static) {
            *self.interfering.lock().unwrap() = Some((call, Box::new(interfere)));
        }

        pub(crate) fn fail_no_more(&self) {
            self.failing.lock().unwrap().clear();
        }
    }
}
