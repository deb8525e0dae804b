//! Looks every data blob up; opens each once, in the order of packs, if asked for.

use super::pages::DataIds;
use super::{CheckReport, CheckRequest, DamagedBlobs};
use crate::error::{EngineError, Result};
use crate::progress::Counter;
use crate::read::{BlobReader, OpenPoint, PackRead, group_by_pack, is_damage};
use crate::sorter::{Sorted, Sorter};
use crate::stop::Stop;
use bytes::Bytes;
use contract::Location;
use crossbeam_channel::{Receiver, Sender, bounded};
use format::blob::BlobKind;
use format::{BlobId, KeyId, PackName};
use seal::BlobOpener;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

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
    damaged: Mutex<HashSet<BlobId>>,
}

/// A blob that was read; without bytes where its pack could not be read.
struct Fetched {
    id: BlobId,
    at: Location,
    sealed: Option<Bytes>,
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
    report.copies_damaged = found.copies_damaged.get();
    damaged.data.extend(found.damaged.lock().unwrap_or_else(PoisonError::into_inner).iter());
    Ok(())
}

fn open_all(request: &CheckRequest, point: &OpenPoint, located: Sorted<LOCATED>) -> Result<Arc<Found>> {
    let stop = Stop::new(request.cancel.clone());
    let found = Arc::new(Found::default());
    let (fetched, to_open) = bounded(WAITING);
    let mut threads = Vec::new();
    for _ in 0..request.workers.max(1) {
        let (blobs, found, stopping) = (point.blobs.clone(), found.clone(), stop.clone());
        let (to_open, progress) = (to_open.clone(), request.progress.clone());
        threads.push(stop.spawn("open", move || open(&blobs, &found, &stopping, &progress.bytes_done, &to_open)));
    }
    drop(to_open);
    if let Err(error) = fetch(request, &point.blobs, &stop, located, fetched) {
        stop.fail(error);
    }
    // a panic of a thread has stopped everything already
    threads.into_iter().for_each(|thread| drop(thread.join()));
    stop.outcome()?;
    Ok(found)
}

/// Reads the blobs pack by pack.
fn fetch(
    request: &CheckRequest,
    blobs: &BlobReader,
    stop: &Stop,
    mut located: Sorted<LOCATED>,
    fetched: Sender<Fetched>,
) -> Result<()> {
    loop {
        let some = located.by_ref().take(TOGETHER).map(|record| record.map(|record| decode(&record)));
        let some: Vec<(Location, BlobId)> = some.collect::<Result<_>>()?;
        if some.is_empty() {
            return Ok(());
        }
        for read in group_by_pack(some) {
            stop.check()?;
            let parts = match blobs.read(&read) {
                Ok(parts) => parts.into_iter().map(Some).collect(),
                Err(error) if is_damage(&error) => vec![None; read.blobs.len()],
                Err(error) => return Err(error),
            };
            let PackRead { blobs: wanted, .. } = read;
            for ((at, id), sealed) in wanted.into_iter().zip(parts) {
                request.progress.bytes_read.add(u64::from(at.length));
                let blob = Fetched { id, at, sealed };
                fetched.send(blob).map_err(|_| EngineError::Internal("the opening threads ended early"))?;
            }
        }
    }
}

fn open(blobs: &BlobReader, found: &Found, stop: &Stop, done: &Counter, fetched: &Receiver<Fetched>) -> Result<()> {
    let mut opener = BlobOpener::new();
    for Fetched { id, at, sealed } in fetched.iter() {
        stop.check()?;
        let first = sealed.and_then(|sealed| blobs.open_data(&mut opener, id, &at, &sealed).ok());
        let length = match first {
            Some(plaintext) => plaintext.len(),
            None => match blobs.read_alone(&mut opener, BlobKind::Data, id) {
                Ok((_, plaintext)) => {
                    found.copies_damaged.add(1);
                    plaintext.len()
                }
                Err(error) if is_damage(&error) => {
                    found.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
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
