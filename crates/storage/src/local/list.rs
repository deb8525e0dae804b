//! Listing objects in the order of their names, without holding more than needed.
//!
//! A directory is read once for each page that it has a part in, whatever its size; what does not matter to the page costs a
//! comparison.

use super::root::Root;
use crate::error::{Result, StorageError};
use crate::name::{NAME_BYTES_MAX, ObjectName, is_component};
use crate::store::ObjectInfo;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, open, statat};
use rustix::io::Errno;
use std::collections::BinaryHeap;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::{fs, io};

/// Room for the entries that one system call reads.
const ENTRIES_BYTES: usize = 64 << 10;

/// Lists; see [`crate::ObjectStore::list`].
pub(super) fn list(root: &Root, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>> {
    let error = |error| StorageError::from_io("list", prefix, error);
    let directory = prefix.rsplit_once('/').map_or("", |(directory, _)| directory);
    // A prefix that no name can have, such as one that would lead out of the store.
    let sensible = if prefix.contains('/') { ObjectName::new(directory).is_ok() } else { true };
    if !sensible || limit == 0 {
        return Ok(Vec::new());
    }
    let mut listing = Listing { root, prefix, after: after.map_or("", ObjectName::as_str), limit, found: Vec::new() };
    listing.walk(directory).map_err(error)?;
    // A store that went away must not look like one with fewer objects.
    root.check().map_err(error)?;
    Ok(listing.found)
}

struct Listing<'a> {
    root: &'a Root,
    prefix: &'a str,
    after: &'a str,
    limit: usize,
    found: Vec<ObjectInfo>,
}

/// What of a directory is wanted: entries that start with a prefix and sort behind `passed`, and the directory that `after`
/// leads into.
///
/// An entry is the name of a file, or the name of a directory with a `/`: that is how all names in it start, and so where they
/// sort among the files beside it.
struct Wanted<'a> {
    prefix: &'a str,
    after: &'a str,
    passed: String,
    room: usize,
}

impl Listing<'_> {
    /// Lists a directory and those below it, in order, until the limit is reached.
    fn walk(&mut self, directory: &str) -> io::Result<()> {
        let path = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let Some(after) = below(self.after, &path) else { return Ok(()) };
        // Below the directory in the prefix everything has it.
        let prefix = self.prefix.strip_prefix(&path).unwrap_or_default();
        let mut wanted = Wanted { prefix, after, passed: String::new(), room: 0 };
        loop {
            wanted.room = self.limit - self.found.len();
            let batch = self.entries(directory, &wanted)?;
            let last = batch.len() < wanted.room;
            for entry in batch {
                match entry.strip_suffix('/') {
                    Some(name) => self.walk(&format!("{path}{name}"))?,
                    None => self.add(format!("{path}{entry}"))?,
                }
                if self.found.len() == self.limit {
                    return Ok(());
                }
                wanted.passed = entry;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// The first of the wanted entries of a directory, sorted. Never holds more than those.
    fn entries(&self, directory: &str, wanted: &Wanted<'_>) -> io::Result<Vec<String>> {
        let mut first = BinaryHeap::new();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = match open(self.root.join(directory), flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            // Not there, or no directory.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut buffer = Vec::with_capacity(ENTRIES_BYTES);
        let mut entries = RawDir::new(&descriptor, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            let Some(plain) = wanted.could_be(directory, name) else { continue };
            let file_type = file_type(&descriptor, name, entry.file_type())?;
            let known = first.peek().filter(|_| first.len() >= wanted.room).map(String::as_str);
            if let Some(entry) = wanted.entry(plain, file_type, known) {
                first.push(entry);
                if first.len() > wanted.room {
                    first.pop();
                }
            }
        }
        Ok(first.into_sorted_vec())
    }

    fn add(&mut self, name: String) -> io::Result<()> {
        let length = match fs::symlink_metadata(self.root.join(&name)) {
            Ok(metadata) => metadata.len(),
            // Deleted since it was seen.
            Err(error) if super::read::is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let name = ObjectName::new(name).map_err(io::Error::other)?;
        self.found.push(ObjectInfo { name, length });
        Ok(())
    }
}

impl Wanted<'_> {
    /// The name, if one of a wanted object can have it.
    fn could_be<'n>(&self, directory: &str, name: &'n CStr) -> Option<&'n str> {
        let fits = directory.len() + 1 + name.count_bytes() <= NAME_BYTES_MAX;
        let plain = name.to_str().ok().filter(|name| fits && is_component(name.as_bytes()))?;
        plain.starts_with(self.prefix).then_some(plain)
    }

    /// The entry, if it is wanted and sorts before the last one known, where there are enough.
    fn entry(&self, name: &str, file_type: FileType, known: Option<&str>) -> Option<String> {
        let is_in_time = |entry: &str| entry > self.passed.as_str() && known.is_none_or(|last| entry < last);
        match file_type {
            FileType::RegularFile => (name > self.after && is_in_time(name)).then(|| name.to_owned()),
            FileType::Directory => {
                let entry = format!("{name}/");
                let has_later = entry.as_str() > self.after || self.after.starts_with(&entry);
                (has_later && is_in_time(&entry)).then_some(entry)
            }
            _ => None,
        }
    }
}

/// What `after` means for names below a path: the part below it; nothing where all sort behind it anyway. `None` where none
/// does.
fn below<'a>(after: &'a str, path: &str) -> Option<&'a str> {
    match after.strip_prefix(path) {
        Some(below) => Some(below),
        None if after < path => Some(""),
        None => None,
    }
}

/// The type of an entry, asked for where the file system does not give it with the name.
fn file_type(directory: &OwnedFd, name: &CStr, known: FileType) -> io::Result<FileType> {
    if known != FileType::Unknown {
        return Ok(known);
    }
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode)),
        // Deleted since it was seen: nothing that is wanted.
        Err(Errno::NOENT) => Ok(FileType::Unknown),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_the_file_system_does_not_give_are_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        fs::create_dir(directory.path().join("directory")).unwrap();
        let descriptor = OwnedFd::from(fs::File::open(directory.path()).unwrap());
        let ask = |name: &CStr, known| file_type(&descriptor, name, known).unwrap();
        assert_eq!(ask(c"file", FileType::Unknown), FileType::RegularFile);
        assert_eq!(ask(c"directory", FileType::Unknown), FileType::Directory);
        assert_eq!(ask(c"absent", FileType::Unknown), FileType::Unknown);
        assert_eq!(ask(c"absent", FileType::Symlink), FileType::Symlink);
    }
}
