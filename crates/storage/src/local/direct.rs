//! Writing and reading past the page cache. What a backup stores is not read again soon, and what a restore or a check reads is seldom read
//! twice: copying it into the cache and out again takes more processor time than the disk does, and other programs keep what they have there.

use crate::name::ObjectName;
use bytes::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use system::{AlignedPool, BLOCK_BYTES, Buffers};

/// Shorter objects and shorter reads go through the cache.
const LENGTH_MIN: usize = 1 << 20;
/// What goes to the disk at once.
const CHUNK: usize = 1 << 20;
/// Chunks that are kept.
const KEPT_MAX: usize = 2;

/// Where objects stand while they go to the disk.
pub(super) struct Chunks(Arc<AlignedPool>);

impl Default for Chunks {
    fn default() -> Self {
        Self(AlignedPool::new(CHUNK, KEPT_MAX))
    }
}

impl Chunks {
    /// Writes an empty file; what is long goes past the cache where the file system lets it.
    pub(super) fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let direct = if bytes.len() >= LENGTH_MIN && past_cache(file, true).is_ok() {
            let written = write_direct(file, bytes, &mut self.0.take());
            past_cache(file, false)?;
            written?
        } else {
            0
        };
        file.write_all_at(&bytes[direct..], direct as u64)
    }
}

/// Answers how many bytes were written: all whole blocks, or fewer where the file system wants another alignment.
fn write_direct(file: &File, bytes: &[u8], chunk: &mut [u8]) -> io::Result<usize> {
    let whole = bytes.len() / BLOCK_BYTES * BLOCK_BYTES;
    let mut written = 0;
    for part in bytes[..whole].chunks(CHUNK) {
        let aligned = &mut chunk[..part.len()];
        aligned.copy_from_slice(part);
        match file.write_all_at(aligned, written as u64) {
            Ok(()) => written += part.len(),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Ranges that are remembered.
const SEEN: usize = 16_384;

/// What was read past the cache. Who reads it again may not be the last one: then it goes through the cache, for all who come.
pub(super) struct Seen {
    hasher: RandomState,
    ranges: Box<[AtomicU64]>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { hasher: RandomState::new(), ranges: (0..SEEN).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Seen {
    /// Notes a range; whether it was there, as far back as is remembered.
    fn note(&self, name: &ObjectName, range: &Range<u64>) -> bool {
        let hash = self.hasher.hash_one((name.as_str(), range.start)) | 1;
        self.ranges[hash as usize / 2 % SEEN].swap(hash, Ordering::Relaxed) == hash
    }
}

/// Reads a range of an object past the cache; none where it should go through it, where the file system does not let it, and where it
/// fails: who reads through the cache then is told why, if it fails there too. Afterwards the file is an ordinary one.
pub(super) fn read(
    seen: &Seen,
    buffers: &Arc<Buffers>,
    file: &File,
    name: &ObjectName,
    range: &Range<u64>,
) -> io::Result<Option<Bytes>> {
    if range.end - range.start < LENGTH_MIN as u64 || seen.note(name, range) || past_cache(file, true).is_err() {
        return Ok(None);
    }
    let read = read_direct(buffers, file, range);
    past_cache(file, false)?;
    Ok(read.ok())
}

/// Reads the whole blocks around a range.
fn read_direct(buffers: &Arc<Buffers>, file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    const BLOCK: u64 = BLOCK_BYTES as u64;
    let from = range.start / BLOCK * BLOCK;
    let blocks = (range.end.next_multiple_of(BLOCK) - from) as usize;
    let wanted = (range.end - from) as usize;
    let mut buffer = buffers.take(blocks + BLOCK_BYTES);
    let memory = buffer.spare(blocks + BLOCK_BYTES);
    let address = memory.as_ptr().addr();
    let start = address.next_multiple_of(BLOCK_BYTES) - address;
    let memory = &mut memory[start..start + blocks];
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut memory[filled..], from + filled as u64) {
            // only at the end of a file does a read end within a block
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.advance(start + wanted);
    let begin = start + (range.start - from) as usize;
    Ok(Bytes::from_owner(buffer).slice(begin..start + wanted))
}

fn past_cache(file: &File, past: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, past);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn written(directory: &std::path::Path, length: usize) -> Vec<u8> {
        let bytes: Vec<u8> = (0..length).map(|n| (n * 7 + n / 251) as u8).collect();
        let file = File::options().read(true).write(true).create_new(true).open(directory.join(length.to_string())).unwrap();
        Chunks::default().write(&file, &bytes).unwrap();
        let mut read = Vec::new();
        (&file).read_to_end(&mut read).unwrap();
        assert!(read == bytes, "{length} bytes");
        bytes
    }

    #[test]
    fn every_length_is_written_whole_on_a_disk_and_in_memory() {
        for directory in [tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap()] {
            for around in [0, BLOCK_BYTES, LENGTH_MIN, CHUNK + BLOCK_BYTES, 3 * CHUNK] {
                for length in [around.saturating_sub(1), around, around + 1] {
                    let _ = std::fs::remove_file(directory.path().join(length.to_string()));
                    written(directory.path(), length);
                }
            }
        }
    }

    #[test]
    fn every_range_is_read_as_it_stands_on_a_disk_and_in_memory_the_first_time_and_the_second() {
        for directory in [tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap()] {
            let bytes = written(directory.path(), 3 * CHUNK + 5);
            let file = File::open(directory.path().join(bytes.len().to_string())).unwrap();
            let (seen, buffers, name) = (Seen::default(), Buffers::new(16 << 20), ObjectName::new("pack").unwrap());
            let end = bytes.len() as u64;
            // tmpfs lets it be read past the cache from Linux 6.6 on
            let lets = past_cache(&file, true).is_ok() && read_direct(&buffers, &file, &(0..BLOCK_BYTES as u64)).is_ok();
            past_cache(&file, false).unwrap();
            for range in
                [0..end, 1..end, BLOCK_BYTES as u64..end - 1, 5000..5000 + LENGTH_MIN as u64, end - LENGTH_MIN as u64..end]
            {
                let read = read(&seen, &buffers, &file, &name, &range).unwrap();
                assert_eq!(read.is_some(), lets);
                assert!(read.is_none_or(|read| read[..] == bytes[range.start as usize..range.end as usize]), "{range:?}");
                assert!(
                    super::read(&seen, &buffers, &file, &name, &range).unwrap().is_none(),
                    "read again, it goes through the cache"
                );
            }
            assert!(read(&seen, &buffers, &file, &name, &(7..LENGTH_MIN as u64)).unwrap().is_none(), "it is short");
            assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::DIRECT));
            let beyond = read(&seen, &buffers, &file, &name, &(end - 7..end + LENGTH_MIN as u64));
            assert!(beyond.unwrap().is_none(), "it does not end there");
        }
    }

    #[test]
    fn a_file_that_was_written_past_the_cache_is_an_ordinary_one_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("file")).unwrap();
        Chunks::default().write(&file, &vec![1; LENGTH_MIN + 5]).unwrap();
        assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::DIRECT));
        file.write_all_at(&[2, 3], 7).unwrap();
    }
}
