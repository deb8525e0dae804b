//! Small indexes for tests of what is done with them.

use super::files::SegmentBytes;
use super::{Index, Pack, Table};
use crate::ledger::{PackRow, PackState};
use format::blob::BlobKind;
use format::pack::{Checksum, Footer, FooterEntry, HEADER_BYTES};
use format::segment::{Segment, build};
use format::{BlobId, DomainId, FooterHash, KeyId, PackName};
use std::sync::Arc;

/// A proven pack of data blobs.
pub(crate) fn pack_row(number: u8, entries: u32) -> PackRow {
    PackRow {
        domain: DomainId([0; 16]),
        name: PackName([number; 16]),
        number: number.into(),
        kind: Some(BlobKind::Data),
        state: PackState::Proven,
        session: None,
        length: 1000,
        entries,
        footer_hash: FooterHash([0; 32]),
        recovered: false,
        sightings: 0,
        frame_damaged: false,
        segment: None,
        footer: None,
    }
}

/// The footer of that pack, with these blobs, sorted.
pub(crate) fn footer(row: &PackRow, ids: &[BlobId]) -> Footer {
    let offset = |place: usize| HEADER_BYTES as u32 + 100 * place as u32;
    let checksum = Checksum([0; 16]);
    let entry = |(place, id): (usize, &BlobId)| FooterEntry {
        id: *id,
        key: 0,
        offset: offset(place),
        length: 100,
        checksum,
        links: Vec::new(),
    };
    let entries = ids.iter().enumerate().map(entry).collect();
    Footer { domain: row.domain, name: row.name, kind: BlobKind::Data, keys: vec![KeyId([1; 32])], entries }
}

/// An index of one segment that covers one pack of so many blobs; their ids, sorted.
pub(crate) fn one_segment(blobs: u32) -> (Index, Vec<BlobId>) {
    let id = |number: u32| {
        let mut id = [7; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        BlobId(id)
    };
    let ids: Vec<BlobId> = (0..blobs).map(id).collect();
    let mut row = pack_row(1, blobs);
    let table = table(&mut row, &ids, true);
    let mut index = Index::default();
    let segment = row.segment;
    push(&mut index, row);
    index.add(Arc::new(table), segment);
    (index, ids)
}

/// A table of one pack with these blobs, sorted: a segment, which the row then names, or a tail.
pub(crate) fn table(row: &mut PackRow, ids: &[BlobId], in_segment: bool) -> Table {
    let footer = footer(row, ids);
    row.footer_hash = Footer::hash(&footer.encode());
    if !in_segment {
        return Table::tail(footer);
    }
    row.segment = Some(row.number);
    let bytes = build(&[(row.number, row.length, footer)]).unwrap();
    Table::Segment(Segment::open(SegmentBytes::Memory(Arc::new(bytes))).unwrap())
}

/// Adds a pack that nothing is known against.
pub(crate) fn push(index: &mut Index, row: PackRow) {
    index.by_name.insert(row.name, index.packs.len() as u32);
    index.packs.push(Pack { row, condemned: Default::default(), damaged: Default::default() });
}
