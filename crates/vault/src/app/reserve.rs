//! A reserve of the disk's room. A disk that is full to the last byte could not be freed by the service: whoever expires points, purges
//! them or begins a collection changes a database, and that takes room.
//!
//! The reserve is a file. Uploads are refused before the disk is so full that it would be needed. Where something else fills the disk,
//! it is given up, and only once somebody needs it who makes room or wants to have something back: what fills the disk would take it,
//! too. It is made again once there is room.

use super::App;
use contract::{Error, ErrorKind, Result};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between these: the logs of two databases while many points are purged (SQLite lets each grow to 4 MiB and a transaction), a list of
/// what is deleted (8 MiB), and a pack that is rewritten before the old one goes.
const BYTES_MIN: u64 = 1 << 20;
const BYTES_MAX: u64 = 64 << 20;
/// Between them the reserve is this part of the disk.
const PART_OF_DISK: u64 = 64;
/// How often the room is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What is written at once where a file system does not set room aside.
const PIECE: usize = 64 << 10;

/// The reserve.
#[derive(Debug)]
pub(crate) struct Reserve {
    file: PathBuf,
    /// Where the service's own data lies, and where its vault's objects do: another disk, perhaps.
    data: PathBuf,
    objects: PathBuf,
    bytes: u64,
    is_whole: AtomicBool,
    /// Whether uploads were refused when that was looked at last.
    was_low: AtomicBool,
    /// There was room, and it could not be made: that is said once.
    could_not: AtomicBool,
    /// Bytes that are being stored: on the disk they are not missing yet.
    coming: Mutex<u64>,
    /// How often it was given up.
    given_up: AtomicU64,
    /// Held while it is given up or made.
    changing: Mutex<()>,
}

/// Room for an upload, until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    reserve: Arc<Reserve>,
    bytes: u64,
}

impl Reserve {
    /// The reserve of a service's directory, as it was left; made where there is room.
    pub(crate) fn open(data: &Path) -> Arc<Self> {
        let bytes = statvfs(data).map_or(BYTES_MIN, |told| told.f_blocks.saturating_mul(told.f_frsize) / PART_OF_DISK);
        let reserve = Self {
            file: data.join("reserve"),
            data: data.to_owned(),
            objects: data.join("vault/objects"),
            bytes: bytes.clamp(BYTES_MIN, BYTES_MAX),
            is_whole: AtomicBool::new(false),
            was_low: AtomicBool::new(false),
            could_not: AtomicBool::new(false),
            coming: Mutex::new(0),
            given_up: AtomicU64::new(0),
            changing: Mutex::default(),
        };
        reserve.is_whole.store(reserve.is_there(), Ordering::Release);
        reserve.look();
        Arc::new(reserve)
    }

    /// Makes it where it is not there and there is room, and says so in the log when uploads begin or cease to be refused.
    pub(crate) fn look(&self) {
        if self.is_whole() && !self.is_there() {
            self.is_whole.store(false, Ordering::Release);
        }
        self.make_if_there_is_room();
        let is_low = self.is_low();
        match (self.was_low.swap(is_low, Ordering::AcqRel), is_low) {
            (false, true) => tracing::warn!(
                free_bytes = self.free_bytes(),
                reserve_bytes = self.bytes,
                is_whole = self.is_whole(),
                "the disk that holds the service's data is nearly full: uploads are refused until there is room"
            ),
            (true, false) => tracing::info!(free_bytes = self.free_bytes(), "the disk has room again: uploads are taken"),
            _ => {}
        }
    }

    /// Whether uploads are refused.
    pub(crate) fn is_low(&self) -> bool {
        !self.is_whole() || self.free_bytes() < self.bytes
    }

    /// Room that is left, on the fuller disk of two.
    pub(crate) fn free_bytes(&self) -> u64 {
        free_bytes(&self.data).min(free_bytes(&self.objects))
    }

