//! An open regular file.

use super::directory::Machine;
use crate::platform;
use engine::source::{Details, Segment, SourceFile};
use format::page::Metadata;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So much of a large file is on its way from the disk while what is before it is being read: the kernel's own readahead asks for
/// 128 KiB at a time, and leaves most of what a disk can do.
const AHEAD_BYTES: u64 = 8 << 20;

/// A regular file open for reading.
///
/// Reads go through the page cache, one `pread` a buffer, and what follows in a large file is asked for ahead.
pub(crate) struct File {
    file: OwnedFd,
    machine: Arc<Machine>,
    /// The size at opening, where the file was seen to have no hole then.
    dense: Option<u64>,
    /// Whether it is so large that it is read ahead, and up to where that was asked for.
    is_large: bool,
    asked: AtomicU64,
}

impl File {
    /// Takes what was opened, if it is a regular file.
    pub(crate) fn new(file: OwnedFd, machine: Arc<Machine>) -> io::Result<Self> {
        let stat = platform::stat_open(file.as_fd())?;
        if !stat.is_file() {
            return Err(io::Error::other("it is no longer a regular file"));
        }
        // Exactly as many blocks as the size needs: no hole, without two more calls for each of the many small files. A file
        // with more (attributes or reserved blocks are counted too) or fewer (compression) is asked.
        let dense = (stat.size > 0 && stat.used == stat.size.div_ceil(4096) * 4096).then_some(stat.size);
        let is_large = stat.size > AHEAD_BYTES / 2;
        Ok(Self { file, machine, dense, is_large, asked: AtomicU64::new(0) })
    }
}

impl File {
    /// Asks for what comes behind a read, by halves of what is on its way. Where nothing comes of it the reads do without.
    fn ask_ahead(&self, start: u64, end: u64) {
        let asked = self.asked.load(Ordering::Relaxed).max(start);
        if end + AHEAD_BYTES / 2 > asked {
            let until = end + AHEAD_BYTES;
            platform::will_need(self.file.as_fd(), asked..until);
            self.asked.store(until, Ordering::Relaxed);
        }
    }
}

impl SourceFile for File {
    fn metadata(&self) -> io::Result<Metadata> {
        self.machine.metadata(&platform::stat_open(self.file.as_fd())?)
    }

    fn segment(&self, offset: u64) -> io::Result<Option<Segment>> {
        match self.dense {
            // It may have shrunk since: whoever reads it sees that anyway.
            Some(size) if offset == 0 => Ok(Some(Segment::Data { offset, length: size })),
            // The usual end.
            Some(size) if offset == size && platform::stat_open(self.file.as_fd())?.size <= size => Ok(None),
            _ => platform::segment(self.file.as_fd(), offset),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.is_large {
            self.ask_ahead(offset, offset + buffer.len() as u64);
        }
        platform::read_at(self.file.as_fd(), buffer, offset)
    }

    /// One call, where its name would have to be looked up again.
    fn details(&self) -> Option<Details> {
        let (attributes, unreadable) = platform::read_open_attributes(self.file.as_fd());
        Some(Details { attributes, target: Vec::new(), unreadable })
    }
}
