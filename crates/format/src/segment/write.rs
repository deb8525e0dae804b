//! Segments are written section by section, in memory that does not grow with their entries.

use super::filter::{self, Filter};
use super::layout::{self, Header, PACK_BYTES, Row, SECTIONS, Section};
use super::{Segment, SegmentPack};
use crate::codec::{FormatError, Result, Writer, within};
use crate::id::{BlobId, KeyId};
use crate::limits;
use crate::pack::Footer;
use std::borrow::{Borrow, Cow};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Cursor, Seek, SeekFrom, Write};

/// Bytes that a section collects before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// Encodes a segment that covers these packs (numbers, lengths of the objects, footers).
pub fn build<F: Borrow<Footer>>(packs: &[(u64, u64, F)]) -> Result<Vec<u8>> {
    build_in_shards(packs, limits::SHARD_KEYS_MAX)
}

fn build_in_shards<F: Borrow<Footer>>(packs: &[(u64, u64, F)], shard_keys_max: usize) -> Result<Vec<u8>> {
    let mut sorted: Vec<(u64, u64, &Footer)> =
        packs.iter().map(|(number, length, footer)| (*number, *length, footer.borrow())).collect();
    sorted.sort_unstable_by_key(|pack| (pack.0, pack.2.name));
    let sources: Vec<Source<'_>> = sorted.iter().map(|pack| Source::of_footer(pack.0, pack.1, pack.2)).collect();
    let entries = plan_entries(&sources)?;
    let mut order: Vec<(u64, u32, &BlobId)> = Vec::with_capacity(entries as usize);
    for entry in sorted.iter().flat_map(|pack| &pack.2.entries) {
        order.push((layout::prefix(&entry.id), order.len() as u32, &entry.id));
    }
    order.sort_unstable_by(|left, right| left.2.cmp(right.2).then(left.1.cmp(&right.1)));
    let order = order.into_iter().map(|(_, ordinal, id)| Ok(Place { prefix: layout::prefix(id), ordinal, id: *id }));
    let mut bytes = Cursor::new(Vec::new());
    write_segment(&sources, entries, shard_keys_max, order, &mut bytes)
        .map_err(|_| FormatError::Invalid("a segment does not fit in memory"))?;
    Ok(bytes.into_inner())
}

/// Merges segments: the packs for which `keep` answers true, in one segment that is written to `out` from its present
/// position. A pack that several segments cover is taken once. All segments are verified first, so that damage is not sealed
/// under new checksums. Answers the bytes written.
pub fn merge<B: AsRef<[u8]>>(
    segments: &[&Segment<B>],
    keep: impl Fn(&SegmentPack) -> bool,
    out: &mut (impl Write + Seek),
) -> io::Result<u64> {
    for segment in segments {
        segment.verify().map_err(invalid_data)?;
    }
    let mut sources: Vec<Source<'_>> = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        for (place, pack) in segment.packs().iter().enumerate().filter(|(_, pack)| keep(pack)) {
            sources.push(Source::of_segment(*segment, number, place as u32, pack));
        }
    }
    sources.sort_by_key(|source| source.pack.place());
    sources.dedup_by(|later, first| later.pack == first.pack);
    let entries = plan_entries(&sources).map_err(invalid_data)?;
    let order = MergedOrder::new(segments, &sources);
    write_segment(&sources, entries, limits::SHARD_KEYS_MAX, order, out)
}

fn invalid_data(error: FormatError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Something that a pack's part of a segment is made of.
struct Source<'a> {
    pack: SegmentPack,
    keys: Vec<KeyId>,
    /// Where it comes from in a merge: segment and place.
    origin: (usize, u32),
    rows: Box<dyn Fn() -> Cow<'a, [u8]> + 'a>,
    links: Box<dyn Fn() -> Cow<'a, [u8]> + 'a>,
    link_count: usize,
}

impl<'a> Source<'a> {
    fn of_footer(number: u64, length: u64, footer: &'a Footer) -> Self {
        let pack = SegmentPack {
            number,
            name: footer.name,
            kind: footer.kind,
            length,
            footer_hash: Footer::hash(&footer.encode()),
            entries: footer.entries.len() as u32,
        };
        let links = || footer.entries.iter().flat_map(|entry| &entry.links);
        Self {
            pack,
            keys: footer.keys.clone(),
            origin: (0, 0),
            rows: Box::new(|| Cow::Owned(rows_of(footer))),
            links: Box::new(move || Cow::Owned(links().flat_map(|link| link.0).collect())),
            link_count: links().count(),
        }
    }

