//! The database's file: made whole or not at all, readable by its owner only, and still the one that was opened.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Under this many free bytes a failed write is put down to the full disk: SQLite does not hand all its causes on.
const ROOM_BYTES_MIN: u64 = 1 << 20;

static NEXT_NEW_FILE: AtomicU64 = AtomicU64::new(0);

/// A database file that is there.
#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl LedgerFile {
    /// The file at `path`, or `NotFound`.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Self { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if another file, or none, stands at the path by now: whoever else opens it there does not see what we do.
    pub(super) fn check_in_place(&self) -> io::Result<()> {
        if Self::at(&self.path)?.identity == self.identity {
            Ok(())
        } else {
            Err(io::Error::other("its file was replaced by another"))
        }
    }
}

/// Whether there is next to no room (or no inode) left where `path` is.
pub(super) fn is_full(path: &Path) -> bool {
    let Some(Ok(place)) = path.parent().map(rustix::fs::statvfs) else { return false };
    place.f_bavail.saturating_mul(place.f_frsize) < ROOM_BYTES_MIN || (place.f_files > 0 && place.f_favail == 0)
}

/// An empty file next to `path` in which a database can be made; removed again unless it is published.
pub(super) struct NewFile {
    path: PathBuf,
    published: bool,
}

impl NewFile {
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        loop {
            let number = NEXT_NEW_FILE.fetch_add(1, Ordering::Relaxed);
            let path = with_suffix(path, &format!(".{}-{number}.new", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => return Ok(Self { path, published: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the closed database its name, durably. Fails with `AlreadyExists` if something bears it.
    ///
    /// A log that an earlier database of that name left behind would be replayed into this one: it goes first. The
    /// directory is locked meanwhile, because the log could also belong to a database that somebody else made just now.
    pub(super) fn publish(mut self, path: &Path) -> io::Result<()> {
        let parent = path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no parent directory"))?;
        let directory = File::open(parent)?;
        directory.lock()?;
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        for suffix in ["-wal", "-shm", "-journal"] {
            match fs::remove_file(with_suffix(path, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, path)?;
        self.published = true;
        directory.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.published {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                // nothing depends on it: the name is never used again
                let _ = fs::remove_file(with_suffix(&self.path, suffix));
            }
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
