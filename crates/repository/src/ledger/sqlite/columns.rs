//! Columns to types and back. What cannot be is damage of the database, never a panic.
//!
//! The numbers of states and kinds stand in files for ever: they may be added to, not changed.

use crate::ledger::{
    CondemnedRow, DamageRow, DamageSource, DomainRow, HeadRow, JournalRow, JournalState, LedgerError, LedgerResult, PackRow,
    PackState, PointRow, PointRowState, SegmentRow, SessionKind, SessionRow, SessionState,
};
use bytes::Bytes;
use format::blob::BlobKind;
use format::record::RecordKind;
use format::{
    AgentKey, BlobId, ClaimNonce, DomainId, FooterHash, Incarnation, ItemName, JournalNumber, KeyId, PackName, PointId, Reader,
    Sequence, SessionId, Writer,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

/// A state or kind with its stable number.
pub(super) trait Numbered: Sized {
    fn number(&self) -> i64;
    fn of_number(number: i64) -> Option<Self>;
}

macro_rules! numbered {
    ($($type:ident { $($variant:ident = $number:literal),* })*) => {
        $(impl Numbered for $type {
            fn number(&self) -> i64 {
                match self { $(Self::$variant => $number,)* }
            }

            fn of_number(number: i64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        })*
    };
}

numbered! {
    SessionKind { Write = 1, Read = 2, Collect = 3 }
    SessionState { Open = 1, Committing = 2, Committed = 3, Expired = 4 }
    PackState { Issued = 1, Registered = 2, Proven = 3, Deleting = 4 }
    DamageSource { Verified = 1, Reported = 2, Unreadable = 3 }
    PointRowState { Pending = 1, Committed = 2, SoftDeleted = 3, Purged = 4, SetAside = 5 }
    JournalState { Pending = 1, Done = 2 }
    BlobKind { Data = 1, Page = 2 }
    RecordKind { Point = 1, Checkpoint = 2 }
}

/// The columns of one row, read from left to right.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

fn damaged(why: impl Into<String>) -> LedgerError {
    LedgerError::Corrupt(why.into())
}

impl<'r> Columns<'r> {
    pub(super) fn new(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    fn value<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> LedgerResult<Option<T>> {
        let column = self.next;
        self.next += 1;
        self.row.try_get(column).map_err(|error| damaged(format!("a row cannot be read: {error}")))
    }

    fn required<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> LedgerResult<T> {
        let column = self.next;
        self.value()?.ok_or_else(|| damaged(format!("column {column} of a row is empty")))
    }

    fn optional_id<const N: usize>(&mut self) -> LedgerResult<Option<[u8; N]>> {
        let Some(bytes) = self.value::<&[u8]>()? else { return Ok(None) };
        bytes.try_into().map(Some).map_err(|_| damaged(format!("an id has {} bytes instead of {N}", bytes.len())))
    }

    fn id<const N: usize>(&mut self) -> LedgerResult<[u8; N]> {
        self.optional_id()?.ok_or_else(|| damaged("an id is missing"))
    }

    fn time(&mut self) -> LedgerResult<i64> {
        self.required()
    }

    fn optional_number(&mut self) -> LedgerResult<Option<u64>> {
        let Some(number) = self.value::<i64>()? else { return Ok(None) };
        u64::try_from(number).map(Some).map_err(|_| damaged("a number is negative"))
    }

    fn number(&mut self) -> LedgerResult<u64> {
        self.optional_number()?.ok_or_else(|| damaged("a number is missing"))
    }

    fn small<T: TryFrom<u64>>(&mut self) -> LedgerResult<T> {
        T::try_from(self.number()?).map_err(|_| damaged("a number is too large"))
    }

    fn flag(&mut self) -> LedgerResult<bool> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(damaged(format!("a flag is {other}"))),
        }
    }

    fn optional_numbered<T: Numbered>(&mut self) -> LedgerResult<Option<T>> {
        let Some(number) = self.value::<i64>()? else { return Ok(None) };
        T::of_number(number).map(Some).ok_or_else(|| damaged(format!("{number} is no {}", std::any::type_name::<T>())))
    }

    fn numbered<T: Numbered>(&mut self) -> LedgerResult<T> {
        self.optional_numbered()?.ok_or_else(|| damaged("a state or kind is missing"))
    }

    fn optional_item(&mut self) -> LedgerResult<Option<ItemName>> {
        let Some(name) = self.value::<&str>()? else { return Ok(None) };
        ItemName::new(name).map(Some).map_err(|error| damaged(error.to_string()))
    }

    fn item(&mut self) -> LedgerResult<ItemName> {
        self.optional_item()?.ok_or_else(|| damaged("an item's name is missing"))
    }

    fn optional_bytes(&mut self) -> LedgerResult<Option<Bytes>> {
        Ok(self.value::<Vec<u8>>()?.map(Bytes::from))
    }

    fn bytes(&mut self) -> LedgerResult<Bytes> {
        self.required::<Vec<u8>>().map(Bytes::from)
    }
}

/// A row, from its columns in the order in which the statements name them.
pub(super) trait FromColumns: Sized {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self>;
}

impl FromColumns for Bytes {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        columns.bytes()
    }
}