    /// Room for so many bytes that are uploaded, and for what is uploaded beside them: uploads alone leave at least as much free as the
    /// reserve has.
    pub(crate) fn room_for(self: &Arc<Self>, bytes: u64) -> Result<Room> {
        // Whoever comes as soon as there is room does not have to wait until that is seen.
        self.make_if_there_is_room();
        let mut coming = self.coming.lock().expect("no panic under this lock");
        let wanted = bytes.saturating_add(*coming).saturating_add(self.bytes);
        if !self.is_whole() || self.free_bytes() < wanted {
            return Err(Error::new(ErrorKind::Full, "the service's disk is nearly full: it stores nothing more until there is room")
                .with_hint(
                    "make room on that disk, or let points go: 'holdfast expire POINT --purge', then 'holdfast collect' (what an interrupted \
                     backup left goes with the second run, what runs now keeps its room)",
                ));
        }
        *coming += bytes;
        Ok(Room { reserve: self.clone(), bytes })
    }

    /// Gives the reserve up if the disk is full, for what somebody is about to do who may make room.
    pub(crate) fn yield_if_full(&self) {
        if self.is_whole() && free_bytes(&self.data) < self.bytes / 4 {
            self.give_up(self.given_up.load(Ordering::Acquire));
        }
    }

    /// Gives the reserve up to whoever found the disk full; whether there is room that was not there when it had been given up `before`
    /// times.
    fn give_up(&self, before: u64) -> bool {
        let _changing = self.changing.lock().expect("no panic under this lock");
        if !self.is_whole() {
            return self.given_up.load(Ordering::Acquire) != before;
        }
        // Even if it cannot be removed: the disk is full.
        self.is_whole.store(false, Ordering::Release);
        match fs::remove_file(&self.file) {
            Ok(()) => {
                self.given_up.fetch_add(1, Ordering::AcqRel);
                tracing::warn!(
                    bytes = self.bytes,
                    "the disk is full: its reserve is given up, and uploads are refused until there is room"
                );
                true
            }
            Err(error) => {
                tracing::error!(%error, "the disk is full, and its reserve cannot be given up");
                false
            }
        }
    }

    /// Does what somebody needs who makes room. Where the disk is full the reserve is given up, and it is done again.
    pub(crate) async fn at_need<T, E, F>(&self, work: impl Fn() -> F) -> std::result::Result<T, E>
    where
        F: Future<Output = std::result::Result<T, E>>,
        E: Full,
    {
        let before = self.given_up.load(Ordering::Acquire);
        match work().await {
            Err(error) if error.is_full() && self.give_up(before) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, "what found the disk full is done again");
                work().await
            }
            outcome => outcome,
        }
    }

    fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    /// A copy of the directory may have a file of the same length that takes no room.
    fn is_there(&self) -> bool {
        fs::metadata(&self.file).is_ok_and(|there| there.len() >= self.bytes && there.blocks() * 512 >= self.bytes)
    }

    /// As much again and more is left then.
    fn make_if_there_is_room(&self) {
        if self.is_whole() || free_bytes(&self.data) < self.bytes * 3 {
            return;
        }
        let _changing = self.changing.lock().expect("no panic under this lock");
        if self.is_whole() {
            return;
        }
        match self.make() {
            Ok(()) => {
                self.is_whole.store(true, Ordering::Release);
                self.could_not.store(false, Ordering::Release);
                tracing::info!(bytes = self.bytes, "the disk's reserve was made");
            }
            Err(error) => {
                let _ = fs::remove_file(&self.file);
                if !self.could_not.swap(true, Ordering::AcqRel) {
                    tracing::warn!(%error, "the disk's reserve cannot be made, and is tried again: uploads are refused");
                }
            }
        }
    }

    fn make(&self) -> io::Result<()> {
        let _ = fs::remove_file(&self.file);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.write_whole(&file)?,
            Err(error) => return Err(error.into()),
        }
        file.sync_all()?;
        File::open(&self.data)?.sync_all()
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
}

impl Drop for Room {
    fn drop(&mut self) {
        *self.reserve.coming.lock().expect("no panic under this lock") -= self.bytes;
    }
}

