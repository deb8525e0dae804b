//! A file set in memory, whose files can do what files do to backups.

use format::page::{Attribute, EntryKind, Metadata, Owner, Timestamp, compare_paths};
use holdfast_engine::source::{
    Details, Segment, SourceDirectory, SourceEntry, SourceFile, TreeSource, Walk, WalkBatch, WalkEvent,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// When everything is observed: long after everything changed.
const OBSERVED_S: i64 = 2_000_000_000;

/// What a file does while it is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is gone when it is opened.
    Vanishes,
    /// It cannot be opened.
    Unreadable,
    /// Reading its content fails half-way.
    FailsHalfWay,
    /// It is shorter than the walk saw.
    Shrinks,
    /// It is longer than the walk saw.
    Grows,
    /// It has another modification time each time one looks.
    KeepsChanging,
    /// Another file takes its name between its being opened and read.
    IsReplaced,
    /// It is removed between its being opened and read.
    IsRemoved,
    /// It gets another name between its being opened and read, and another file takes its own.
    IsRenamed,
    /// A file of another user takes its name between its being opened and read.
    IsTaken,
    /// As if replaced on a server that forgot what was opened: it cannot be read any more.
    IsForgotten,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    Data(Vec<u8>),
    Hole(u64),
}

/// An entry.
#[derive(Debug, Clone)]
pub struct MemoryEntry {
    pub metadata: Metadata,
    pub content: Vec<Bytes>,
    pub attributes: Vec<Attribute>,
    pub target: Vec<u8>,
    pub trouble: Option<Trouble>,
}

impl MemoryEntry {
    /// The content with its holes filled.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.content {
            match piece {
                Bytes::Data(data) => bytes.extend_from_slice(data),
                Bytes::Hole(length) => bytes.resize(bytes.len() + *length as usize, 0),
            }
        }
        bytes
    }
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Vec<u8>, MemoryEntry>,
    next: i64,
}

/// A file set in memory. Clones are the same one.
#[derive(Clone, Default)]
pub struct MemorySource {
    state: Arc<Mutex<State>>,
    /// Files that were opened.
    pub opened: Arc<AtomicU64>,
    /// Reads of content.
    pub reads: Arc<AtomicU64>,
    at_read: Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>,
    at_walk: Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>,
}

fn time(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 7 }
}

impl MemorySource {
    pub fn new() -> Self {
        Self::default()
    }

    fn put(&self, path: &str, kind: EntryKind, content: Vec<Bytes>) -> &Self {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let (now, inode) = (1_000_000_000 + 10 * state.next, state.next as u64);
        let size = content.iter().map(|piece| match piece {
            Bytes::Data(data) => data.len() as u64,
            Bytes::Hole(length) => *length,
        });
        let metadata = Metadata {
            kind,
            mode: if kind == EntryKind::Directory { 0o755 } else { 0o644 },
            user: Owner { id: 1000, name: Some(Arc::from(&b"user"[..])) },
            group: Owner { id: 100, name: None },
            modified: time(now),
            changed: time(now),
            inode,
            names: 1,
            size: size.sum(),
            device: (0, 0),
        };
        let entry = MemoryEntry { metadata, content, attributes: Vec::new(), target: Vec::new(), trouble: None };
        state.entries.insert(path.as_bytes().to_vec(), entry);
        drop(state);
        self.make_parents(path);
        self
    }

    fn make_parents(&self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.state.lock().unwrap().entries.contains_key(parent.as_bytes())
        {
            self.directory(parent);
        }
    }

    pub fn file(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let bytes = bytes.as_ref().to_vec();
        self.put(path, EntryKind::File, if bytes.is_empty() { vec![] } else { vec![Bytes::Data(bytes)] })
    }

    pub fn pieces(&self, path: &str, pieces: Vec<Bytes>) -> &Self {
        self.put(path, EntryKind::File, pieces)
    }

    pub fn directory(&self, path: &str) -> &Self {
        self.put(path, EntryKind::Directory, vec![])
    }

    pub fn symlink(&self, path: &str, target: &str) -> &Self {
        self.put(path, EntryKind::Symlink, vec![]).change(path, |entry| {
            entry.target = target.into();
            entry.metadata.size = target.len() as u64;
        })
    }