    fn of_segment<B: AsRef<[u8]>>(segment: &'a Segment<B>, number: usize, place: u32, pack: &SegmentPack) -> Self {
        Self {
            pack: pack.clone(),
            keys: segment.pack_keys(place),
            origin: (number, place),
            rows: Box::new(move || Cow::Borrowed(segment.pack_rows(place))),
            links: Box::new(move || Cow::Borrowed(segment.pack_links(place))),
            link_count: segment.pack_links(place).len() / layout::LINK_BYTES,
        }
    }
}

fn rows_of(footer: &Footer) -> Vec<u8> {
    let mut writer = Writer::new();
    let mut links_end = 0;
    for entry in &footer.entries {
        links_end += entry.links.len() as u32;
        let (id, offset, length, key, checksum) = (entry.id, entry.offset, entry.length, entry.key, entry.checksum);
        Row { id, offset, length, key, checksum, links_end }.write(&mut writer);
    }
    writer.finish()
}

/// Checks what the layout cannot hold and counts the entries.
fn plan_entries(sources: &[Source<'_>]) -> Result<u32> {
    if sources.windows(2).any(|pair| pair[0].pack.place() >= pair[1].pack.place()) {
        return Err(FormatError::Invalid("two packs of a segment have the same number and name"));
    }
    let mut entries = 0u32;
    for source in sources {
        within("keys of a pack", source.keys.len(), limits::PACK_KEYS_MAX)?;
        within("blobs in a pack", source.pack.entries as usize, limits::PACK_ENTRIES_MAX)?;
        let sum = entries.checked_add(source.pack.entries);
        entries = sum.ok_or(FormatError::Invalid("a segment has more than 2^32 - 1 entries"))?;
    }
    Ok(entries)
}

/// An entry in the order of a segment.
struct Place {
    prefix: u64,
    ordinal: u32,
    id: BlobId,
}

/// The orders of several segments as one, with the ordinals of the merged segment.
struct MergedOrder<'a, B> {
    segments: &'a [&'a Segment<B>],
    /// For each segment and each of its packs: the first ordinal in the merged segment, if it is kept from there.
    first: Vec<Vec<Option<u32>>>,
    heads: BinaryHeap<Reverse<(u64, usize, u32)>>,
    next: Vec<usize>,
    /// Entries whose ids have the same first bytes, last first.
    run: Vec<Place>,
}

impl<'a, B: AsRef<[u8]>> MergedOrder<'a, B> {
    fn new(segments: &'a [&'a Segment<B>], sources: &[Source<'_>]) -> Self {
        let mut first: Vec<Vec<Option<u32>>> = segments.iter().map(|segment| vec![None; segment.packs().len()]).collect();
        let mut ordinal = 0;
        for source in sources {
            first[source.origin.0][source.origin.1 as usize] = Some(ordinal);
            ordinal += source.pack.entries;
        }
        let mut order = Self { segments, first, heads: BinaryHeap::new(), next: vec![0; segments.len()], run: Vec::new() };
        (0..segments.len()).for_each(|number| order.advance(number));
        order
    }

    /// Puts the next kept entry of a segment among the heads.
    fn advance(&mut self, number: usize) {
        let segment = self.segments[number];
        while let Some((prefix, ordinal)) = segment.order(self.next[number]) {
            self.next[number] += 1;
            let Some(pack) = segment.layout.pack_of(ordinal) else { continue };
            if let Some(first) = self.first[number][pack as usize] {
                let place = ordinal - segment.layout.places[pack as usize].ordinals.start;
                self.heads.push(Reverse((prefix, number, first + place)));
                return;
            }
        }
    }

    fn fill_run(&mut self) -> Result<()> {
        let Some(Reverse((prefix, ..))) = self.heads.peek().copied() else { return Ok(()) };
        while let Some(Reverse((at, number, ordinal))) = self.heads.peek().copied()
            && at == prefix
        {
            self.heads.pop();
            let (_, former) = self.segments[number].order(self.next[number] - 1).ok_or(DAMAGED)?;
            let id = self.segments[number].row(former).ok_or(DAMAGED)?.id;
            self.run.push(Place { prefix, ordinal, id });
            self.advance(number);
        }
        self.run.sort_unstable_by_key(|place| Reverse((place.id, place.ordinal)));
        Ok(())
    }
}

const DAMAGED: FormatError = FormatError::Invalid("the order of a segment names an entry that it does not have");

