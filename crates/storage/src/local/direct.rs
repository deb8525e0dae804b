//! Writing past the page cache: what a backup stores is not read again soon, and copying it there takes more processor time than sending it
//! to the disk; other programs keep what they have in the cache.

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

/// Shorter objects go through the cache.
const LENGTH_MIN: usize = 1 << 20;
/// What goes to the disk at once.
const CHUNK: usize = 1 << 20;
/// Addresses, places and lengths are multiples of this: as large as the blocks of any disk.
const ALIGNMENT: usize = 4096;
/// Chunks that are kept.
const KEPT_MAX: usize = 2;

/// Aligned memory, used again.
#[derive(Default)]
pub(super) struct Chunks {
    kept: Mutex<Vec<Vec<u8>>>,
}

impl Chunks {
    fn take(&self) -> Vec<u8> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| vec![0; CHUNK + ALIGNMENT])
    }

    fn give_back(&self, chunk: Vec<u8>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(chunk);
        }
    }

    /// Writes an empty file; what is long goes past the cache where the file system lets it.
    pub(super) fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let direct = if bytes.len() >= LENGTH_MIN && past_cache(file, true).is_ok() {
            let mut chunk = self.take();
            let written = write_direct(file, bytes, &mut chunk);
            self.give_back(chunk);
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
    let start = chunk.as_ptr().align_offset(ALIGNMENT);
    let Some(aligned) = chunk.get_mut(start..start + CHUNK) else { return Ok(0) };
    let whole = bytes.len() / ALIGNMENT * ALIGNMENT;
    let mut written = 0;
    for part in bytes[..whole].chunks(CHUNK) {
        let aligned = &mut aligned[..part.len()];
        aligned.copy_from_slice(part);
        match file.write_all_at(aligned, written as u64) {
            Ok(()) => written += part.len(),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
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
            for around in [0, ALIGNMENT, LENGTH_MIN, CHUNK + ALIGNMENT, 3 * CHUNK] {
                for length in [around.saturating_sub(1), around, around + 1] {
                    let _ = std::fs::remove_file(directory.path().join(length.to_string()));
                    written(directory.path(), length);
                }
            }
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
