//! Looking up ids in a segment.
//!
//! What a look-up reads lies anywhere in memory. Many ids together take each step for some of them before the next step, so that their
//! reads are on their way at the same time.

use super::layout::{self, Layout, ORDER_BYTES, ROW_BYTES, Section};
use super::record;
use crate::id::BlobId;
use std::ops::Range;

/// Ids that are looked up together: few enough that what was read of them stays near the processor.
const TOGETHER: usize = 256;
/// Ids are spread evenly, so most stand within so many places of where they are expected in a bucket.
const NEAR: usize = 8;

type Order = [u8; ORDER_BYTES];

/// The sections that look-ups read.
pub(super) struct Search<'a> {
    layout: &'a Layout,
    order: &'a [Order],
    rows: &'a [[u8; ROW_BYTES]],
    filters: &'a [u8],
    fan_out: &'a [u8],
}

/// An id that is looked for.
#[derive(Clone, Copy)]
struct Wanted {
    /// Its place among those that are looked up together.
    place: usize,
    prefix: u64,
    /// Its bucket in the order.
    bucket: (usize, usize),
    /// Where in the order it is expected, and the prefix that stands there.
    expected: usize,
    there: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(layout: &'a Layout, bytes: &'a [u8]) -> Self {
        let section = |section| layout.section(bytes, section);
        Self {
            layout,
            order: section(Section::Order).as_chunks().0,
            rows: section(Section::Rows).as_chunks().0,
            filters: section(Section::Filters),
            fan_out: section(Section::FanOut),
        }
    }

    /// Whether the filter lets the id through.
    pub(super) fn contains_maybe(&self, id: &BlobId) -> bool {
        self.layout.shard(id).is_some_and(|shard| shard.filter.contains(self.filters, id))
    }

    /// Calls `found` with the ordinals of all copies of a blob, lowest first.
    pub(super) fn find(&self, id: &BlobId, found: impl FnMut(u32)) {
        if self.contains_maybe(id)
            && let Some((at, _)) = self.expect(0, id).and_then(|wanted| self.first(&wanted, id))
        {
            self.each_from(at, id, found);
        }
    }

    /// Calls `found` with an id's place in `ids` and the ordinals of all its copies, lowest first.
    ///
    /// The filter is asked first, so that ids that are not here cost no reads; but not where nearly all of the ids before were: what it
    /// reads lies further apart then than the order, and is read for nothing.
    pub(super) fn find_batch(&self, ids: &[BlobId], mut found: impl FnMut(usize, u32)) {
        let (mut wanted, mut likely) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
        let mut ask_filter = true;
        for (number, some) in ids.chunks(TOGETHER).enumerate() {
            let maybe = (0..).zip(some).filter(|(_, id)| !ask_filter || self.contains_maybe(id));
            wanted.clear();
            wanted.extend(maybe.filter_map(|(place, id)| self.expect(place, id)));
            likely.clear();
            likely.extend(wanted.iter().filter_map(|wanted| Some((wanted.place, self.first(wanted, &some[wanted.place])?))));
            likely.retain(|(place, (at, _))| self.is_row_of(*at, &some[*place]));
            for (place, (at, is_only_one)) in &likely {
                let place_of_all = number * TOGETHER + place;
                match self.order.get(*at) {
                    Some(order) if *is_only_one => found(place_of_all, layout::read_order(order).1),
                    _ => self.each_from(*at, &some[*place], |ordinal| found(place_of_all, ordinal)),
                }
            }
            ask_filter = likely.len() * 4 < some.len() * 3;
        }
    }

    /// Where an id is expected. Reads the order there.
    fn expect(&self, place: usize, id: &BlobId) -> Option<Wanted> {
        let prefix = layout::prefix(id);
        let bucket = self.bucket(prefix);
        let last = bucket.len().checked_sub(1)?;
        let expected = bucket.start + self.layout.expected(prefix, bucket.len()).min(last);
        let there = layout::read_order(self.order.get(expected)?).0;
        Some(Wanted { place, prefix, bucket: (bucket.start, bucket.end), expected, there })
    }

    /// Places in the order between which a prefix would stand.
    fn bucket(&self, prefix: u64) -> Range<usize> {
        let bucket = layout::bucket_of(prefix, self.layout.fan_out_bits);
        let at = |place| record::<4>(self.fan_out, place).map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        at(bucket)..at(bucket + 1)
    }

    /// The place in the order of the first entry with this id, as far as prefixes and, where several are the same, rows tell; and
    /// whether no other prefix is the same.
    fn first(&self, wanted: &Wanted, id: &BlobId) -> Option<(usize, bool)> {
        let (start, prefix) = (wanted.bucket.0, wanted.prefix);
        let bucket = self.order.get(start..wanted.bucket.1)?;
        let at = first_from(bucket, prefix, wanted.expected - start, wanted.there);
        let is_same = |at: usize| bucket.get(at).is_some_and(|order| layout::read_order(order).0 == prefix);
        if !is_same(at) {
            return None;
        }
        if !is_same(at + 1) {
            return Some((start + at, true));
        }
        // Several copies, or ids that somebody chose to begin alike.
        let several = &bucket[at..];
        let several = &several[..several.partition_point(|order| layout::read_order(order).0 == prefix)];
        let is_before = |order: &Order| self.row_id(layout::read_order(order).1).is_some_and(|row| row < *id);
        Some((start + at + several.partition_point(is_before), false))
    }

    /// The entries with this id, from a place in the order on.
    fn each_from(&self, at: usize, id: &BlobId, mut found: impl FnMut(u32)) {
        let prefix = layout::prefix(id);
        for order in self.order.get(at..).unwrap_or_default() {
            let (same, ordinal) = layout::read_order(order);
            if same != prefix || self.row_id(ordinal) != Some(*id) {
                return;
            }
            found(ordinal);
        }
    }

    fn row_id(&self, ordinal: u32) -> Option<BlobId> {
        self.rows.get(ordinal as usize).and_then(|row| row.first_chunk()).map(|id| BlobId(*id))
    }

    fn is_row_of(&self, at: usize, id: &BlobId) -> bool {
        let row = self.order.get(at).and_then(|order| self.rows.get(layout::read_order(order).1 as usize));
        row.is_some_and(|row| row.starts_with(id.as_bytes()))
    }
}

/// The first place of a bucket whose prefix is at least this, looked for near where it is expected first; `there` is the prefix at that
/// place.
fn first_from(bucket: &[Order], prefix: u64, expected: usize, there: u64) -> usize {
    let is_before = |at: usize| layout::read_order(&bucket[at]).0 < prefix;
    let mut step = NEAR;
    let (low, high) = if there < prefix {
        let mut low = expected + 1;
        loop {
            let high = bucket.len().min(low + step);
            if high == bucket.len() || !is_before(high) {
                break (low, high);
            }
            (low, step) = (high + 1, step * 2);
        }
    } else {
        let mut high = expected;
        loop {
            let low = high.saturating_sub(step);
            if low == 0 || is_before(low - 1) {
                break (low, high);
            }
            (high, step) = (low - 1, step * 2);
        }
    };
    low + bucket[low..high].partition_point(|order| layout::read_order(order).0 < prefix)
}
