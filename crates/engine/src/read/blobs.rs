//! Blobs: located, read and opened; another copy is tried where one fails.

use super::footers::Footers;
use super::keys::KeyRing;
use crate::call::Calls;
use crate::error::{EngineError, ErrorKind, Result};
use bytes::Bytes;
use contract::Location;
use format::blob::BlobKind;
use format::{BlobId, PackName, SessionId};
use seal::BlobOpener;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Ranges closer to each other than this are read as one.
const GAP_BYTES_MAX: u64 = 128 << 10;
/// Most bytes that are read by one call.
const READ_BYTES_MAX: u64 = 8 << 20;
/// Most ids of one call.
pub(crate) const IDS_A_CALL: usize = 4096;

/// Most blobs of which is remembered that they did not open.
const UNOPENED_MAX: usize = 100_000;

/// Blobs of which no copy opened.
#[derive(Default)]
pub(crate) struct Unopened(Mutex<HashSet<BlobId>>);

impl Unopened {
    pub(crate) fn contains(&self, id: &BlobId) -> bool {
        self.lock().contains(id)
    }

    fn note(&self, id: BlobId) {
        let mut unopened = self.lock();
        if unopened.len() < UNOPENED_MAX {
            unopened.insert(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<BlobId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads blobs within a session.
pub(crate) struct BlobReader {
    pub(crate) calls: Calls,
    pub(crate) session: SessionId,
    pub(crate) ring: KeyRing,
    pub(crate) unopened: Arc<Unopened>,
    footers: Footers,
}

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

impl BlobReader {
    pub(crate) fn new(calls: Calls, session: SessionId, ring: KeyRing) -> Self {
        Self { footers: Footers::new(calls.clone()), calls, session, ring, unopened: Arc::default() }
    }

    /// Copies of blobs, the one to read first in front.
    pub(crate) fn locate(&self, ids: &[BlobId]) -> Result<Vec<Vec<Location>>> {
        let mut copies = Vec::with_capacity(ids.len());
        for some in ids.chunks(IDS_A_CALL) {
            let answer = self.calls.wait("look up blobs", self.calls.domain.locate(self.session, some))?;
            if answer.len() != some.len() {
                return Err(EngineError::Internal("the vault answered for another number of blobs"));
            }
            copies.extend(answer);
        }
        Ok(copies)
    }

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

    /// Opens a copy of a data blob.
    pub(crate) fn open_data<'a>(&self, opener: &'a mut BlobOpener, id: BlobId, at: &Location, sealed: &[u8]) -> Result<&'a [u8]> {
        self.open(opener, BlobKind::Data, id, &[], at, sealed)
    }

    /// The links of a page, as the footer of its pack tells them.
    pub(crate) fn page_links(&self, id: BlobId, at: &Location) -> Result<Arc<PageLinks>> {
        let footer = self.footers.get(at.pack)?;
        match footer.entries.binary_search_by(|entry| entry.id.cmp(&id)) {
            Ok(place) => Ok(Arc::new(PageLinks { footer, place })),
            Err(_) => Err(EngineError::Damaged { what: "page", id }),
        }
    }

    /// Opens a copy of a blob; its id must come out.
    pub(crate) fn open<'a>(
        &self,
        opener: &'a mut BlobOpener,
        kind: BlobKind,
        id: BlobId,
        links: &[BlobId],
        at: &Location,
        sealed: &[u8],
    ) -> Result<&'a [u8]> {
        let key = self.ring.get(at.key)?;
        opener.open(&key, self.ring.writer(), kind, id, links, sealed).map_err(EngineError::seal("open a blob"))
    }

    /// A blob by itself, from whichever copy opens; looked up again once if its pack was rewritten meanwhile. Copies that
    /// do not open are reported.
    pub(crate) fn read_alone(&self, opener: &mut BlobOpener, kind: BlobKind, id: BlobId) -> Result<(Vec<BlobId>, Vec<u8>)> {
        let mut unreadable = Vec::new();
        for _ in 0..2 {
            let mut moved = false;
            for at in self.locate(&[id])?.pop().unwrap_or_default() {
                match self.try_copy(opener, kind, id, &at) {
                    Ok(found) => {
                        self.report(&unreadable);
                        return Ok(found);
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => moved = true,
                    Err(error) if is_damage(&error) => unreadable.push((at.pack, id)),
                    Err(error) => return Err(error),
                }
            }
            if !moved {
                break;
            }
        }
        self.report(&unreadable);
        self.unopened.note(id);
        Err(EngineError::Damaged { what: if kind == BlobKind::Page { "page" } else { "data blob" }, id })
    }

    fn try_copy(&self, opener: &mut BlobOpener, kind: BlobKind, id: BlobId, at: &Location) -> Result<(Vec<BlobId>, Vec<u8>)> {
        let links = if kind == BlobKind::Page { Some(self.page_links(id, at)?) } else { None };
        let links = links.as_ref().map_or(&[][..], |links| links.as_slice());
        let sealed = self.read(&PackRead { pack: at.pack, blobs: vec![(*at, ())] })?;
        let plaintext = self.open(opener, kind, id, links, at, &sealed[0])?;
        Ok((links.to_vec(), plaintext.to_vec()))
    }

    /// Reports copies that do not open. That is a favour to the next backup: if it fails, nothing is lost.
    pub(crate) fn report(&self, copies: &[(PackName, BlobId)]) {
        if copies.is_empty() {
            return;
        }
        if let Err(error) = self.calls.wait("report damage", self.calls.domain.report_unreadable(copies)) {
            tracing::warn!(%error, "damaged blobs could not be reported to the vault");
        }
    }
}

/// Whether an error says that this copy is bad, rather than that the vault cannot be reached.
pub(crate) fn is_damage(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::WrongKey)
}

/// The links of a page within the footer that holds them.
pub(crate) struct PageLinks {
    footer: Arc<format::pack::Footer>,
    place: usize,
}

impl PageLinks {
    pub(crate) fn as_slice(&self) -> &[BlobId] {
        &self.footer.entries[self.place].links
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
        let blobs = [location(2, 50, 10), location(1, 32, 3 << 20), location(1, 3 << 20, 3 << 20), location(1, 6 << 20, 3 << 20)];
        let reads = group_by_pack(blobs.map(|location| (location, ())));
        let shape: Vec<_> = reads.iter().map(|read| (read.pack.0[0], read.blobs.len())).collect();
        assert_eq!(shape, vec![(1, 2), (1, 1), (2, 1)]);
    }
}