/// An error that may say that a disk is full.
pub(crate) trait Full: std::error::Error {
    /// Whether it does.
    fn is_full(&self) -> bool;
}

impl Full for Error {
    fn is_full(&self) -> bool {
        self.kind() == ErrorKind::Full
    }
}

impl Full for crate::error::ServiceError {
    fn is_full(&self) -> bool {
        self.kind() == ErrorKind::Full
    }
}

/// Looks after the reserve, for ever.
pub(crate) async fn keep(app: &App) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let reserve = app.reserve.clone();
        if let Err(fault) = tokio::task::spawn_blocking(move || reserve.look()).await {
            tracing::error!(%fault, "a fault of the vault service: nobody looked after the disk's reserve");
        }
    }
}

/// Room on the disk of a directory. One that cannot be asked counts as empty: what is written to it says what is wrong.
fn free_bytes(directory: &Path) -> u64 {
    statvfs(directory).map_or(u64::MAX, |told| told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn full() -> Error {
        Error::new(ErrorKind::Full, "full")
    }

    #[test]
    fn a_reserve_is_made_where_there_is_room_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        assert!(reserve.is_whole() && !reserve.is_low());
        let made = fs::metadata(directory.path().join("reserve")).unwrap();
        assert!(made.len() >= BYTES_MIN && made.len() <= BYTES_MAX);
        assert!(made.blocks() * 512 >= made.len(), "it takes room");
        assert!(Reserve::open(directory.path()).is_whole());
        assert_eq!(fs::metadata(directory.path().join("reserve")).unwrap().ino(), made.ino());
    }

    #[test]
    fn a_reserve_without_room_behind_it_is_none_and_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reserve");
        let bytes = Reserve::open(directory.path()).bytes;
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap().set_len(bytes).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().blocks(), 0);
        let reserve = Reserve::open(directory.path());
        assert!(reserve.is_whole() && fs::metadata(&path).unwrap().blocks() * 512 >= bytes);
        // Somebody takes it away while the service runs.
        fs::remove_file(&path).unwrap();
        reserve.look();
        assert!(reserve.is_whole() && reserve.is_there());
    }

    #[test]
    fn what_is_being_uploaded_counts_as_stored() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let half = reserve.free_bytes() * 2 / 3;
        let first = reserve.room_for(half).unwrap();
        assert_eq!(reserve.room_for(half).unwrap_err().kind(), ErrorKind::Full);
        drop(first);
        drop(reserve.room_for(half).unwrap());
        assert!(reserve.room_for(reserve.free_bytes()).is_err(), "the last bytes are nobody's");
    }

    #[tokio::test]
    async fn the_reserve_is_given_up_for_what_finds_the_disk_full_and_that_is_done_again_once() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let tries = Cell::new(0);
        let done = reserve.at_need(|| async {
            tries.set(tries.get() + 1);
            if reserve.is_there() { Err(full()) } else { Ok(tries.get()) }
        });
        assert_eq!(done.await.unwrap(), 2);
        assert!(!reserve.is_whole() && reserve.is_low());
        tries.set(0);
        let failed: Result<()> = reserve
            .at_need(|| async {
                tries.set(tries.get() + 1);
                Err(full())
            })
            .await;
        assert!(failed.is_err() && tries.get() == 1, "there is nothing more to give up");
        reserve.look();
        let other: Result<()> = reserve.at_need(|| async { Err(Error::new(ErrorKind::Conflict, "x")) }).await;
        assert!(other.is_err() && reserve.is_whole());
    }

    #[tokio::test]
    async fn of_two_who_find_the_disk_full_at_once_both_have_the_room() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let meet = tokio::sync::Barrier::new(2);
        let one = || async {
            if !reserve.is_there() {
                return Ok(());
            }
            meet.wait().await;
            Err(full())
        };
        let (first, second) = tokio::join!(reserve.at_need(one), reserve.at_need(one));
        assert!(first.is_ok() && second.is_ok());
    }
}
