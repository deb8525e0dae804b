//! Writing large files past the page cache.
//!
//! Copying into the cache takes more processor time than sending to the disk, two threads that copy into one file wait for each other, and
//! what others have there is pushed out. The disk takes whole blocks only; the pieces of a file are cut by content and come in any order. A
//! block that two pieces share waits for the second one, and goes with it.

use crate::platform;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use system::{AlignedPool, BLOCK_BYTES};

/// What goes to the disk at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that are kept.
const CHUNKS_KEPT: usize = 8;
/// A disk that takes so long for a mebibyte, others waiting for it too, does not keep up with those who make them: what the cache takes
/// meanwhile, it takes in its own time.
const SLOW_NS_PER_MIB: u64 = 5_000_000;
/// Less goes through the cache, where it is put together with what lies beside it: to wait for each would take longer.
const BYTES_MIN: usize = 128 << 10;
/// The mean goes over about so many bytes.
const MEAN_BYTES: u64 = 32 << 20;
/// While the disk is slow, each of so many writes goes to it all the same, to see whether it still is.
const LOOK_EVERY: u64 = 64;
/// Blocks that wait for the rest of them, in one file.
const LOOSE_OF_FILE_MAX: usize = 1024;
/// Of all files together.
const LOOSE_MAX: usize = 4096;

/// The disk that files are restored to.
pub(super) struct Disk {
    /// Where pieces stand while they go to it.
    chunks: Arc<AlignedPool>,
    /// How long it takes: a moving mean. Updates that get lost do no harm.
    ns_per_mib: AtomicU64,
    /// Writes that went through the cache because it is slow.
    spared: AtomicU64,
    /// Blocks that wait.
    loose: AtomicUsize,
}

impl Default for Disk {
    fn default() -> Self {
        let (ns_per_mib, spared, loose) = Default::default();
        Self { chunks: AlignedPool::new(CHUNK_BYTES, CHUNKS_KEPT), ns_per_mib, spared, loose }
    }
}

impl Disk {
    /// Whether to wait for it.
    fn is_fast(&self) -> bool {
        self.ns_per_mib.load(Ordering::Relaxed) < SLOW_NS_PER_MIB
            || self.spared.fetch_add(1, Ordering::Relaxed) % LOOK_EVERY == LOOK_EVERY - 1
    }

