//! What has changed of a file set, walked.

use super::file_set::FileSet;
use super::source::Machine;
use super::walk::Ways;
use crate::platform;
use engine::source::{Changes, Details, SourceDirectory, SourceEntry, SourceFile, Walk};
use format::page::EntryKind;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What has changed of a file set.
pub(crate) struct ChangedFiles {
    files: Arc<FileSet>,
    ways: Ways,
    /// Files that may have changed by whatever name.
    inodes: HashSet<u64>,
}

impl ChangedFiles {
    pub(crate) fn new(files: Arc<FileSet>, ways: Ways, inodes: HashSet<u64>) -> Self {
        Self { files, ways, inodes }
    }
}

impl Changes for ChangedFiles {
    fn walk(&self) -> io::Result<Walk> {
        self.files.walk_changes(self.ways.clone())
    }

    fn touches(&self, inode: u64) -> bool {
        self.inodes.contains(&inode)
    }

    fn look(&self, directory: &[u8], name: &[u8]) -> io::Result<SourceEntry> {
        let machine = self.files.machine();
        let opened = platform::descend(machine.slash(), directory)?;
        let observed_ns = platform::now_ns();
        let stat = platform::stat_at(opened.as_fd(), name)?;
        let metadata = machine.metadata(&stat)?;
        Ok(SourceEntry { name: name.to_vec(), metadata, file_system: stat.file_system, observed_ns })
    }

    fn directory(&self, path: &[u8]) -> Arc<dyn SourceDirectory> {
        Arc::new(ByPath { machine: self.files.machine().clone(), path: path.to_vec() })
    }
}

/// A directory that is opened when it is needed.
struct ByPath {
    machine: Arc<Machine>,
    path: Vec<u8>,
}

impl ByPath {
    fn open(&self) -> io::Result<OwnedFd> {
        platform::descend(self.machine.slash(), &self.path)
    }
}

impl SourceDirectory for ByPath {
    fn details(&self, name: &[u8], kind: EntryKind) -> io::Result<Details> {
        Machine::details(self.open()?.as_fd(), name, kind)
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn SourceFile>> {
        self.machine.open(self.open()?.as_fd(), name)
    }
}