impl<B: AsRef<[u8]>> Iterator for MergedOrder<'_, B> {
    type Item = Result<Place>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.run.is_empty()
            && let Err(error) = self.fill_run()
        {
            return Some(Err(error));
        }
        self.run.pop().map(Ok)
    }
}

/// A section on its way out: hashed as it grows, written where it belongs.
struct SectionWriter {
    position: u64,
    length: u64,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
}

impl SectionWriter {
    fn new(position: u64) -> Self {
        Self { position, length: 0, hasher: blake3::Hasher::new_derive_key(limits::HASH_CHECKSUM), buffer: Vec::new() }
    }

    fn push(&mut self, out: &mut (impl Write + Seek), bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush(out) } else { Ok(()) }
    }

    fn flush(&mut self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        out.seek(SeekFrom::Start(self.position + self.length))?;
        out.write_all(&self.buffer)?;
        self.hasher.update(&self.buffer);
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, notes length and checksum, and answers where the section ends.
    fn finish(mut self, out: &mut (impl Write + Seek), header: &mut Header, section: Section) -> io::Result<u64> {
        self.flush(out)?;
        header.lengths[section as usize] = self.length;
        header.checksums[section as usize] = *self.hasher.finalize().as_bytes();
        Ok(self.position + self.length)
    }
}

fn write_whole(
    out: &mut (impl Write + Seek),
    header: &mut Header,
    section: Section,
    at: u64,
    bytes: impl Iterator<Item = impl AsRef<[u8]>>,
) -> io::Result<u64> {
    let mut writer = SectionWriter::new(at);
    for part in bytes {
        writer.push(out, part.as_ref())?;
    }
    writer.finish(out, header, section)
}

