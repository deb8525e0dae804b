//! An open regular file.

use super::directory::Machine;
use crate::platform;
use engine::source::{Details, Segment, SourceFile};
use format::page::Metadata;
use std::io;
use std::ops::Range;
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
    /// End of the data that was found last. What is behind it may be a hole, of which the kernel would make pages of zeros.
    data_end: AtomicU64,
    /// Up to where was asked ahead.
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
        Ok(Self { file, machine, dense, data_end: AtomicU64::new(0), asked: AtomicU64::new(0) })
    }

    /// Asks for what comes behind a read, by halves of what is on its way. Where nothing comes of it the reads do without.
    fn ask_ahead(&self, read: Range<u64>) {
        let ahead = ahead(self.asked.load(Ordering::Relaxed), &read, self.data_end.load(Ordering::Relaxed));
        if let Some(ahead) = ahead {
            self.asked.store(ahead.end, Ordering::Relaxed);
            platform::will_need(self.file.as_fd(), ahead);
        }
    }

    fn find_segment(&self, offset: u64) -> io::Result<Option<Segment>> {
        match self.dense {
            // It may have shrunk since: whoever reads it sees that anyway.
            Some(size) if offset == 0 => Ok(Some(Segment::Data { offset, length: size })),
            // The usual end.
            Some(size) if offset == size && platform::stat_open(self.file.as_fd())?.size <= size => Ok(None),
            _ => platform::segment(self.file.as_fd(), offset),
        }
    }
}

/// What to ask for ahead of a read within data that ends at `data_end`, of which was asked until `asked`. Short data is read without.
fn ahead(asked: u64, read: &Range<u64>, data_end: u64) -> Option<Range<u64>> {
    let from = asked.max(read.start);
    let until = (read.end + AHEAD_BYTES).min(data_end);
    let is_near = read.end + AHEAD_BYTES / 2 > from;
    (is_near && until > from && until > read.start + AHEAD_BYTES / 2).then_some(from..until)
}

impl SourceFile for File {
    fn metadata(&self) -> io::Result<Metadata> {
        self.machine.metadata(&platform::stat_open(self.file.as_fd())?)
    }

    fn segment(&self, offset: u64) -> io::Result<Option<Segment>> {
        let segment = self.find_segment(offset)?;
        if let Some(Segment::Data { offset, length }) = segment {
            self.data_end.store(offset + length, Ordering::Relaxed);
        }
        Ok(segment)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.ask_ahead(offset..offset + buffer.len() as u64);
        platform::read_at(self.file.as_fd(), buffer, offset)
    }

    fn will_read(&self, bytes: u64) {
        // of a hole the kernel would make pages of zeros
        if self.dense.is_some() {
            platform::will_need(self.file.as_fd(), 0..bytes);
        }
    }

    /// One call, where its name would have to be looked up again.
    fn details(&self) -> Option<Details> {
        let (attributes, unreadable) = platform::read_open_attributes(self.file.as_fd());
        Some(Details { attributes, target: Vec::new(), unreadable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn data_is_asked_for_ahead_once_and_never_what_is_behind_it() {
        let (end, read) = (100 * MIB, MIB / 2);
        let (mut asked, mut at, mut sum) = (0, 0, 0);
        while at < end {
            if let Some(ahead) = ahead(asked, &(at..at + read), end) {
                assert!(ahead.start >= asked && ahead.end <= end && ahead.end <= at + read + AHEAD_BYTES);
                sum += ahead.end - ahead.start;
                asked = ahead.end;
            }
            assert!(asked >= (at + read).min(end), "what is read was on its way");
            at += read;
        }
        assert_eq!((asked, sum), (end, end));
        // Pieces of data between holes: nothing beside them is asked for.
        assert_eq!(ahead(0, &(7 * MIB..7 * MIB + 65_536), 7 * MIB + 65_536), None);
        assert_eq!(ahead(0, &(50 * MIB..51 * MIB), 60 * MIB), Some(50 * MIB..59 * MIB));
    }
}
