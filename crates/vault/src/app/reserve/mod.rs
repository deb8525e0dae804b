//! A reserve of the disk's room. A disk that is full to the last byte could not be freed by the service: whoever expires points, purges
//! them or begins a collection changes a database, and that takes room.
//!
//! The reserve is a file. Uploads are refused before the disk is so full that it would be needed. Where something else fills the disk,
//! it is given up, and only once somebody needs it who makes room, or an administrator wants to have something back: what fills the disk
//! would take it, too. It is made again once there is room. Where it cannot be made, uploads leave that room free instead.
//!
//! Invariant: nothing that an agent's token opens gives it up.

mod file;

use super::App;
use contract::{Error, ErrorKind, Result};
use file::ReserveFile;
use rustix::fs::statvfs;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

/// Between these: the logs of two databases while many points are purged (SQLite lets each grow to 4 MiB and a transaction), a list of
/// what is deleted (8 MiB), and a pack that is rewritten before the old one goes.
const BYTES_MIN: u64 = 1 << 20;
const BYTES_MAX: u64 = 64 << 20;
/// Between them the reserve is this part of the disk.
const PART_OF_DISK: u64 = 64;
/// Without the reserve so many times its room is as little as is left free: it can be made, and as much again and more is left then.
const TIMES_WITHOUT: u64 = 3;
/// How often the room is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Where it could not be made though there is room, that is tried again after so long.
const MAKE_AGAIN: Duration = Duration::from_secs(60);
/// What found the disk full is done again after these pauses: some file systems free what was given up only after a while.
const PAUSES: [Duration; 4] = [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(5)];

/// The reserve.
#[derive(Debug)]
pub(crate) struct Reserve {
    /// Where the service's own data lies, and where its vault's objects do: another disk, perhaps.
    data: PathBuf,
    objects: PathBuf,
    bytes: u64,
    /// Held while it is looked at, made or given up: by threads that may wait for a disk.
    file: Mutex<Kept>,
    is_whole: AtomicBool,
    /// Whether uploads were refused when that was looked at last.
    was_low: AtomicBool,
    /// Bytes that are being stored: on the disk they are not missing yet.
    coming: Mutex<u64>,
    /// How often it was given up.
    given_up: AtomicU64,
}

/// The file, and since when it could not be made.
#[derive(Debug)]
struct Kept {
    file: ReserveFile,
    failed: Option<Instant>,
}

/// Room for an upload, until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    reserve: Arc<Reserve>,
    bytes: u64,
}

impl Reserve {
    /// The reserve of a service's directory, as it was left; made where there is room. Waits for the disk.
    pub(crate) fn open(data: &Path) -> Arc<Self> {
        let bytes = statvfs(data).map_or(BYTES_MIN, |told| told.f_blocks.saturating_mul(told.f_frsize) / PART_OF_DISK);
        let bytes = bytes.clamp(BYTES_MIN, BYTES_MAX);
        let reserve = Self {
            data: data.to_owned(),
            objects: data.join("vault/objects"),
            bytes,
            file: Mutex::new(Kept { file: ReserveFile::new(data, bytes), failed: None }),
            is_whole: AtomicBool::new(false),
            was_low: AtomicBool::new(false),
            coming: Mutex::new(0),
            given_up: AtomicU64::new(0),
        };
        reserve.look();
        Arc::new(reserve)
    }

    /// Makes it where it is not there and there is room, and says so in the log when uploads begin or cease to be refused. Waits for
    /// the disk.
    pub(crate) fn look(&self) {
        let mut kept = self.kept();
        if !kept.file.is_whole() && free_bytes(&self.data) >= self.bytes * TIMES_WITHOUT {
            self.make(&mut kept);
        }
        self.is_whole.store(kept.file.is_whole(), Ordering::Release);
        drop(kept);
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
        self.free_bytes() < self.least_bytes()
    }

    /// Room that is left, on the fuller disk of two.
    pub(crate) fn free_bytes(&self) -> u64 {
        free_bytes(&self.data).min(free_bytes(&self.objects))
    }

