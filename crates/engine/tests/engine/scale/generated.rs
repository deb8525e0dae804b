//! Files without a file system: directories of a thousand, whose names and content follow from their numbers.

use format::page::{EntryKind, Metadata, Owner, Timestamp};
use holdfast_engine::source::{
    Details, Segment, SourceDirectory, SourceEntry, SourceFile, TreeSource, Walk, WalkBatch, WalkEvent,
};
use std::io;
use std::sync::Arc;

const FILES_A_DIRECTORY: u64 = 1000;
/// Directories that a batch lists.
const BATCH: u64 = 1000;
/// When everything is observed: long after everything changed.
const OBSERVED_NS: i128 = 2_000_000_000_000_000_000;

/// A source of so many files. Of a thousand of them one differs from version to version.
pub struct Generated {
    files: u64,
    version: u64,
    /// All of them differ, instead of one in a thousand.
    all_differ: bool,
}

impl Generated {
    /// All files differ from those of other versions.
    pub fn new(files: u64, version: u64) -> Self {
        Self { files, version, all_differ: true }
    }

    /// One in a thousand does.
    pub fn changed_a_little(files: u64, version: u64) -> Self {
        Self { files, version, all_differ: false }
    }

    fn version_of(&self, file: u64) -> u64 {
        if self.all_differ || file % 1000 == 7 { self.version } else { 0 }
    }

    fn directories(&self) -> u64 {
        self.files.div_ceil(FILES_A_DIRECTORY)
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
    (number ^ number >> 27).wrapping_mul(0x81da_def4_bc2d_d44d)
}

fn length(file: u64) -> u64 {
    20 + mix(file) % 180
}

fn content(file: u64, version: u64) -> Vec<u8> {
    let text = format!("file {file} in version {version}, whose words are {:x} ", mix(file ^ version << 48));
    text.as_bytes().iter().copied().cycle().take(length(file) as usize).collect()
}

fn entry(name: String, kind: EntryKind, inode: u64, size: u64, modified: u64) -> SourceEntry {
    let time = Timestamp { seconds: 1_000_000_000 + modified as i64, nanoseconds: 0 };
    let metadata = Metadata {
        kind,
        mode: 0o644,
        user: Owner::default(),
        group: Owner::default(),
        modified: time,
        changed: time,
        inode,
        names: 1,
        size,
        device: (0, 0),
    };
    SourceEntry { name: name.into_bytes(), metadata, file_system: 1, observed_ns: OBSERVED_NS }
}

/// Opens files by the number in their names.
struct Directory {
    version: u64,
    all_differ: bool,
    files: u64,
}

struct OpenFile {
    metadata: Metadata,
    content: Vec<u8>,
}

impl Directory {
    fn source(&self) -> Generated {
        Generated { files: self.files, version: self.version, all_differ: self.all_differ }
    }
}

fn file_entry(source: &Generated, file: u64) -> SourceEntry {
    entry(format!("{file:09}"), EntryKind::File, 1 << 40 | file, length(file), source.version_of(file))
}

impl SourceDirectory for Directory {
    fn details(&self, _: &[u8], _: EntryKind) -> io::Result<Details> {
        Ok(Details::default())
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn SourceFile>> {
        let file: u64 = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).ok_or(io::ErrorKind::NotFound)?;
        let source = self.source();
        let metadata = file_entry(&source, file).metadata;
        Ok(Box::new(OpenFile { metadata, content: content(file, source.version_of(file)) }))
    }
}

impl SourceFile for OpenFile {
    fn metadata(&self) -> io::Result<Metadata> {
        Ok(self.metadata.clone())
    }

    fn segment(&self, offset: u64) -> io::Result<Option<Segment>> {
        let length = self.content.len() as u64;
        Ok((offset < length).then(|| Segment::Data { offset, length: length - offset }))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = &self.content[(offset as usize).min(self.content.len())..];
        let bytes = from.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&from[..bytes]);
        Ok(bytes)
    }
}

impl TreeSource for Generated {
    fn walk(&self) -> io::Result<Walk> {
        let handle: Arc<dyn SourceDirectory> =
            Arc::new(Directory { version: self.version, all_differ: self.all_differ, files: self.files });
        let batch = |path: String, handle: &Arc<dyn SourceDirectory>, entries: Vec<SourceEntry>| {
            Ok(WalkEvent::Batch(WalkBatch { path: path.into_bytes().into(), directory: handle.clone(), entries }))
        };
        let (directories, files) = (self.directories(), self.files);
        let (top_handle, list_handle) = (handle.clone(), handle.clone());
        let top = std::iter::once_with(move || {
            batch(String::new(), &top_handle, vec![entry("many".into(), EntryKind::Directory, 2, 0, 0)])
        });
        let lists = (0..directories.div_ceil(BATCH)).map(move |some| {
            let some = some * BATCH..directories.min((some + 1) * BATCH);
            let entries = some.map(|each| entry(format!("{each:06}"), EntryKind::Directory, 10 + each, 0, 0));
            batch("many".into(), &list_handle, entries.collect())
        });
        let source = Self { files, version: self.version, all_differ: self.all_differ };
        let contents = (0..directories).map(move |each| {
            let some = each * FILES_A_DIRECTORY..files.min((each + 1) * FILES_A_DIRECTORY);
            batch(format!("many/{each:06}"), &handle, some.map(|file| file_entry(&source, file)).collect())
        });
        Ok(Box::new(top.chain(lists).chain(contents)))
    }
}