impl FromColumns for DomainRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            incarnation: Incarnation(columns.number()?),
            nonce: ClaimNonce(columns.id()?),
            ready: columns.flag()?,
            next_number: JournalNumber(columns.number()?),
            next_pack: columns.number()?,
            next_session: columns.number()?,
            next_segment: columns.number()?,
            marking: columns.number()?,
            generation: columns.number()?,
        })
    }
}

impl FromColumns for SessionRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            id: SessionId(columns.id()?),
            number: columns.number()?,
            kind: columns.numbered()?,
            state: columns.numbered()?,
            item: columns.optional_item()?,
            agent: columns.optional_id()?.map(AgentKey),
            generation: columns.number()?,
            pinned: columns.optional_id()?.map(PointId),
            key: columns.optional_id()?.map(KeyId),
            opened_ms: columns.time()?,
            lease_until_ms: columns.value()?,
            point: columns.optional_id()?.map(PointId),
        })
    }
}

impl FromColumns for PackRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            name: PackName(columns.id()?),
            number: columns.number()?,
            kind: columns.optional_numbered()?,
            state: columns.numbered()?,
            session: columns.optional_id()?.map(SessionId),
            length: columns.number()?,
            entries: columns.small()?,
            footer_hash: FooterHash(columns.id()?),
            recovered: columns.flag()?,
            sightings: columns.small()?,
            frame_damaged: columns.flag()?,
            segment: columns.optional_number()?,
            footer: columns.optional_bytes()?,
        })
    }
}

impl FromColumns for CondemnedRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            pack: PackName(columns.id()?),
            generation: columns.number()?,
            places: decode_places(columns.required()?)?,
        })
    }
}

impl FromColumns for DamageRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            pack: PackName(columns.id()?),
            place: columns.small()?,
            blob: BlobId(columns.id()?),
            source: columns.numbered()?,
        })
    }
}

impl FromColumns for PointRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            id: PointId(columns.id()?),
            kind: columns.numbered()?,
            item: columns.item()?,
            sequence: Sequence(columns.number()?),
            root: BlobId(columns.id()?),
            state: columns.numbered()?,
            number: JournalNumber(columns.number()?),
            session: columns.optional_id()?.map(SessionId),
            time_ms: columns.time()?,
            received_ms: columns.time()?,
            purged_at: columns.optional_number()?,
            record: columns.bytes()?,
        })
    }
}

impl FromColumns for HeadRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            item: columns.item()?,
            point: PointId(columns.id()?),
            sequence: Sequence(columns.number()?),
        })
    }
}

impl FromColumns for JournalRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self {
            domain: DomainId(columns.id()?),
            number: JournalNumber(columns.number()?),
            state: columns.numbered()?,
            bytes: columns.bytes()?,
        })
    }
}

impl FromColumns for SegmentRow {
    fn read(columns: &mut Columns<'_>) -> LedgerResult<Self> {
        Ok(Self { domain: DomainId(columns.id()?), id: columns.number()?, packs: columns.number()?, entries: columns.number()? })
    }
}

/// Strictly ascending places, each as a varint of its distance to the one before, less one.
pub(super) fn encode_places(places: &[u32]) -> Vec<u8> {
    let mut writer = Writer::new();
    let mut lowest = 0;
    for place in places.iter().map(|place| u64::from(*place)) {
        writer.varint(place - lowest);
        lowest = place + 1;
    }
    writer.finish()
}

fn decode_places(bytes: &[u8]) -> LedgerResult<Vec<u32>> {
    let mut reader = Reader::new("a set of places", bytes);
    let mut places = Vec::new();
    let mut lowest = 0u64;
    while reader.remaining() > 0 {
        let distance = reader.varint().map_err(|error| damaged(error.to_string()))?;
        let place = lowest.checked_add(distance).and_then(|place| u32::try_from(place).ok());
        places.push(place.ok_or_else(|| damaged("a place is over 32 bits"))?);
        lowest = u64::from(places[places.len() - 1]) + 1;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn places_come_back_as_they_went_in(places in proptest::collection::btree_set(any::<u32>(), 0..200)) {
            let places: Vec<u32> = places.into_iter().collect();
            prop_assert_eq!(decode_places(&encode_places(&places)).unwrap(), places);
        }

        #[test]
        fn any_bytes_decode_to_ascending_places_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(places) = decode_places(&bytes) {
                prop_assert!(places.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(encode_places(&places), bytes);
            }
        }
    }

    #[test]
    fn neighbouring_places_take_one_byte_each() {
        assert_eq!(encode_places(&[0, 1, 2, 130]), [0, 0, 0, 127]);
        assert_eq!(decode_places(&encode_places(&[0, u32::MAX])).unwrap(), [0, u32::MAX]);
    }

    #[test]
    fn a_place_over_32_bits_is_damage() {
        let mut writer = Writer::new();
        writer.varint(u64::from(u32::MAX)).varint(0);
        assert!(matches!(decode_places(&writer.finish()), Err(LedgerError::Corrupt(_))));
    }
}