    /// Room for so many bytes that are uploaded, and for what is uploaded beside them: uploads alone leave at least as much free as the
    /// reserve has.
    pub(crate) fn room_for(self: &Arc<Self>, bytes: u64) -> Result<Room> {
        let mut coming = self.coming.lock().expect("no panic under this lock");
        let wanted = bytes.saturating_add(*coming).saturating_add(self.least_bytes());
        if self.free_bytes() < wanted {
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
    pub(crate) async fn yield_if_full(self: &Arc<Self>) {
        self.yield_below(self.bytes / 4).await;
    }

    /// Gives the reserve up if so little is free that it may be needed, for a collection. One that failed is not done again by itself:
    /// the second one takes what interrupted backups left, and nobody has gone on with those in between.
    pub(crate) async fn yield_if_low(self: &Arc<Self>) {
        self.yield_below(self.bytes).await;
    }

    async fn yield_below(self: &Arc<Self>, bytes: u64) {
        if free_bytes(&self.data) < bytes {
            self.give_up(self.given_up.load(Ordering::Acquire)).await;
        }
    }

    /// Does what somebody needs who makes room. Where the disk is full the reserve is given up, and it is done again.
    pub(crate) async fn at_need<T, E, F>(self: &Arc<Self>, work: impl Fn() -> F) -> std::result::Result<T, E>
    where
        F: Future<Output = std::result::Result<T, E>>,
        E: Full,
    {
        let before = self.given_up.load(Ordering::Acquire);
        let mut outcome = work().await;
        let Err(error) = &outcome else { return outcome };
        if !error.is_full() || !self.give_up(before).await {
            return outcome;
        }
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, cause, "what found the disk full is done again");
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            outcome = work().await;
            if !outcome.as_ref().is_err_and(Full::is_full) {
                break;
            }
        }
        outcome
    }

    /// Gives the reserve up to whoever found the disk full; whether there is room that was not there when it had been given up `before`
    /// times.
    async fn give_up(self: &Arc<Self>, before: u64) -> bool {
        let reserve = self.clone();
        // Without a runtime the service has ended.
        spawn_blocking(move || reserve.give_up_now(before)).await.unwrap_or(false)
    }

    /// Waits for the disk.
    fn give_up_now(&self, before: u64) -> bool {
        let mut kept = self.kept();
        if self.given_up.load(Ordering::Acquire) != before {
            return true;
        }
        if !self.may_be_of_use() {
            return false;
        }
        let held = kept.file.give_up();
        self.is_whole.store(kept.file.is_whole(), Ordering::Release);
        match held {
            Ok(true) => {
                self.given_up.fetch_add(1, Ordering::AcqRel);
                tracing::warn!(
                    bytes = self.bytes,
                    "the disk is full: its reserve is given up, and uploads are refused until there is room"
                );
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!(%error, "the disk is full, and its reserve cannot be given up");
                false
            }
        }
    }

    /// Whether what is full may be the disk with the reserve: if it has room, the one with the objects is, where that is another. Where it
    /// is the same, a quota may be used up of which the disk does not tell.
    fn may_be_of_use(&self) -> bool {
        let device = |directory: &Path| fs::metadata(directory).ok().map(|there| there.dev());
        free_bytes(&self.data) < self.bytes || device(&self.objects).is_none_or(|objects| Some(objects) == device(&self.data))
    }

    fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    /// So much is free at least while uploads are taken.
    fn least_bytes(&self) -> u64 {
        if self.is_whole() { self.bytes } else { self.bytes * TIMES_WITHOUT }
    }

