//! Packs: what is read of them together, by several threads.

use super::blobs::{BlobReader, is_damage};
use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::stop::Stop;
use bytes::Bytes;
use contract::Location;
use crossbeam_channel::{Receiver, Sender, bounded};
use format::PackName;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Ranges closer to each other than this are read as one.
const GAP_BYTES_MAX: u64 = 128 << 10;
/// Most bytes that are read by one call.
const READ_BYTES_MAX: u64 = 4 << 20;
/// Packs that are read at once: one is used while the answers of the others are on their way.
const READERS: usize = 3;

/// Blobs of one pack that are read together.
pub(crate) struct PackRead<T> {
    pub(crate) pack: PackName,
    /// What to read and what for, by offset.
    pub(crate) blobs: Vec<(Location, T)>,
}

/// Groups what is to be read by pack, in the order of offsets, in pieces that one call may read.
pub(crate) fn group_by_pack<T>(blobs: impl IntoIterator<Item = (Location, T)>) -> Vec<PackRead<T>> {
    let mut packs: BTreeMap<PackName, Vec<(Location, T)>> = BTreeMap::new();
    for (location, purpose) in blobs {
        packs.entry(location.pack).or_default().push((location, purpose));
    }
    let mut reads = Vec::new();
    for (pack, mut blobs) in packs {
        blobs.sort_by_key(|(location, _)| location.offset);
        let mut read = PackRead { pack, blobs: Vec::new() };
        let mut start = 0;
        for (location, purpose) in blobs {
            let end = u64::from(location.offset) + u64::from(location.length);
            if read.blobs.is_empty() {
                start = u64::from(location.offset);
            } else if end - start > READ_BYTES_MAX {
                reads.push(std::mem::replace(&mut read, PackRead { pack, blobs: Vec::new() }));
                start = u64::from(location.offset);
            }
            read.blobs.push((location, purpose));
        }
        reads.push(read);
    }
    reads
}

/// A blob that was read, or must be looked for by itself.
pub(crate) struct Fetched<T> {
    /// What for.
    pub(crate) purpose: T,
    /// Its sealed bytes, as they stand at this place.
    pub(crate) sealed: Option<(Location, Bytes)>,
}

/// Starts threads that read packs, and answers where they take their work from.
pub(crate) fn start_readers<T: Send + 'static>(
    blobs: &Arc<BlobReader>,
    stop: &Arc<Stop>,
    progress: &Progress,
    fetched: &Sender<Fetched<T>>,
) -> (Sender<PackRead<T>>, Vec<JoinHandle<()>>) {
    let (reads, planned) = bounded(0);
    let start = |_| {
        let (blobs, stopping, counting) = (blobs.clone(), stop.clone(), progress.clone());
        let (planned, fetched) = (planned.clone(), fetched.clone());
        stop.spawn("read", move || read_packs(&blobs, &stopping, &counting, &planned, &fetched))
    };
    (reads, (0..READERS).map(start).collect())
}

fn read_packs<T>(
    blobs: &BlobReader,
    stop: &Stop,
    progress: &Progress,
    reads: &Receiver<PackRead<T>>,
    fetched: &Sender<Fetched<T>>,
) -> Result<()> {
    for read in reads.iter() {
        stop.check()?;
        let parts = match blobs.read(&read) {
            Ok(parts) => parts.into_iter().map(Some).collect(),
            // each blob is looked for by itself then, in its other copies too
            Err(error) if is_damage(&error) => vec![None; read.blobs.len()],
            Err(error) => return Err(error),
        };
        for ((at, purpose), part) in read.blobs.into_iter().zip(parts) {
            progress.bytes_read.add(u64::from(at.length));
            let sealed = part.map(|bytes: Bytes| (at, bytes));
            fetched.send(Fetched { purpose, sealed }).map_err(|_| ENDED_EARLY)?;
        }
    }
    Ok(())
}

/// What a stage finds whose next one is gone; that one has said why.
pub(crate) const ENDED_EARLY: EngineError = EngineError::Internal("the stages that use what is read ended early");

impl BlobReader {
    /// Sealed bytes of blobs of one pack, as they stand there.
    pub(crate) fn read<T>(&self, read: &PackRead<T>) -> Result<Vec<Bytes>> {
        let ranges = merged(read.blobs.iter().map(|(location, _)| range(location)));
        let parts = self.calls.wait("read a pack", self.calls.domain.read_pack(read.pack, &ranges))?;
        let fits = |(part, range): (&Bytes, &Range<u64>)| part.len() as u64 == range.end - range.start;
        if parts.len() != ranges.len() || !parts.iter().zip(&ranges).all(fits) {
            return Err(EngineError::Internal("the vault answered with other bytes of a pack than were asked for"));
        }
        let mut place = 0;
        let slice = |location: &Location| {
            let wanted = range(location);
            while ranges[place].end < wanted.end {
                place += 1;
            }
            let start = (wanted.start - ranges[place].start) as usize;
            parts[place].slice(start..start + location.length as usize)
        };
        Ok(read.blobs.iter().map(|(location, _)| location).map(slice).collect())
    }
}

fn range(location: &Location) -> Range<u64> {
    u64::from(location.offset)..u64::from(location.offset) + u64::from(location.length)
}

/// Joins ranges, sorted by start, that touch or nearly touch.
fn merged(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + GAP_BYTES_MAX => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::KeyId;

    fn location(pack: u8, offset: u32, length: u32) -> Location {
        Location { pack: PackName([pack; 16]), offset, length, key: KeyId([0; 32]) }
    }

    #[test]
    fn near_ranges_are_read_as_one_and_far_ones_apart() {
        let far = GAP_BYTES_MAX + 200;
        assert_eq!(merged([0..10, 10..50, 60..100, far..far + 1].into_iter()), vec![0..100, far..far + 1]);
    }

    #[test]
    fn blobs_are_grouped_by_pack_in_order_and_bounded() {
        let third = READ_BYTES_MAX as u32 / 8 * 3;
        let blobs = [location(2, 50, 10), location(1, 32, third), location(1, third, third), location(1, 2 * third, third)];
        let reads = group_by_pack(blobs.map(|location| (location, ())));
        let shape: Vec<_> = reads.iter().map(|read| (read.pack.0[0], read.blobs.len())).collect();
        assert_eq!(shape, vec![(1, 2), (1, 1), (2, 1)]);
    }
}
