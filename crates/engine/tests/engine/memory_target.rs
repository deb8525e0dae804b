//! A destination in memory, to see what a restore writes and where.

use crate::memory_source::{MemorySource, split};
use format::page::{Attribute, EntryKind, Metadata};
use holdfast_engine::target::{DirectoryRole, Placement, Shortfall, TargetFile, TreeTarget};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    pub metadata: Option<Metadata>,
    pub attributes: Vec<Attribute>,
    pub target: Vec<u8>,
    pub bytes: Vec<u8>,
    /// Ranges that were written; what is between them is hole.
    pub written: Vec<(u64, u64)>,
    /// The name that this is a further name of.
    pub link_to: Option<Vec<u8>>,
    pub finished: bool,
}

type Map = Arc<Mutex<BTreeMap<Vec<u8>, Restored>>>;

/// A destination in memory. Clones are the same one.
#[derive(Clone, Default)]
pub struct MemoryTarget {
    pub map: Map,
    /// Fails with a full disk when so many files are there.
    pub full_at: Option<usize>,
    /// How many files it lets be open.
    pub open_files_max: Option<usize>,
    pub open: Arc<AtomicUsize>,
    /// How many were open at once.
    pub most_open: Arc<AtomicUsize>,
}

impl MemoryTarget {
    pub fn get(&self, path: &str) -> Option<Restored> {
        self.map.lock().unwrap().get(path.as_bytes()).cloned()
    }

    pub fn paths(&self) -> Vec<String> {
        self.map.lock().unwrap().keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let restored = self.get(path).unwrap_or_else(|| panic!("'{path}' was not restored"));
        match restored.link_to {
            Some(existing) => self.bytes(std::str::from_utf8(&existing).unwrap()),
            None => restored.bytes,
        }
    }

    /// Compares with what was backed up; answers what differs.
    pub fn differences(&self, source: &MemorySource) -> Vec<String> {
        let (expected, map) = (source.entries(), self.map.lock().unwrap().clone());
        let mut differences = Vec::new();
        for path in map.keys().filter(|path| !expected.contains_key(*path)) {
            differences.push(format!("{} is too much", String::from_utf8_lossy(path)));
        }
        for (path, entry) in &expected {
            let name = String::from_utf8_lossy(path).into_owned();
            let Some(found) = map.get(path) else {
                differences.push(format!("{name} is missing"));
                continue;
            };
            let first = found.link_to.as_ref().map_or(found, |existing| &map[existing]);
            if first.bytes != entry.bytes() && entry.metadata.kind == EntryKind::File {
                differences.push(format!("{name} has other bytes"));
            }
            if first.metadata.as_ref() != Some(&entry.metadata) || !first.finished {
                differences.push(format!("{name} has other metadata"));
            }
            if first.attributes != entry.attributes || first.target != entry.target {
                differences.push(format!("{name} has other attributes or another target"));
            }
        }
        differences
    }

    /// Somebody removes an entry.
    pub fn remove(&self, path: &str) {
        self.map.lock().unwrap().remove(path.as_bytes());
    }

    fn put(&self, path: &[u8], restored: Restored) -> io::Result<()> {
        let mut map = self.map.lock().unwrap();
        let (parent, _) = split(path);
        assert!(parent.is_empty() || map.contains_key(parent), "the directory of {} is there", String::from_utf8_lossy(path));
        if self.full_at.is_some_and(|full| map.len() >= full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if map.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        map.insert(path.to_vec(), restored);
        Ok(())
    }
}

impl TreeTarget for MemoryTarget {
    fn open_files_max(&self) -> usize {
        self.open_files_max.unwrap_or(usize::MAX)
    }

    fn make_directory(&self, path: &[u8], _role: DirectoryRole) -> io::Result<bool> {
        if !self.map.lock().unwrap().contains_key(path) {
            self.put(path, Restored::default())?;
        }
        Ok(true)
    }

    fn place(&self, path: &[u8], _metadata: &Metadata) -> io::Result<Placement> {
        Ok(if self.map.lock().unwrap().contains_key(path) { Placement::Conflict } else { Placement::Write })
    }

    fn holds(&self, path: &[u8], metadata: &Metadata) -> io::Result<bool> {
        let mut map = self.map.lock().unwrap();
        let holds = map.get(path).is_some_and(|restored| {
            restored.finished && restored.metadata.as_ref().is_some_and(|there| there.modified == metadata.modified)
        });
        if !holds && map.get(path).is_some_and(|restored| restored.metadata.is_none()) {
            // an unfinished one is replaced
            map.remove(path);
        }
        Ok(holds)
    }

    fn create_file(&self, path: &[u8], size: u64) -> io::Result<Box<dyn TargetFile>> {
        self.put(path, Restored { bytes: vec![0; size as usize], ..Restored::default() })?;
        let open = self.open.clone();
        self.most_open.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Ok(Box::new(MemoryTargetFile { map: self.map.clone(), path: path.to_vec(), open }))
    }

    fn make_symlink(
        &self,
        path: &[u8],
        target: &[u8],
        metadata: &Metadata,
        attributes: &[Attribute],
    ) -> io::Result<Vec<Shortfall>> {
        let (metadata, attributes) = (Some(metadata.clone()), attributes.to_vec());
        self.put(path, Restored { metadata, attributes, target: target.to_vec(), finished: true, ..Restored::default() })?;
        Ok(vec![])
    }

    fn make_link(&self, existing: &[u8], path: &[u8]) -> io::Result<()> {
        if !self.map.lock().unwrap().contains_key(existing) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.put(path, Restored { link_to: Some(existing.to_vec()), ..Restored::default() })
    }

    fn make_node(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        let (metadata, attributes) = (Some(metadata.clone()), attributes.to_vec());
        self.put(path, Restored { metadata, attributes, finished: true, ..Restored::default() })?;
        Ok(vec![])
    }

    fn finish_directory(&self, path: &[u8], metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        let mut map = self.map.lock().unwrap();
        let below = [path, b"/"].concat();
        let unfinished =
            map.iter().any(|(other, restored)| other.starts_with(&below) && !restored.finished && restored.link_to.is_none());
        assert!(!unfinished, "all in a directory is finished before it is");
        let restored = map.get_mut(path).unwrap();
        (restored.metadata, restored.attributes) = (Some(metadata.clone()), attributes.to_vec());
        restored.finished = true;
        Ok(vec![])
    }
}

struct MemoryTargetFile {
    map: Map,
    path: Vec<u8>,
    open: Arc<AtomicUsize>,
}

impl Drop for MemoryTargetFile {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        let mut map = self.map.lock().unwrap();
        if map.get(&self.path).is_some_and(|restored| !restored.finished) {
            map.remove(&self.path);
        }
    }
}

impl TargetFile for MemoryTargetFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut map = self.map.lock().unwrap();
        let restored = map.get_mut(&self.path).unwrap();
        restored.bytes[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        restored.written.push((offset, bytes.len() as u64));
        Ok(())
    }

    fn finish(&self, metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        let mut map = self.map.lock().unwrap();
        let restored = map.get_mut(&self.path).unwrap();
        (restored.metadata, restored.attributes) = (Some(metadata.clone()), attributes.to_vec());
        restored.finished = true;
        Ok(vec![])
    }
}
