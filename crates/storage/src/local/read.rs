//! Reading objects from files.

use super::Inner;
use super::direct;
use super::root::Root;
use crate::error::{ErrorKind, Result, StorageError};
use crate::name::ObjectName;
use crate::store::{OBJECT_BYTES_MAX, check_length, check_range};
use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// How much of an object is compared at once.
const COMPARE_BYTES: usize = 1 << 20;

/// An object's file and its length.
pub(super) struct Opened {
    file: File,
    length: u64,
}

/// Opens an object's file; `None` where there is none.
pub(super) fn open(path: &Path) -> io::Result<Option<Opened>> {
    // What is no regular file is no object: a symbolic link may lead anywhere, a fifo would hold us up for ever.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then(|| Opened { file, length: metadata.len() }))
}

/// Errors that mean that no object is there.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO))
}

/// An object that has to be there.
fn find(root: &Root, name: &ObjectName) -> Result<Opened> {
    match open(&root.join(name.as_str())) {
        Ok(Some(opened)) => Ok(opened),
        Ok(None) => {
            root.check().map_err(|error| StorageError::from_io("read", name.as_str(), error))?;
            Err(StorageError::new(ErrorKind::NotFound, "read", name.as_str()))
        }
        Err(error) => Err(StorageError::from_read(name.as_str(), error)),
    }
}

pub(super) fn length(root: &Root, name: &ObjectName) -> Result<u64> {
    Ok(find(root, name)?.length)
}

pub(super) fn get(store: &Inner, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
    let opened = find(&store.root, name)?;
    let range = range.unwrap_or(0..opened.length);
    check_range(name, &range, opened.length)?;
    opened.range(store, name, &range)
}

pub(super) fn get_ranges(store: &Inner, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    let opened = find(&store.root, name)?;
    let mut left = OBJECT_BYTES_MAX;
    for range in ranges {
        check_range(name, range, opened.length)?;
        left = left.checked_sub(range.end - range.start).ok_or_else(|| {
            let reason = format!("the ranges have more than {OBJECT_BYTES_MAX} bytes together");
            StorageError::new(ErrorKind::Invalid, "read", name.as_str()).because(reason)
        })?;
    }
    ranges.iter().map(|range| opened.range(store, name, range)).collect()
}

impl Opened {
    /// A range that was checked to lie inside.
    fn range(&self, store: &Inner, name: &ObjectName, range: &Range<u64>) -> Result<Bytes> {
        let length = range.end - range.start;
        check_length("read", name, length)?;
        let read = direct::read(&store.seen, &store.buffers, &self.file, name, range);
        if let Some(bytes) = read.map_err(|error| StorageError::from_read(name.as_str(), error))? {
            return Ok(bytes);
        }
        let length = length as usize;
        let mut buffer = store.buffers.take(length);
        let read = self.file.read_exact_at(buffer.spare(length), range.start);
        read.map_err(|error| StorageError::from_read(name.as_str(), error))?;
        buffer.advance(length);
        Ok(Bytes::from_owner(buffer))
    }

    /// Whether the object has these bytes.
    pub(super) fn has_bytes(&self, bytes: &[u8]) -> io::Result<bool> {
        if self.length != bytes.len() as u64 {
            return Ok(false);
        }
        let mut buffer = vec![0; COMPARE_BYTES.min(bytes.len())];
        for (i, part) in bytes.chunks(COMPARE_BYTES).enumerate() {
            let read = &mut buffer[..part.len()];
            self.file.read_exact_at(read, (i * COMPARE_BYTES) as u64)?;
            if read != part {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
