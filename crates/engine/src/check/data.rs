//! Looks every data blob up; opens each once, in the order of packs, if asked for.

use super::pages::DataIds;
use super::{CheckReport, CheckRequest, DamagedBlobs};
use crate::error::Result;
use crate::progress::Counter;
use crate::read::{BlobReader, ENDED_EARLY, Fetched, OpenPoint, PackRead, group_by_pack, is_damage, start_readers};
use crate::sorter::{Sorted, Sorter};
use crate::stop::Stop;
use contract::{CheckOptions, Location};
use crossbeam_channel::{Receiver, Sender, bounded};
use format::{BlobId, KeyId, PackName};
use seal::BlobOpener;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blobs that are looked up, or read, together.
const TOGETHER: usize = 4096;
/// Blobs that wait to be opened.
const WAITING: usize = 16;
/// Bytes of a located blob as it is sorted: pack, offset, length, key, id.
const LOCATED: usize = 16 + 4 + 4 + 32 + 32;

/// What the opening threads found.
#[derive(Default)]
struct Found {
    opened: Counter,
    bytes: Counter,
    copies_damaged: Counter,
    packs: Mutex<HashMap<PackName, u32>>,
    damaged: Mutex<HashSet<BlobId>>,
}

impl Found {
    fn note_opened(&self, pack: PackName) {
        let mut packs = lock(&self.packs);
        if packs.len() < CheckOptions::OPENED_MAX || packs.contains_key(&pack) {
            *packs.entry(pack).or_default() += 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks the data blobs.
pub(super) fn check(
    request: &CheckRequest,
    point: &OpenPoint,
    ids: DataIds,
    report: &mut CheckReport,
    damaged: &mut DamagedBlobs,
) -> Result<()> {
    let mut located = Sorter::<LOCATED>::new();
    let mut ids = ids.finish()?;
    loop {
        request.cancel.check()?;
        let some: Vec<BlobId> = ids.by_ref().take(TOGETHER).map(|id| id.map(BlobId)).collect::<Result<_>>()?;
        if some.is_empty() {
            break;
        }
        report.data_blobs += some.len() as u64;
        for (id, copies) in some.iter().zip(point.blobs.locate(&some)?) {
            match copies.first() {
                Some(at) => located.push(encode(*id, at))?,
                None => drop(damaged.data.insert(*id)),
            }
        }
    }
    if !request.read_data {
        return Ok(());
    }
    let found = open_all(request, point, located.finish()?)?;
    report.data_blobs_opened = found.opened.get();
    report.bytes_verified = found.bytes.get();
    report.bytes_read = request.progress.bytes_read.get();
    report.copies_damaged = found.copies_damaged.get();
    report.opened = std::mem::take(&mut *lock(&found.packs));
    damaged.data.extend(lock(&found.damaged).iter());
    Ok(())
}

fn open_all(request: &CheckRequest, point: &OpenPoint, located: Sorted<LOCATED>) -> Result<Arc<Found>> {
    let stop = Stop::new(request.cancel.clone());
    let found = Arc::new(Found::default());
    let (fetched, to_open) = bounded(WAITING);
    let (reads, mut threads) = start_readers(&point.blobs, &stop, &request.progress, &fetched);
    drop(fetched);
    for _ in 0..request.workers.max(1) {
        let (blobs, found, stopping) = (point.blobs.clone(), found.clone(), stop.clone());
        let (to_open, progress) = (to_open.clone(), request.progress.clone());
        threads.push(stop.spawn("open", move || open(&blobs, &found, &stopping, &progress.bytes_done, &to_open)));
    }
    drop(to_open);
    if let Err(error) = plan(&stop, located, reads) {
        stop.fail(error);
    }
    // a panic of a thread has stopped everything already
    threads.into_iter().for_each(|thread| drop(thread.join()));
    stop.outcome()?;
    Ok(found)
}

/// Has the blobs read pack by pack.
fn plan(stop: &Stop, mut located: Sorted<LOCATED>, reads: Sender<PackRead<BlobId>>) -> Result<()> {
    loop {
        let some = located.by_ref().take(TOGETHER).map(|record| record.map(|record| decode(&record)));
        let some: Vec<(Location, BlobId)> = some.collect::<Result<_>>()?;
        if some.is_empty() {
            return Ok(());
        }
        for read in group_by_pack(some) {
            stop.check()?;
            reads.send(read).map_err(|_| ENDED_EARLY)?;
        }
    }
}

fn open(blobs: &BlobReader, found: &Found, stop: &Stop, done: &Counter, fetched: &Receiver<Fetched<BlobId>>) -> Result<()> {
    let mut opener = BlobOpener::new();
    for Fetched { purpose: id, sealed } in fetched.iter() {
        stop.check()?;
        let first = sealed.and_then(|(at, sealed)| Some((at.pack, blobs.open_data(&mut opener, id, &at, &sealed).ok()?.len())));
        let length = match first {
            Some((pack, length)) => {
                found.note_opened(pack);
                length
            }
            None => match blobs.check_alone(&mut opener, id) {
                Ok((length, had_bad_copies)) => {
                    found.copies_damaged.add(u64::from(had_bad_copies));
                    length
                }
                Err(error) if is_damage(&error) => {
                    lock(&found.damaged).insert(id);
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        found.opened.add(1);
        found.bytes.add(length as u64);
        done.add(length as u64);
    }
    Ok(())
}

fn encode(id: BlobId, at: &Location) -> [u8; LOCATED] {
    let mut record = [0; LOCATED];
    record[..16].copy_from_slice(at.pack.as_bytes());
    record[16..20].copy_from_slice(&at.offset.to_be_bytes());
    record[20..24].copy_from_slice(&at.length.to_be_bytes());
    record[24..56].copy_from_slice(at.key.as_bytes());
    record[56..].copy_from_slice(id.as_bytes());
    record
}

fn decode(record: &[u8; LOCATED]) -> (Location, BlobId) {
    let number = |place: usize| u32::from_be_bytes([record[place], record[place + 1], record[place + 2], record[place + 3]]);
    let mut pack = PackName([0; 16]);
    let (mut key, mut id) = (KeyId([0; 32]), BlobId([0; 32]));
    pack.0.copy_from_slice(&record[..16]);
    key.0.copy_from_slice(&record[24..56]);
    id.0.copy_from_slice(&record[56..]);
    (Location { pack, offset: number(16), length: number(20), key }, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_located_blob_comes_back_as_it_was_sorted() {
        let at = Location { pack: PackName([1; 16]), offset: 70_000, length: 12, key: KeyId([3; 32]) };
        assert_eq!(decode(&encode(BlobId([4; 32]), &at)), (at, BlobId([4; 32])));
    }
}
