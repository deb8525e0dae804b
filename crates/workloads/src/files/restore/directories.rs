//! Open directories of a restore, by path, a limited number of them.

use crate::platform;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A directory beneath the destination.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    descriptor: OwnedFd,
    /// Whether what is made in it inherits an ACL.
    pub(super) has_default_acl: bool,
}

impl AsFd for OpenDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl OpenDirectory {
    fn new(descriptor: OwnedFd) -> Arc<Self> {
        let has_default_acl = platform::has_default_acl(descriptor.as_fd());
        Arc::new(Self { descriptor, has_default_acl })
    }
}

/// The destination and the directories beneath it that are open.
///
/// A directory that stays open is the one that its path named once; if somebody moves it and puts a symlink in its place, what
/// is restored goes into the moved directory, never through the symlink.
#[derive(Debug)]
pub(super) struct Directories {
    destination: Arc<OpenDirectory>,
    open: Mutex<Cache>,
    most: usize,
}

/// Two generations: when the younger one is full, the older one is closed. What is used moves to the younger one.
#[derive(Debug, Default)]
struct Cache {
    young: HashMap<Box<[u8]>, Arc<OpenDirectory>>,
    old: HashMap<Box<[u8]>, Arc<OpenDirectory>>,
}

impl Directories {
    /// The destination, with room for so many open directories.
    pub(super) fn new(destination: OwnedFd, most: usize) -> Self {
        Self { destination: OpenDirectory::new(destination), open: Mutex::default(), most: most.max(2) }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of this path; the destination for the empty path.
    pub(super) fn get(&self, path: &[u8]) -> io::Result<Arc<OpenDirectory>> {
        if path.is_empty() {
            return Ok(self.destination.clone());
        }
        if let Some(found) = self.cached(path) {
            return Ok(found);
        }
        // From the parent where that is open, otherwise from the destination.
        let (above, name) = platform::split_name(path);
        let descriptor = match if above.is_empty() { None } else { self.cached(above) } {
            Some(parent) => platform::open_path_directory(parent.as_fd(), name),
            None => platform::descend(self.destination.as_fd(), path),
        };
        let opened = OpenDirectory::new(descriptor.map_err(explain)?);
        self.keep(path, opened.clone());
        Ok(opened)
    }

    fn cached(&self, path: &[u8]) -> Option<Arc<OpenDirectory>> {
        let mut cache = self.cache();
        if let Some(found) = cache.young.get(path) {
            return Some(found.clone());
        }
        let (path, found) = cache.old.remove_entry(path)?;
        cache.young.insert(path, found.clone());
        Some(found)
    }

    fn keep(&self, path: &[u8], directory: Arc<OpenDirectory>) {
        let mut cache = self.cache();
        if cache.young.len() >= self.most / 2 {
            cache.old = std::mem::take(&mut cache.young);
        }
        cache.young.insert(path.into(), directory);
    }

    /// Forgets a directory that is gone.
    pub(super) fn forget(&self, path: &[u8]) {
        let mut cache = self.cache();
        cache.young.remove(path);
        cache.old.remove(path);
    }
}

/// What stands in the way, said plainly.
fn explain(error: io::Error) -> io::Error {
    if platform::is_gone(&error) && error.kind() != io::ErrorKind::NotFound {
        return io::Error::new(
            io::ErrorKind::NotADirectory,
            "something that is no directory (a symlink is never followed) is in the way",
        );
    }
    error
}
