//! An open regular file.

use super::directory::Machine;
use crate::platform;
use engine::source::{Details, Segment, SourceFile};
use format::page::Metadata;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// A regular file open for reading.
///
/// Reads go through the page cache, one `pread` a buffer; unbuffered reads (`O_DIRECT`) could be added behind
/// [`SourceFile::read_at`] without anybody noticing.
pub(crate) struct File {
    file: OwnedFd,
    machine: Arc<Machine>,
    /// The size at opening, where the file was seen to have no hole then.
    dense: Option<u64>,
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
        Ok(Self { file, machine, dense })
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
        platform::read_at(self.file.as_fd(), buffer, offset)
    }

    /// One call, where its name would have to be looked up again.
    fn details(&self) -> Option<Details> {
        let (attributes, unreadable) = platform::read_open_attributes(self.file.as_fd());
        Some(Details { attributes, target: Vec::new(), unreadable })
    }
}
