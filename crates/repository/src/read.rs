//! Reading: read sessions, places of blobs, bytes of packs, key objects.

use crate::fault::{Fault, Outcome};
use crate::index::Index;
use crate::ledger::{DamageRow, DamageSource, PackRow, PackState, PointRowState, SessionKind, SessionState};
use crate::repository::Inner;
use crate::{Sabotage, sabotaged};
use bytes::Bytes;
use contract::{ErrorKind, Location};
use format::key_object::KeyObject;
use format::pack::{TRAILER_BYTES, Trailer};
use format::{BlobId, KeyId, PackName, PointId, SessionId, names};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Most ids located at once.
const LOCATE_MAX: usize = 65_536;
/// Most copies reported at once.
const REPORT_MAX: usize = 65_536;

impl Inner {
    pub(crate) async fn open_reader(&self, point: PointId) -> Outcome<SessionId> {
        let session = SessionId(self.environment.random());
        let held = self.hold(session)?;
        self.insert_reader(session, point).await?;
        held.keep();
        Ok(session)
    }

    async fn insert_reader(&self, session: SessionId, point: PointId) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        let row = transaction.point(self.domain, point).await?;
        let readable = row.is_some_and(|row| matches!(row.state, PointRowState::Committed | PointRowState::SoftDeleted));
        if !readable {
            return Err(Fault::answer(ErrorKind::NotFound, format!("there is no point {point}")));
        }
        let mut row = self.new_session(&mut domain, session, SessionKind::Read);
        row.pinned = Some(point).filter(|_| !sabotaged(Sabotage::ReaderPinsNothing));
        transaction.put_session(&row).await?;
        transaction.put_domain(&domain).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whatever the database answers once the session is known to be a reader of this domain, it is not alive any more, so that
    /// others can end it.
    pub(crate) async fn close_reader(&self, session: SessionId) -> Outcome<()> {
        if !self.is_session(session, SessionKind::Read).await? {
            return Ok(());
        }
        let ended = self.end_reader(session).await;
        self.environment.liveness.release(session);
        ended
    }

    async fn end_reader(&self, session: SessionId) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let row = transaction.session(self.domain, session).await?;
        if let Some(row) = row.filter(|row| row.kind == SessionKind::Read && row.state == SessionState::Open) {
            let domain = self.domain_row(transaction.as_mut()).await?;
            self.unpin(transaction.as_mut(), &domain, &row).await?;
            transaction.remove_session(self.domain, session).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn locate(&self, session: SessionId, ids: &[BlobId]) -> Outcome<Vec<Vec<Location>>> {
        if ids.len() > LOCATE_MAX {
            return Err(Fault::answer(ErrorKind::Invalid, format!("at most {LOCATE_MAX} blobs are located at once")));
        }
        let view = self.views.lock().expect("no panic under this lock").get(&session).cloned();
        let own = view.as_ref().map(|view| view.own_tables());
        let index = self.current_index().await?;
        let mut refreshed = None;
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            let mut places = places(&index, id);
            if let Some(own) = own.as_ref().and_then(|own| own.find(id))
                && !places.iter().any(|place| place.pack == own.pack)
            {
                places.push(Location { pack: own.pack, offset: own.offset, length: own.length, key: own.key });
            }
            if places.is_empty() {
                // Committed by another process since the index was loaded.
                if refreshed.is_none() {
                    self.forget_index();
                    refreshed = Some(self.current_index().await?);
                }
                places.extend(refreshed.iter().flat_map(|index| self::places(index, id)));
            }
            answers.push(places);
        }
        Ok(answers)
    }

    pub(crate) async fn read_pack(&self, pack: PackName, ranges: &[Range<u64>]) -> Outcome<Vec<Bytes>> {
        let name = self.object(names::pack(self.domain, pack))?;
        match self.store.get_ranges(&name, ranges).await {
            Ok(parts) => Ok(parts),
            Err(error) => {
                self.forget_index();
                if error.kind() == storage::ErrorKind::Invalid {
                    return Err(self.outside(pack, ranges).await?);
                }
                Err(error.into())
            }
        }
    }

    /// Why ranges lie outside a pack in storage: it is no longer as long as it was, which is its damage, or they always did.
    async fn outside(&self, pack: PackName, ranges: &[Range<u64>]) -> Outcome<Fault> {
        let row = self.ledger.snapshot().await?.pack_alone(self.domain, pack).await?;
        let lay_inside = |row: &PackRow| ranges.iter().all(|range| range.start <= range.end && range.end <= row.length);
        Ok(match row.filter(lay_inside) {
            Some(row) => {
                Fault::answer(ErrorKind::Corrupt, format!("pack {pack} is shorter in storage than its {} bytes", row.length))
            }
            None => Fault::answer(ErrorKind::Invalid, format!("what is to be read of pack {pack} lies outside of it")),
        })
    }

