//! A temporary file for what does not fit into memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// An unlinked temporary file that is appended to and read anywhere.
#[derive(Debug)]
pub(super) struct Spill {
    file: File,
    length: u64,
}

impl Spill {
    /// A new file: in `/var/tmp`, which is on disk, otherwise where temporary files go.
    pub(super) fn new() -> io::Result<Self> {
        let file = tempfile::tempfile_in(Path::new("/var/tmp")).or_else(|_| tempfile::tempfile())?;
        Ok(Self { file, length: 0 })
    }

    /// Bytes written.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends. What a failed append left behind is overwritten by the next one.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads up to `most` bytes that were written at `offset`, within the first `end` bytes of the file.
    pub(super) fn read(&self, offset: u64, end: u64, most: usize) -> io::Result<Vec<u8>> {
        let length = end.saturating_sub(offset).min(most as u64) as usize;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}
