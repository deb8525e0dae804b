//! Content of files: holes, reading and writing.

use engine::source::Segment;
use rustix::fs::{Advice, FallocateFlags, SeekFrom, fadvise, fallocate, ftruncate, seek};
use rustix::io::{Errno, pread, pwrite};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

/// So much is asked for ahead at once.
const ADVICE_BYTES: usize = 1 << 20;

/// The segment at or behind `offset`. Others may change the file at any time: what comes out always starts at `offset`, is
/// never empty, and is a hole only where there was one when this looked; in doubt it is data, which is always right to read.
pub(crate) fn segment(file: BorrowedFd<'_>, offset: u64) -> io::Result<Option<Segment>> {
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) if data > offset => Ok(Some(Segment::Hole { offset, length: data - offset })),
        Ok(_) => match seek(file, SeekFrom::Hole(offset)) {
            Ok(hole) if hole > offset => Ok(Some(Segment::Data { offset, length: hole - offset })),
            Ok(_) | Err(Errno::NXIO) => Ok(rest(file, offset)?.map(|length| Segment::Data { offset, length })),
            Err(other) => Err(other.into()),
        },
        Err(Errno::NXIO) => {
            let Some(length) = rest(file, offset)? else { return Ok(None) };
            // Asked again, so that what was written between the two looks is not taken for a hole.
            match seek(file, SeekFrom::Data(offset)) {
                Err(Errno::NXIO) => Ok(Some(Segment::Hole { offset, length })),
                _ => Ok(Some(Segment::Data { offset, length })),
            }
        }
        // No knowledge of holes here.
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTTY) => {
            Ok(rest(file, offset)?.map(|length| Segment::Data { offset, length }))
        }
        Err(other) => Err(other.into()),
    }
}

/// Bytes from `offset` to the end, if there are any.
fn rest(file: BorrowedFd<'_>, offset: u64) -> io::Result<Option<u64>> {
    Ok(super::stat_open(file)?.size.checked_sub(offset).filter(|length| *length > 0))
}

/// Fills `buffer` from `offset`; fewer bytes only at the end of the file.
pub(crate) fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(filled)
}

/// Tells the kernel what will be read soon, in pieces: of one that is longer than a disk's largest transfer it takes only the beginning.
pub(crate) fn will_need(file: BorrowedFd<'_>, range: Range<u64>) {
    for from in range.clone().step_by(ADVICE_BYTES) {
        let length = NonZeroU64::new((range.end - from).min(ADVICE_BYTES as u64));
        // Advice: who cannot follow it does not.
        let _ = fadvise(file, from, length, Advice::WillNeed);
    }
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_at(file: impl AsFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwrite(&file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

/// Has room for a range of data made before it is written, so that those who write it need not wait for each other. Where a file system
/// makes room only in writing, it does.
pub(crate) fn allocate(file: BorrowedFd<'_>, range: Range<u64>) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, range.start, range.end - range.start) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// Makes a hole of a range; answers whether the file system can.
pub(crate) fn make_hole(file: BorrowedFd<'_>, range: Range<u64>) -> io::Result<bool> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    loop {
        match fallocate(file, flags, range.start, range.end - range.start) {
            Ok(()) => return Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// Sets the size; what is new is a hole.
pub(crate) fn truncate(file: impl AsFd, size: u64) -> io::Result<()> {
    Ok(ftruncate(file, size)?)
}