    fn note(&self, bytes: usize, took: Duration) {
        let took = (took.as_nanos() << 20) / bytes.max(1) as u128;
        let before = self.ns_per_mib.load(Ordering::Relaxed);
        let weight = (bytes as u64).min(MEAN_BYTES);
        let mean = (u128::from(before) * u128::from(MEAN_BYTES - weight) + took * u128::from(weight)) / u128::from(MEAN_BYTES);
        self.ns_per_mib.store(u64::try_from(mean).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A file that is written past the cache, as far as its file system lets it.
pub(super) struct PastCache {
    file: OwnedFd,
    disk: Arc<Disk>,
    loose: Mutex<Loose>,
    /// Held by those who write. The kernel waits for all of them before it makes room, and lets none begin before it has: for each
    /// stretch, were all of them not made at once.
    writing: RwLock<()>,
}

/// Blocks of which a part was written.
enum Loose {
    Waiting(HashMap<u64, Block>),
    /// Everything goes through the cache now.
    GivenUp,
}

/// A block of which a part is there; the rest is zeros.
struct Block {
    bytes: Box<[u8; BLOCK_BYTES]>,
    parts: Vec<Range<usize>>,
    filled: usize,
}

impl PastCache {
    /// For a file that is open for writing past the cache. It must have its size already; part of it may have been written.
    pub(super) fn new(file: OwnedFd, disk: Arc<Disk>) -> Self {
        Self { file, disk, loose: Mutex::new(Loose::Waiting(HashMap::new())), writing: RwLock::new(()) }
    }

    /// Has room made for data that is written next: where there is room, threads write side by side.
    pub(super) fn reserve(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        let _alone = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        ranges.iter().try_for_each(|range| platform::allocate(self.file.as_fd(), range.clone()))
    }

    /// Writes a piece; no two of a file overlap. What cannot go past the cache goes through `cached`, the same file.
    pub(super) fn write_at(&self, cached: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(Whole { at, before, middle, behind }) = self.whole_blocks(cached, bytes, offset)? else {
            return platform::write_at(cached, bytes, offset);
        };
        let parts =
            [before.as_ref().map_or(&[][..], |block| &block[..]), middle, behind.as_ref().map_or(&[][..], |block| &block[..])];
        self.write_blocks(cached, &parts, at)
    }

    /// Writes what still waits: the ends of the file, and of data beside holes.
    pub(super) fn finish(&self, cached: BorrowedFd<'_>) -> io::Result<()> {
        self.give_up(&mut self.lock(), cached)
    }

    /// Which whole blocks can be written now that this piece is there; none if all of it goes through the cache.
    fn whole_blocks<'a>(&self, cached: BorrowedFd<'_>, bytes: &'a [u8], offset: u64) -> io::Result<Option<Whole<'a>>> {
        let mut loose = self.lock();
        if self.disk.loose.load(Ordering::Relaxed) >= LOOSE_MAX
            || matches!(&*loose, Loose::Waiting(waiting) if waiting.len() >= LOOSE_OF_FILE_MAX)
        {
            self.give_up(&mut loose, cached)?;
        }
        let Loose::Waiting(waiting) = &mut *loose else { return Ok(None) };
        let before = waiting.len();
        let whole = cut(waiting, bytes, offset);
        match waiting.len().checked_sub(before) {
            Some(more) => self.disk.loose.fetch_add(more, Ordering::Relaxed),
            None => self.disk.loose.fetch_sub(before - waiting.len(), Ordering::Relaxed),
        };
        Ok(Some(whole))
    }

    /// Writes parts that stand one behind the other.
    fn write_blocks(&self, cached: BorrowedFd<'_>, parts: &[&[u8]], mut at: u64) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length < BYTES_MIN || !self.disk.is_fast() {
            for part in parts {
                platform::write_at(cached, part, at)?;
                at += part.len() as u64;
            }
            return Ok(());
        }
        let mut chunk = self.disk.chunks.take();
        let (mut filled, mut took) = (0, Duration::ZERO);
        for part in parts {
            let mut part = *part;
            while !part.is_empty() {
                let (now, later) = part.split_at(part.len().min(CHUNK_BYTES - filled));
                chunk[filled..filled + now.len()].copy_from_slice(now);
                filled += now.len();
                part = later;
                if filled == CHUNK_BYTES {
                    took += self.write_chunk(cached, &chunk, at)?;
                    at += CHUNK_BYTES as u64;
                    filled = 0;
                }
            }
        }
        took += self.write_chunk(cached, &chunk[..filled], at)?;
        self.disk.note(length, took);
        Ok(())
    }

    /// Answers how long it took.
    fn write_chunk(&self, cached: BorrowedFd<'_>, chunk: &[u8], at: u64) -> io::Result<Duration> {
        let (writing, begun) = (self.writing.read().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let written = platform::write_at(&self.file, chunk, at);
        let took = begun.elapsed();
        drop(writing);
        match written {
            // it wants another alignment
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.give_up(&mut self.lock(), cached)?;
                platform::write_at(cached, chunk, at)?;
            }
            written => written?,
        }
        Ok(took)
    }

    /// Writes what waits, and has everything else go through the cache.
    fn give_up(&self, loose: &mut Loose, cached: BorrowedFd<'_>) -> io::Result<()> {
        let Loose::Waiting(waiting) = std::mem::replace(loose, Loose::GivenUp) else { return Ok(()) };
        self.disk.loose.fetch_sub(waiting.len(), Ordering::Relaxed);
        for (at, block) in waiting {
            for part in block.parts {
                platform::write_at(cached, &block.bytes[part.clone()], at + part.start as u64)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Loose> {
        self.loose.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PastCache {
    fn drop(&mut self) {
        if let Loose::Waiting(waiting) = &*self.lock() {
            self.disk.loose.fetch_sub(waiting.len(), Ordering::Relaxed);
        }
    }
}

/// Whole blocks, one behind the other.
struct Whole<'a> {
    at: u64,
    before: Option<Box<[u8; BLOCK_BYTES]>>,
    middle: &'a [u8],
    behind: Option<Box<[u8; BLOCK_BYTES]>>,
}

/// Which whole blocks a piece makes, with what waited for it. What is left of it waits.
fn cut<'a>(waiting: &mut HashMap<u64, Block>, bytes: &'a [u8], offset: u64) -> Whole<'a> {
    const BLOCK: u64 = BLOCK_BYTES as u64;
    let end = offset + bytes.len() as u64;
    let (first, last) = (offset.next_multiple_of(BLOCK), end / BLOCK * BLOCK);
    if first > last {
        // within one block
        let block = add(waiting, last, bytes, offset);
        return Whole { at: last, before: block, middle: &[], behind: None };
    }
    let (head, rest) = bytes.split_at((first - offset) as usize);
    let (middle, tail) = rest.split_at((last - first) as usize);
    let before = add(waiting, first.wrapping_sub(BLOCK), head, offset);
    let behind = add(waiting, last, tail, last);
    let at = if before.is_some() { first - BLOCK } else { first };
    Whole { at, before, middle, behind }
}

/// Adds bytes to the block at `at`; answers it when it is whole.
fn add(waiting: &mut HashMap<u64, Block>, at: u64, bytes: &[u8], offset: u64) -> Option<Box<[u8; BLOCK_BYTES]>> {
    if bytes.is_empty() {
        return None;
    }
    let block = waiting.entry(at).or_insert_with(|| Block { bytes: Box::new([0; BLOCK_BYTES]), parts: Vec::new(), filled: 0 });
    let start = (offset - at) as usize;
    let part = start..start + bytes.len();
    block.bytes[part.clone()].copy_from_slice(bytes);
    block.filled += bytes.len();
    block.parts.push(part);
    if block.filled < BLOCK_BYTES { None } else { waiting.remove(&at).map(|block| block.bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::page::EntryKind;
    use std::fs::File;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::Path;
    use std::thread;

    const SIZE: u64 = 12 << 20;

    /// Data between holes: stretches in a file, whose ends are at no block.
    fn stretches() -> Vec<Range<u64>> {
        vec![0..5, 7_000..8_191, 100_001..4_700_003, 5 << 20..(5 << 20) + 4096, 6_400_001..6_400_002, 7_000_000..SIZE - 1]
    }

    /// The stretches in pieces of all lengths, in no order.
    fn pieces(longest: u64) -> Vec<Range<u64>> {
        let mut pieces = Vec::new();
        let mut number = 1u64;
        for stretch in stretches() {
            let mut at = stretch.start;
            while at < stretch.end {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let end = (at + 1 + (number >> 33) % longest).min(stretch.end);
                pieces.push((number, at..end));
                at = end;
            }
        }
        pieces.sort_by_key(|(number, _)| *number);
        pieces.into_iter().map(|(_, piece)| piece).collect()
    }

    fn content(range: Range<u64>) -> Vec<u8> {
        range.map(|at| (at % 251) as u8 | 1).collect()
    }

    /// A file of the size, open twice: through the cache, and past it where that can be.
    fn create(directory: &Path) -> (File, OwnedFd) {
        let path = directory.join("file");
        let cached = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        cached.set_len(SIZE).unwrap();
        let direct = platform::open_past_cache(cached.as_fd()).unwrap_or_else(|| {
            println!("through the cache: the file system of '{}' is not one that is written past it", directory.display());
            File::options().write(true).open(&path).unwrap().into()
        });
        (cached, direct)
    }

    fn assert_written(cached: &File) {
        let mut expected = vec![0; SIZE as usize];
        for stretch in stretches() {
            expected[stretch.start as usize..stretch.end as usize].copy_from_slice(&content(stretch));
        }
        let mut found = vec![1; SIZE as usize];
        cached.read_exact_at(&mut found, 0).unwrap();
        let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        assert_eq!(differs, None);
        assert_eq!(cached.metadata().unwrap().len(), SIZE);
    }

    fn write(past_cache: &PastCache, cached: &File, pieces: &[Range<u64>], threads: usize) {
        thread::scope(|scope| {
            for number in 0..threads {
                scope.spawn(move || {
                    for piece in pieces.iter().skip(number).step_by(threads) {
                        past_cache.write_at(cached.as_fd(), &content(piece.clone()), piece.start).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn what_somebody_puts_in_the_place_of_a_file_is_neither_waited_for_nor_written() {
        let directory = tempfile::tempdir().unwrap();
        let (cached, _) = create(directory.path());
        let was_possible = platform::open_past_cache(cached.as_fd()).is_some();
        std::fs::remove_file(directory.path().join("file")).unwrap();
        let place = File::open(directory.path()).unwrap();
        platform::make_node(place.as_fd(), b"file", EntryKind::Fifo, (0, 0)).unwrap();
        let once_more = platform::open_past_cache(cached.as_fd());
        assert_eq!(once_more.is_some(), was_possible);
        let inode = cached.metadata().unwrap().ino();
        assert!(once_more.is_none_or(|once_more| File::from(once_more).metadata().unwrap().ino() == inode));
    }

    #[test]
    fn what_was_written_before_through_the_cache_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (cached, direct) = create(directory.path());
        let pieces = pieces(300_000);
        let (first, second) = pieces.split_at(pieces.len() / 3);
        first.iter().for_each(|piece| cached.write_all_at(&content(piece.clone()), piece.start).unwrap());
        let past_cache = PastCache::new(direct, Arc::default());
        past_cache.reserve(&stretches()).unwrap();
        write(&past_cache, &cached, second, 3);
        past_cache.finish(cached.as_fd()).unwrap();
        assert_written(&cached);
    }

    #[test]
    fn pieces_of_any_length_in_any_order_by_several_threads_make_the_file_and_holes_stay() {
        let directory = tempfile::tempdir().unwrap();
        for longest in [3_000, 300_000, 3 << 20] {
            let (cached, direct) = create(directory.path());
            let past_cache = PastCache::new(direct, Arc::default());
            past_cache.reserve(&stretches()).unwrap();
            write(&past_cache, &cached, &pieces(longest), 4);
            past_cache.finish(cached.as_fd()).unwrap();
            assert_written(&cached);
            cached.sync_all().unwrap();
            let data: u64 = stretches().iter().map(|stretch| stretch.end - stretch.start).sum();
            let used = cached.metadata().unwrap().blocks() * 512;
            assert!(used < data + 16 * BLOCK_BYTES as u64, "{used} bytes used for {data}");
        }
    }

    #[test]
    fn what_waits_for_the_rest_of_its_block_is_bounded_for_all_files_together() {
        let (first, second): (Vec<_>, Vec<_>) = pieces(9_000).into_iter().partition(|piece| piece.start / 4096 % 2 == 0);
        let (some, rest) = first.split_at(first.len() / 2);
        let disk = Arc::new(Disk::default());
        let directories = [(); 6].map(|()| tempfile::tempdir().unwrap());
        let files = directories.each_ref().map(|directory| create(directory.path()));
        let files = files.map(|(cached, direct)| (cached, PastCache::new(direct, disk.clone())));
        for (cached, past_cache) in &files {
            write(past_cache, cached, some, 1);
            assert!(disk.loose.load(Ordering::Relaxed) <= LOOSE_MAX + 1);
        }
        let is_waiting = |file: &(File, PastCache)| matches!(&*file.1.lock(), Loose::Waiting(_));
        assert!(is_waiting(&files[0]) && !is_waiting(&files[5]));
        write(&files[1].1, &files[1].0, rest, 1);
        assert!(!is_waiting(&files[1]), "it has too many by itself");
        files[2..].iter().for_each(|(cached, past_cache)| write(past_cache, cached, rest, 2));
        for (cached, past_cache) in &files[1..] {
            write(past_cache, cached, &second, 3);
            past_cache.finish(cached.as_fd()).unwrap();
            assert_written(cached);
        }
        drop(files);
        assert_eq!(disk.loose.load(Ordering::Relaxed), 0, "of one that was given up, too");
    }

    #[test]
    fn a_slow_disk_is_left_to_the_cache_and_looked_at_again_now_and_then() {
        let directory = tempfile::tempdir().unwrap();
        let (cached, direct) = create(directory.path());
        let disk = Arc::new(Disk::default());
        assert!(disk.is_fast(), "until it is known");
        (0..100).for_each(|_| disk.note(1 << 19, Duration::from_millis(50)));
        let waited_for = (0..10 * LOOK_EVERY).filter(|_| disk.is_fast()).count();
        assert_eq!(waited_for, 10);
        let past_cache = PastCache::new(direct, disk.clone());
        write(&past_cache, &cached, &pieces(300_000), 2);
        past_cache.finish(cached.as_fd()).unwrap();
        assert_written(&cached);
        (0..300).for_each(|_| disk.note(1 << 20, Duration::from_micros(400)));
        assert!((0..100).all(|_| disk.is_fast()));
    }
}
