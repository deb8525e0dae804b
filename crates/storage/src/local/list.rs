//! Listing objects in the order of their names, without holding or reading more than needed.

use super::root::Root;
use crate::error::{Result, StorageError};
use crate::name::ObjectName;
use crate::store::ObjectInfo;
use std::collections::BinaryHeap;
use std::fs::{self, DirEntry};
use std::io;

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

impl Listing<'_> {
    /// Lists a directory and those below it, in order, until the limit is reached.
    ///
    /// A directory counts as its name with a `/`: that is how all names in it start, and so where they sort among the
    /// files beside it.
    fn walk(&mut self, directory: &str) -> io::Result<()> {
        let mut passed = String::new();
        loop {
            let room = self.limit - self.found.len();
            let batch = self.next_in(directory, &passed, room)?;
            let last = batch.len() < room;
            for name in batch {
                match name.strip_suffix('/') {
                    Some(below) => self.walk(below)?,
                    None => self.add(&name)?,
                }
                if self.found.len() == self.limit {
                    return Ok(());
                }
                passed = name;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// The first `room` names in a directory behind `passed` that matter, sorted. Never holds more than those.
    fn next_in(&self, directory: &str, passed: &str, room: usize) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(directory)) {
            Ok(entries) => entries,
            // Not there, or an object.
            Err(error) if super::read::is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut first = BinaryHeap::new();
        for entry in entries {
            let Some(name) = self.name_of(directory, &entry?)? else { continue };
            if name.as_str() <= passed || (first.len() == room && first.peek().is_some_and(|last| name >= *last)) {
                continue;
            }
            first.push(name);
            if first.len() > room {
                first.pop();
            }
        }
        Ok(first.into_sorted_vec())
    }

    /// The whole name of an object, or of a directory with a `/` behind it, if it matters.
    fn name_of(&self, directory: &str, entry: &DirEntry) -> io::Result<Option<String>> {
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else { return Ok(None) };
        let name = if directory.is_empty() { file_name.to_owned() } else { format!("{directory}/{file_name}") };
        if ObjectName::new(name.as_str()).is_err() {
            return Ok(None);
        }
        let file_type = match entry.file_type() {
            Ok(file_type) => file_type,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if file_type.is_dir() {
            let name = name + "/";
            let matches = name.starts_with(self.prefix);
            let has_later = name.as_str() > self.after || self.after.starts_with(&name);
            return Ok((matches && has_later).then_some(name));
        }
        let matters = file_type.is_file() && name.starts_with(self.prefix) && name.as_str() > self.after;
        Ok(matters.then_some(name))
    }

    fn add(&mut self, name: &str) -> io::Result<()> {
        let length = match fs::symlink_metadata(self.root.join(name)) {
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