    /// A further name of a file.
    pub fn link(&self, existing: &str, path: &str) -> &Self {
        let mut entry = self.get(existing);
        entry.metadata.names += 1;
        let mut state = self.state.lock().unwrap();
        for each in state.entries.values_mut().filter(|each| each.metadata.inode == entry.metadata.inode) {
            each.metadata.names = entry.metadata.names;
        }
        state.entries.insert(path.as_bytes().to_vec(), entry);
        drop(state);
        self.make_parents(path);
        self
    }

    /// Changes an entry behind its times' back.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut MemoryEntry)) -> &Self {
        change(self.state.lock().unwrap().entries.get_mut(path.as_bytes()).unwrap());
        self
    }

    /// Gives an entry new times, as if it was written again.
    pub fn touch(&self, path: &str) -> &Self {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let now = time(1_000_000_000 + 10 * state.next);
        let metadata = &mut state.entries.get_mut(path.as_bytes()).unwrap().metadata;
        (metadata.modified, metadata.changed) = (now, now);
        drop(state);
        self
    }

    pub fn trouble(&self, path: &str, trouble: Trouble) -> &Self {
        self.change(path, |entry| entry.trouble = Some(trouble))
    }

    pub fn remove(&self, path: &str) -> &Self {
        self.state.lock().unwrap().entries.remove(path.as_bytes()).unwrap();
        self
    }

    pub fn get(&self, path: &str) -> MemoryEntry {
        self.state.lock().unwrap().entries[path.as_bytes()].clone()
    }

    pub fn entries(&self) -> BTreeMap<Vec<u8>, MemoryEntry> {
        self.state.lock().unwrap().entries.clone()
    }

    pub fn opened(&self) -> u64 {
        self.opened.swap(0, Ordering::SeqCst)
    }

    /// Done when the next walk has begun.
    pub fn at_walk(&self, work: impl FnOnce() + Send + 'static) {
        *self.at_walk.lock().unwrap() = Some(Box::new(work));
    }

    /// Done when the first piece of content is read.
    pub fn at_read(&self, work: impl FnOnce() + Send + 'static) {
        *self.at_read.lock().unwrap() = Some(Box::new(work));
    }

    pub fn open_directory(&self, path: &[u8]) -> Arc<dyn SourceDirectory> {
        Arc::new(MemoryDirectory { source: self.clone(), path: path.to_vec() })
    }

    /// One entry, as a walk gives it.
    pub fn look(&self, directory: &[u8], name: &[u8]) -> io::Result<SourceEntry> {
        let entry = MemoryDirectory { source: self.clone(), path: directory.to_vec() }.find(name)?;
        let observed_ns = i128::from(OBSERVED_S) * 1_000_000_000;
        Ok(SourceEntry { name: name.to_vec(), metadata: entry.metadata, file_system: 1, observed_ns })
    }

    pub fn shared(&self) -> Arc<dyn TreeSource> {
        Arc::new(self.clone())
    }
}

pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

impl TreeSource for MemorySource {
    fn walk(&self) -> io::Result<Walk> {
        let entries = self.entries();
        let mut found: Vec<(&[u8], &[u8], &MemoryEntry)> = entries
            .iter()
            .map(|(path, entry)| {
                let (directory, name) = split(path);
                (directory, name, entry)
            })
            .collect();
        found.sort_by(|left, right| compare_paths(left.0, right.0).then_with(|| left.1.cmp(right.1)));
        let mut events = Vec::new();
        for group in found.chunk_by(|left, right| left.0 == right.0) {
            for part in group.chunks(1000) {
                let observed_ns = i128::from(OBSERVED_S) * 1_000_000_000;
                let source = |(_, name, entry): &(&[u8], &[u8], &MemoryEntry)| SourceEntry {
                    name: name.to_vec(),
                    metadata: entry.metadata.clone(),
                    file_system: 1,
                    observed_ns,
                };
                events.push(Ok(WalkEvent::Batch(WalkBatch {
                    path: part[0].0.into(),
                    directory: Arc::new(MemoryDirectory { source: self.clone(), path: part[0].0.to_vec() }),
                    entries: part.iter().map(source).collect(),
                })));
            }
        }
        if let Some(work) = self.at_walk.lock().unwrap().take() {
            work();
        }
        Ok(Box::new(events.into_iter()))
    }
}

struct MemoryDirectory {
    source: MemorySource,
    path: Vec<u8>,
}

