//! Directories whose own names are known to be on the disk.

use super::disk::Disk;
use super::root::{Root, parent};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

/// Most directories remembered. Forgetting costs fsyncs, nothing else.
const KNOWN_MAX: usize = 100_000;

/// An object is as durable as every directory above it. A directory that was there already may have been made by a process
/// that died before its fsync, so it is synced once a process, too.
#[derive(Debug, Default)]
pub(super) struct Directories {
    known: Mutex<HashSet<String>>,
}

/// Why a directory is not there durably.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be made.
    Making(io::Error),
    /// It could not be brought to the disk.
    Syncing(io::Error),
}

impl Directories {
    /// Makes sure that a directory and those above it are there, durably.
    pub(super) fn ensure(&self, disk: &Disk, root: &Root, directory: &str) -> Result<(), Failure> {
        if directory.is_empty() || self.known().contains(directory) {
            return Ok(());
        }
        let above = parent(directory);
        self.ensure(disk, root, above)?;
        let made = disk.make_directory(&root.join(directory)).map_err(Failure::Making)?;
        let mut synced = vec![directory.to_owned()];
        if !made {
            // One sync does for all that are there: the 256 directories of packs cost one, not 256.
            synced.extend(directories_in(root, above).map_err(Failure::Making)?);
        }
        disk.sync_directory(&root.join(above)).map_err(Failure::Syncing)?;
        let mut known = self.known();
        if known.len() + synced.len() > KNOWN_MAX {
            known.clear();
            synced.truncate(1);
        }
        known.extend(synced);
        Ok(())
    }

    /// Forgets everything: directories were removed by somebody else.
    pub(super) fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn directories_in(root: &Root, above: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(above))? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Some(name) = entry.file_name().to_str()
        {
            found.push(if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") });
        }
    }
    Ok(found)
}