    fn make(&self, kept: &mut Kept) {
        if kept.failed.is_some_and(|failed| failed.elapsed() < MAKE_AGAIN) {
            return;
        }
        match kept.file.make() {
            Ok(()) => {
                kept.failed = None;
                tracing::info!(bytes = self.bytes, "the disk's reserve was made");
            }
            Err(error) => {
                if kept.failed.replace(Instant::now()).is_none() {
                    let least_bytes = self.bytes * TIMES_WITHOUT;
                    tracing::error!(
                        %error,
                        least_bytes,
                        "there is room for the disk's reserve, and it cannot be made: that is tried again now and then, and uploads leave \
                         more free meanwhile"
                    );
                }
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.file.lock().expect("no panic under this lock")
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
        if let Err(fault) = spawn_blocking(move || reserve.look()).await {
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
    use std::fs::File;

    fn full() -> Error {
        Error::new(ErrorKind::Full, "full")
    }

    fn is_there(directory: &tempfile::TempDir) -> bool {
        directory.path().join("reserve").is_file()
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
        assert!(reserve.is_whole() && is_there(&directory));
    }

    #[test]
    fn one_that_is_there_is_not_made_again_whenever_somebody_looks() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let inode = || fs::metadata(directory.path().join("reserve")).unwrap().ino();
        let made = inode();
        // As on a file system that never says how many blocks a file has.
        let file = File::options().write(true).open(directory.path().join("reserve")).unwrap();
        file.set_len(0).and_then(|()| file.set_len(reserve.bytes)).unwrap();
        reserve.look();
        assert!(reserve.is_whole() && inode() == made);
    }

    #[test]
    fn uploads_are_taken_where_there_is_room_and_the_reserve_cannot_be_made() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("reserve")).unwrap();
        let reserve = Reserve::open(directory.path());
        assert!(!reserve.is_whole() && !reserve.is_low());
        let _room = reserve.room_for(1).unwrap();
        let free = reserve.free_bytes();
        let too_much = free.saturating_sub(2 * reserve.bytes);
        assert_eq!(reserve.room_for(too_much).unwrap_err().kind(), ErrorKind::Full, "what it would hold stays free");
        // Not whenever somebody looks.
        fs::remove_dir(directory.path().join("reserve")).unwrap();
        reserve.look();
        assert!(!reserve.is_whole());
        reserve.kept().failed = Instant::now().checked_sub(MAKE_AGAIN);
        reserve.look();
        assert!(reserve.is_whole() && reserve.kept().failed.is_none());
    }

    #[test]
    fn what_is_uploaded_does_not_wait_for_the_reserve_to_be_made() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        fs::remove_file(directory.path().join("reserve")).unwrap();
        // Somebody makes it, which takes a while.
        let making = reserve.kept();
        reserve.is_whole.store(false, Ordering::Release);
        drop(reserve.room_for(1).unwrap());
        drop(making);
        assert!(!is_there(&directory));
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
    async fn the_reserve_is_given_up_for_what_finds_the_disk_full_and_that_is_done_again() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let tries = Cell::new(0);
        let done = reserve.at_need(|| async {
            tries.set(tries.get() + 1);
            if is_there(&directory) { Err(full()) } else { Ok(tries.get()) }
        });
        assert_eq!(done.await.unwrap(), 2);
        assert!(!reserve.is_whole());
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
    async fn where_the_room_comes_late_it_is_tried_some_times_and_only_while_the_disk_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let until = async |last: fn() -> Result<usize>| {
            let tries = Cell::new(0);
            reserve.look();
            let work = async || {
                tries.set(tries.get() + 1);
                if tries.get() < 3 { Err(full()) } else { last() }
            };
            (reserve.at_need(work).await, tries.get())
        };
        assert_eq!(until(|| Ok(7)).await.0.unwrap(), 7);
        let (failed, tries) = until(|| Err(Error::new(ErrorKind::Conflict, "x"))).await;
        assert!(failed.unwrap_err().kind() == ErrorKind::Conflict && tries == 3);
    }

    #[tokio::test]
    async fn of_two_who_find_the_disk_full_at_once_both_have_the_room() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let meet = tokio::sync::Barrier::new(2);
        let one = || async {
            if !is_there(&directory) {
                return Ok(());
            }
            meet.wait().await;
            Err(full())
        };
        let (first, second) = tokio::join!(reserve.at_need(one), reserve.at_need(one));
        assert!(first.is_ok() && second.is_ok());
    }

    #[tokio::test]
    async fn what_is_left_of_a_reserve_is_given_up_and_one_that_is_gone_helps_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(directory.path());
        let try_it = async || {
            let work = async || if is_there(&directory) { Err(full()) } else { Ok(()) };
            reserve.at_need(work).await
        };
        fs::remove_file(directory.path().join("reserve")).unwrap();
        let tries = Cell::new(0);
        let gone: Result<()> = reserve
            .at_need(|| async {
                tries.set(tries.get() + 1);
                Err(full())
            })
            .await;
        assert!(gone.is_err() && tries.get() == 1 && !reserve.is_whole());
        // A start was interrupted while it was written, and now there is no room for the rest.
        fs::write(directory.path().join("reserve"), [1; 4096]).unwrap();
        try_it().await.unwrap();
        assert!(!is_there(&directory));
    }

    #[tokio::test]
    async fn a_reserve_that_lies_on_another_disk_than_what_is_full_is_kept() {
        let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        let reserve = Reserve::open(directory.path());
        fs::create_dir(directory.path().join("vault")).unwrap();
        std::os::unix::fs::symlink(other.path(), directory.path().join("vault/objects")).unwrap();
        if fs::metadata(directory.path()).unwrap().dev() == fs::metadata(other.path()).unwrap().dev() {
            println!("there is one disk here: nothing is tested");
            return;
        }
        let failed: Result<()> = reserve.at_need(async || Err(full())).await;
        assert!(failed.is_err() && is_there(&directory));
    }
}