    /// A footer: from the index if it is there, otherwise from storage.
    pub(crate) async fn read_footer(&self, pack: PackName) -> Outcome<Bytes> {
        let index = self.current_index().await?;
        for (table, packs) in index.tables.iter().zip(&index.table_packs) {
            let place = packs.iter().position(|known| known.is_some_and(|known| index.packs[known as usize].row.name == pack));
            if let Some(place) = place {
                return Ok(table.footer(place as u32, self.domain).encode().into());
            }
        }
        let (footer, _) = self.stored_footer(pack).await?;
        Ok(footer)
    }

    /// A footer and its trailer as they stand in storage; the footer's hash is the trailer's.
    pub(crate) async fn stored_footer(&self, pack: PackName) -> Outcome<(Bytes, Trailer)> {
        let name = self.object(names::pack(self.domain, pack))?;
        let length = self.store.length(&name).await?;
        let Some(start) = length.checked_sub(TRAILER_BYTES as u64) else {
            return Err(format::FormatError::Truncated("pack").into());
        };
        let trailer = Trailer::parse(&self.store.get(&name, Some(start..length)).await?)?;
        let footer = self.store.get(&name, Some(trailer.footer_range(length)?)).await?;
        format::pack::parse_footer(&footer, &trailer, length)?;
        Ok((footer, trailer))
    }

    pub(crate) async fn key_object(&self, key: KeyId) -> Outcome<Bytes> {
        let mut last = None;
        for copy in names::COPIES {
            match self.store.get(&self.object(names::key(self.domain, key, copy))?, None).await {
                Ok(bytes) if KeyObject::id(&bytes) == key => return Ok(bytes),
                Ok(_) => last = Some(Fault::answer(ErrorKind::Corrupt, format!("key object {key} is damaged"))),
                Err(error) => last = last.or(Some(error.into())),
            }
        }
        Err(last.expect("there are two copies"))
    }

    pub(crate) async fn report_unreadable(&self, copies: &[(PackName, BlobId)]) -> Outcome<()> {
        if copies.len() > REPORT_MAX {
            return Err(Fault::answer(ErrorKind::Invalid, format!("at most {REPORT_MAX} copies are reported at once")));
        }
        let news = not_yet_damaged(&self.fresh_index().await?, copies);
        if news.is_empty() {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        for (pack, rows) in news {
            let state = transaction.pack_alone(self.domain, pack).await?.map(|row| row.state);
            if state != Some(PackState::Proven) {
                continue; // rewritten meanwhile
            }
            for row in rows {
                transaction.put_damage(&row).await?;
            }
        }
        transaction.commit().await?;
        self.forget_index();
        Ok(())
    }
}

/// Rows of reported copies that are there and not known to be damaged for good, once each, by pack: whoever holds an agent's token
/// may report what he likes, and nobody else writes while rows are stored.
fn not_yet_damaged(index: &Index, copies: &[(PackName, BlobId)]) -> BTreeMap<PackName, Vec<DamageRow>> {
    let mut news: BTreeMap<PackName, Vec<DamageRow>> = BTreeMap::new();
    for (name, blob) in copies.iter().copied().collect::<BTreeSet<_>>() {
        let copies = index.copies(&blob);
        let copy =
            copies.iter().map(|copy| (copy.place, &index.packs[copy.pack as usize])).find(|(_, pack)| pack.row.name == name);
        // What was verified here says more; what could not be read for a while says less than somebody who could not open it.
        let is_news =
            |pack: &crate::index::Pack, place: u32| matches!(pack.damaged.get(&place), None | Some(DamageSource::Unreadable));
        if let Some((place, pack)) = copy.filter(|(place, pack)| is_news(pack, *place)) {
            let row = DamageRow { domain: pack.row.domain, pack: name, place, blob, source: DamageSource::Reported };
            news.entry(name).or_default().push(row);
        }
    }
    news
}

/// Copies of a blob, the one to read first in front: sound ones by number, then damaged ones.
fn places(index: &Index, id: &BlobId) -> Vec<Location> {
    let mut copies = index.copies(id);
    copies.sort_by_key(|copy| index.packs[copy.pack as usize].damaged.contains_key(&copy.place));
    let place = |copy: &crate::index::BlobCopy| Location {
        pack: index.packs[copy.pack as usize].row.name,
        offset: copy.offset,
        length: copy.length,
        key: copy.key,
    };
    copies.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::samples;

    #[test]
    fn a_copy_that_is_reported_many_times_is_one_row_and_its_pack_is_looked_up_once() {
        let (mut index, ids) = samples::one_segment(3);
        let name = index.packs[0].row.name;
        let reports: Vec<_> = ids.iter().flat_map(|id| [(name, *id); 100]).collect();
        let rows = not_yet_damaged(&index, &reports);
        assert_eq!(rows.values().map(Vec::len).collect::<Vec<_>>(), [3]);
        let elsewhere = [(PackName([9; 16]), ids[0]), (name, BlobId([0xff; 32]))];
        assert!(not_yet_damaged(&index, &elsewhere).is_empty());
        index.packs[0].damaged.insert(rows[&name][1].place, DamageSource::Verified);
        index.packs[0].damaged.insert(rows[&name][2].place, DamageSource::Unreadable);
        assert_eq!(not_yet_damaged(&index, &reports)[&name].len(), 2, "one that could only not be read is news");
    }
}