impl MemoryDirectory {
    fn find(&self, name: &[u8]) -> io::Result<MemoryEntry> {
        let path = if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() };
        let entry = self.source.state.lock().unwrap().entries.get(&path).cloned();
        entry.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl SourceDirectory for MemoryDirectory {
    fn details(&self, name: &[u8], _kind: EntryKind) -> io::Result<Details> {
        let entry = self.find(name)?;
        Ok(Details { attributes: entry.attributes, target: entry.target, unreadable: None })
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn SourceFile>> {
        let mut entry = self.find(name)?;
        self.source.opened.fetch_add(1, Ordering::SeqCst);
        let later = |entry: &mut MemoryEntry| {
            entry.metadata.modified.seconds += 1;
            entry.metadata.changed.seconds += 1;
        };
        match entry.trouble {
            Some(Trouble::Vanishes) => return Err(io::ErrorKind::NotFound.into()),
            Some(Trouble::Unreadable) => return Err(io::ErrorKind::PermissionDenied.into()),
            Some(Trouble::Shrinks) => {
                let half = entry.bytes()[..entry.metadata.size as usize / 2].to_vec();
                entry.metadata.size = half.len() as u64;
                entry.content = vec![Bytes::Data(half)];
                later(&mut entry);
            }
            Some(Trouble::Grows) => {
                let mut grown = entry.bytes();
                grown.extend_from_slice(&vec![9; 300_000]);
                entry.metadata.size = grown.len() as u64;
                entry.content = vec![Bytes::Data(grown)];
                later(&mut entry);
            }
            Some(Trouble::IsReplaced | Trouble::IsRemoved | Trouble::IsRenamed | Trouble::IsForgotten | Trouble::IsTaken) => {
                let directory = if self.path.is_empty() { vec![] } else { [&self.path[..], b"/"].concat() };
                let path = String::from_utf8([&directory, name].concat()).unwrap();
                self.source.remove(&path);
                if entry.trouble != Some(Trouble::IsRemoved) {
                    self.source.file(&path, format!("another {path}"));
                }
                if entry.trouble == Some(Trouble::IsTaken) {
                    self.source.change(&path, |entry| entry.metadata.user.id += 1);
                }
                match entry.trouble {
                    Some(Trouble::IsRenamed) => later(&mut entry),
                    _ => entry.metadata.names = 0,
                }
            }
            _ => {}
        }
        Ok(Box::new(MemoryFile { source: self.source.clone(), bytes: entry.bytes(), entry, looks: AtomicU64::new(0) }))
    }
}

struct MemoryFile {
    source: MemorySource,
    entry: MemoryEntry,
    bytes: Vec<u8>,
    looks: AtomicU64,
}

impl SourceFile for MemoryFile {
    fn metadata(&self) -> io::Result<Metadata> {
        let mut metadata = self.entry.metadata.clone();
        if self.entry.trouble == Some(Trouble::KeepsChanging) {
            metadata.modified.seconds += 1 + self.looks.fetch_add(1, Ordering::SeqCst) as i64;
        }
        Ok(metadata)
    }

    fn segment(&self, offset: u64) -> io::Result<Option<Segment>> {
        let mut start = 0;
        for piece in &self.entry.content {
            let (length, data) = match piece {
                Bytes::Data(data) => (data.len() as u64, true),
                Bytes::Hole(length) => (*length, false),
            };
            if offset < start + length {
                let segment = (offset, start + length - offset);
                return Ok(Some(match (data, segment) {
                    (true, (offset, length)) => Segment::Data { offset, length },
                    (false, (offset, length)) => Segment::Hole { offset, length },
                }));
            }
            start += length;
        }
        Ok(None)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.source.reads.fetch_add(1, Ordering::SeqCst);
        if let Some(work) = self.source.at_read.lock().unwrap().take() {
            work();
        }
        let half = self.bytes.len() / 2;
        if self.entry.trouble == Some(Trouble::IsForgotten) {
            return Err(io::Error::from_raw_os_error(116));
        }
        let fails = self.entry.trouble == Some(Trouble::FailsHalfWay);
        let end = if fails && (offset as usize) < half { half } else { self.bytes.len() };
        if fails && offset as usize >= half {
            return Err(io::Error::other("a bad block"));
        }
        // never all at once: short reads are no end
        let length = buffer.len().min(end - (offset as usize).min(end)).min(100_000);
        buffer[..length].copy_from_slice(&self.bytes[offset as usize..offset as usize + length]);
        Ok(length)
    }
}