fn write_segment(
    sources: &[Source<'_>],
    entries: u32,
    shard_keys_max: usize,
    order: impl Iterator<Item = Result<Place>>,
    out: &mut (impl Write + Seek),
) -> io::Result<u64> {
    let base = out.stream_position()?;
    let fan_out_bits = layout::fan_out_bits(entries);
    let mut header = Header { lengths: [0; SECTIONS], checksums: [[0; 32]; SECTIONS], entries, fan_out_bits };
    let start = base + layout::HEADER_BYTES as u64;
    let packs = write_whole(out, &mut header, Section::Packs, start, sources.iter().map(encode_pack))?;
    let keys = key_table(sources);
    let at = write_whole(out, &mut header, Section::Keys, packs, keys.iter().map(KeyId::as_bytes))?;
    let place = |key: &KeyId| (keys.binary_search(key).expect("the table was made of all keys") as u32).to_le_bytes();
    let pack_keys = sources.iter().flat_map(|source| &source.keys).map(place);
    let at = write_whole(out, &mut header, Section::PackKeys, at, pack_keys)?;
    let at = write_whole(out, &mut header, Section::Rows, at, sources.iter().map(|source| (source.rows)()))?;
    let at = write_whole(out, &mut header, Section::Links, at, sources.iter().map(|source| (source.links)()))?;
    let mut search = SearchWriter::new(at, entries, shard_keys_max);
    for place in order {
        search.push(out, &place.map_err(invalid_data)?)?;
    }
    let end = search.finish(out, &mut header)?;
    out.seek(SeekFrom::Start(base))?;
    out.write_all(&header.encode())?;
    out.seek(SeekFrom::Start(end))?;
    Ok(end - base)
}

fn encode_pack(source: &Source<'_>) -> Vec<u8> {
    let pack = &source.pack;
    let mut writer = Writer::new();
    writer.u64(pack.number).raw(pack.name.as_bytes()).u8(pack.kind as u8).u64(pack.length).raw(pack.footer_hash.as_bytes());
    writer.u32(pack.entries).u16(source.keys.len() as u16).u32(source.link_count as u32);
    debug_assert_eq!(writer.len(), PACK_BYTES);
    writer.finish()
}

fn key_table(sources: &[Source<'_>]) -> Vec<KeyId> {
    let mut keys: Vec<KeyId> = sources.iter().flat_map(|source| &source.keys).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Writes what look-ups search: order, filters, shards, fan-out.
struct SearchWriter {
    order: SectionWriter,
    filters: SectionWriter,
    shards: Vec<u8>,
    fan_out: Vec<u32>,
    fan_out_bits: u8,
    shard_keys_max: usize,
    keys: Vec<u64>,
    filters_length: usize,
    first: Option<BlobId>,
    last: Option<(BlobId, u32)>,
    entries: u32,
    written: u32,
}

impl SearchWriter {
    fn new(at: u64, entries: u32, shard_keys_max: usize) -> Self {
        let shards = (entries as usize).div_ceil(shard_keys_max).max(1);
        Self {
            order: SectionWriter::new(at),
            filters: SectionWriter::new(at + u64::from(entries) * layout::ORDER_BYTES as u64),
            shards: Vec::new(),
            fan_out: Vec::new(),
            fan_out_bits: layout::fan_out_bits(entries),
            shard_keys_max: (entries as usize).div_ceil(shards),
            keys: Vec::new(),
            filters_length: 0,
            first: None,
            last: None,
            entries,
            written: 0,
        }
    }

    fn push(&mut self, out: &mut (impl Write + Seek), place: &Place) -> io::Result<()> {
        if self.last.is_some_and(|last| last >= (place.id, place.ordinal)) {
            return Err(invalid_data(FormatError::Invalid("the order of a segment is not sorted and unique")));
        }
        if self.last.is_none_or(|last| last.0 != place.id) {
            if self.keys.len() >= self.shard_keys_max {
                self.close_shard(out)?;
            }
            self.first.get_or_insert(place.id);
            self.keys.push(filter::key(&place.id));
        }
        self.last = Some((place.id, place.ordinal));
        let bucket = layout::bucket_of(place.prefix, self.fan_out_bits);
        self.fan_out.resize(self.fan_out.len().max(bucket + 1), self.written);
        self.written += 1;
        self.order.push(out, &layout::encode_order(place.prefix, place.ordinal))
    }

    fn close_shard(&mut self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        let Some(first) = self.first.take() else { return Ok(()) };
        let (filter, fingerprints) = Filter::build(&mut self.keys, self.filters_length);
        self.keys.clear();
        self.filters_length = filter.end();
        let mut writer = Writer::new();
        writer.raw(first.as_bytes());
        filter.write(&mut writer);
        self.shards.extend_from_slice(&writer.finish());
        self.filters.push(out, &fingerprints)
    }

    fn finish(mut self, out: &mut (impl Write + Seek), header: &mut Header) -> io::Result<u64> {
        self.close_shard(out)?;
        if self.written != self.entries {
            return Err(invalid_data(FormatError::Invalid("the order of a segment does not name all its entries")));
        }
        self.fan_out.resize((1 << self.fan_out_bits) + 1, self.written);
        self.order.finish(out, header, Section::Order)?;
        let at = self.filters.finish(out, header, Section::Filters)?;
        let at = write_whole(out, header, Section::Shards, at, [self.shards].iter())?;
        write_whole(out, header, Section::FanOut, at, self.fan_out.iter().map(|place| place.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::BlobKind;
    use crate::id::{DomainId, PackName};
    use crate::pack::{Checksum, FooterEntry};

    #[test]
    fn a_segment_of_many_shards_finds_all_copies_of_all_ids() {
        let id = |seed: u32| BlobId(*blake3::hash(&seed.to_le_bytes()).as_bytes());
        let pack = |number: u64, ids: std::ops::Range<u32>| {
            let mut ids: Vec<BlobId> = ids.map(id).collect();
            ids.sort_unstable();
            let mut offset = 32;
            let entry = |id: &BlobId| {
                offset += 100;
                FooterEntry { id: *id, key: 0, offset: offset - 100, length: 100, checksum: Checksum([1; 16]), links: vec![] }
            };
            let entries = ids.iter().map(entry).collect();
            let name = PackName(u128::from(number).to_le_bytes());
            (number, 0, Footer { domain: DomainId([1; 16]), name, kind: BlobKind::Data, keys: vec![KeyId([1; 32])], entries })
        };
        let packs = [pack(1, 0..3000), pack(2, 1000..4000), pack(3, 1000..1010)];
        let segment = Segment::open(build_in_shards(&packs, 64).unwrap()).unwrap();
        assert!(segment.layout.shards() > 60);
        for seed in 0..4000 {
            let numbers: Vec<u64> =
                segment.find(&id(seed)).iter().map(|entry| segment.packs()[entry.pack as usize].number).collect();
            let expected = [(1, 0..3000), (2, 1000..4000), (3, 1000..1010)];
            let expected: Vec<u64> = expected.iter().filter(|pack| pack.1.contains(&seed)).map(|pack| pack.0).collect();
            assert_eq!(numbers, expected);
        }
        assert!((5000..6000).all(|seed| segment.find(&id(seed)).is_empty()));
    }
}
