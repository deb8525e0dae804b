//! The file that holds the reserve's room.
//!
//! Whether it holds room is told by its blocks, but for one that this process wrote: some file systems say later how many there are, or
//! never.

use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is written at once where a file system does not set room aside.
const PIECE: usize = 64 << 10;
/// What a block of a file's metadata stands for.
const BLOCK_BYTES: u64 = 512;

/// The file, which need not be there.
#[derive(Debug)]
pub(super) struct ReserveFile {
    directory: PathBuf,
    path: PathBuf,
    bytes: u64,
    /// The inode of the one that this process wrote.
    own: Option<u64>,
}

impl ReserveFile {
    /// Of so many bytes, in this directory.
    pub(super) fn new(directory: &Path, bytes: u64) -> Self {
        Self { directory: directory.to_owned(), path: directory.join("reserve"), bytes, own: None }
    }

    /// Whether it is there and holds all of its room. A copy of the directory may have a file of the same length that takes none.
    pub(super) fn is_whole(&self) -> bool {
        let is_whole = |there: Metadata| {
            there.is_file() && there.len() >= self.bytes && (self.own == Some(there.ino()) || self.has_blocks(&there))
        };
        fs::symlink_metadata(&self.path).is_ok_and(is_whole)
    }

    /// Makes it, in place of whatever file is there.
    pub(super) fn make(&mut self) -> io::Result<()> {
        self.make_by(|file, bytes| fallocate(file, FallocateFlags::empty(), 0, bytes))
    }

    fn make_by(&mut self, set_aside: impl FnOnce(&File, u64) -> rustix::io::Result<()>) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.own = None,
        }
        let made = self.write(set_aside);
        match &made {
            Ok(inode) => self.own = Some(*inode),
            // It would hold room for nothing.
            Err(_) => drop(fs::remove_file(&self.path)),
        }
        made.map(drop)
    }

    fn write(&self, set_aside: impl FnOnce(&File, u64) -> rustix::io::Result<()>) -> io::Result<u64> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        match set_aside(&file, self.bytes) {
            Ok(()) => file.sync_all()?,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        // Some say that they set room aside, and do not.
        if !self.has_blocks(&file.metadata()?) {
            self.write_whole(&file)?;
            file.sync_all()?;
        }
        File::open(&self.directory)?.sync_all()?;
        Ok(file.metadata()?.ino())
    }

    /// Bytes that no file system makes smaller.
    fn write_whole(&self, mut file: &File) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        for _ in 0..self.bytes.div_ceil(PIECE as u64) {
            system::fill(&mut piece);
            file.write_all(&piece)?;
        }
        Ok(())
    }

    /// Gives back the room that it holds, whole or not. Whether it held any.
    pub(super) fn give_up(&mut self) -> io::Result<bool> {
        let there = match fs::symlink_metadata(&self.path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let held = there.blocks() > 0 || self.own == Some(there.ino());
        // Where removing it fails, which may take room by itself, its end may be cut off all the same.
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        let emptied = OpenOptions::new().write(true).custom_flags(no_link).open(&self.path).and_then(|file| file.set_len(0));
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => emptied?,
            _ => {}
        }
        self.own = None;
        Ok(held)
    }

    fn has_blocks(&self, there: &Metadata) -> bool {
        there.blocks() * BLOCK_BYTES >= self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 1 << 20;

    fn in_directory() -> (tempfile::TempDir, ReserveFile) {
        let directory = tempfile::tempdir().unwrap();
        let file = ReserveFile::new(directory.path(), BYTES);
        (directory, file)
    }

    /// As file systems do that set no room aside and say that they did.
    fn only_longer(file: &File, bytes: u64) -> rustix::io::Result<()> {
        file.set_len(bytes).map_err(|error| Errno::from_io_error(&error).unwrap())
    }

    #[test]
    fn where_setting_room_aside_sets_none_aside_the_file_is_written() {
        let (_directory, mut file) = in_directory();
        file.make_by(only_longer).unwrap();
        let there = fs::metadata(&file.path).unwrap();
        assert!(there.blocks() * BLOCK_BYTES >= BYTES && there.len() == BYTES, "{there:?}");
        for error in [Errno::OPNOTSUPP, Errno::INVAL] {
            file.make_by(|_, _| Err(error)).unwrap();
            assert!(file.is_whole() && fs::metadata(&file.path).unwrap().blocks() * BLOCK_BYTES >= BYTES);
        }
    }

    #[test]
    fn the_file_that_this_process_wrote_is_not_judged_by_its_blocks_and_any_other_is() {
        let (directory, mut file) = in_directory();
        file.make().unwrap();
        // As on file systems that say late, or never, how many blocks a file has.
        let there = File::options().write(true).open(&file.path).unwrap();
        there.set_len(0).unwrap();
        assert!(!file.is_whole());
        there.set_len(BYTES).unwrap();
        assert!(file.is_whole() && !ReserveFile::new(directory.path(), BYTES).is_whole());
        assert!(file.give_up().unwrap(), "it may hold room");
    }

    #[test]
    fn one_that_cannot_be_made_leaves_nothing_that_holds_room() {
        let (_directory, mut file) = in_directory();
        let refused = file.make_by(|file, bytes| only_longer(file, bytes).and(Err(Errno::NOSPC)));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!file.is_whole() && !file.path.exists());
    }

    #[test]
    fn what_holds_room_is_given_up_whole_or_not_and_what_is_gone_is_no_error() {
        let (_directory, mut file) = in_directory();
        assert!(!file.give_up().unwrap(), "there is none");
        // Somebody was interrupted while it was written.
        fs::write(&file.path, [1; 4096]).unwrap();
        assert!(!file.is_whole() && file.give_up().unwrap() && !file.path.exists());
        File::create(&file.path).unwrap().set_len(BYTES).unwrap();
        assert!(!file.give_up().unwrap() && !file.path.exists(), "it held nothing");
        // Something else stands there: it is nobody's to remove.
        fs::create_dir(&file.path).unwrap();
        assert!(file.give_up().is_err() && file.make().is_err() && file.path.exists());
    }

    #[test]
    fn a_link_is_removed_and_what_it_leads_to_stays() {
        let (directory, mut file) = in_directory();
        let other = directory.path().join("other");
        fs::write(&other, [1; 4096]).unwrap();
        std::os::unix::fs::symlink(&other, &file.path).unwrap();
        assert!(!file.is_whole());
        file.give_up().unwrap();
        assert!(!file.path.exists() && fs::read(&other).unwrap().len() == 4096);
    }
}
