//! Packs: immutable objects with many sealed blobs, and the footer that makes them readable without keys.
//!
//! ```text
//! pack    = header ‖ sealed blobs, in the order of their ids ‖ footer ‖ trailer
//! header  = magic (8) ‖ pack name (16) ‖ kind (1) ‖ zeros (7)
//! trailer = footer hash (32) ‖ footer length (u32) ‖ magic (8)
//! ```
//! Blobs follow each other without gaps, so the footer holds lengths only and no two blobs can overlap.

use crate::blob::{BlobKind, check_links};
use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::{BlobId, DomainId, FooterHash, KeyId, PackName};
use crate::limits;
use std::ops::Range;

/// Bytes before the first blob.
pub const HEADER_BYTES: usize = 32;
/// Bytes behind the footer.
pub const TRAILER_BYTES: usize = 32 + 4 + 8;

/// Checksum of a sealed blob: the first 16 bytes of BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub [u8; 16]);

impl Checksum {
    /// Of these sealed bytes.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Self {
        Self(*blake3::hash(sealed).as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }
}

/// A blob in a pack, as the footer tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FooterEntry {
    /// The blob's id.
    pub id: BlobId,
    /// Place of its key in the key table.
    pub key: u16,
    /// Where its sealed bytes start in the pack.
    pub offset: u32,
    /// How many they are.
    pub length: u32,
    /// Their checksum.
    pub checksum: Checksum,
    /// The blobs that it names, sorted and unique; none in a data pack.
    pub links: Vec<BlobId>,
}

impl FooterEntry {
    /// The sealed bytes' place in the pack.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        u64::from(self.offset)..u64::from(self.offset) + u64::from(self.length)
    }
}

/// What a pack holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// The domain that the pack belongs to.
    pub domain: DomainId,
    /// The pack's own name.
    pub name: PackName,
    /// Kind of all its blobs.
    pub kind: BlobKind,
    /// The keys that its blobs are sealed with, sorted and unique.
    pub keys: Vec<KeyId>,
    /// Its blobs, sorted by id; an id stands once.
    pub entries: Vec<FooterEntry>,
}

impl Footer {
    /// Encodes the footer, without trailer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(limits::FORMAT_VERSION).raw(self.domain.as_bytes()).raw(self.name.as_bytes()).u8(self.kind as u8);
        writer.varint(self.keys.len() as u64);
        self.keys.iter().for_each(|key| {
            writer.raw(key.as_bytes());
        });
        writer.varint(self.entries.len() as u64);
        for entry in &self.entries {
            writer.raw(entry.id.as_bytes()).varint(u64::from(entry.key)).varint(u64::from(entry.length)).raw(&entry.checksum.0);
            if self.kind == BlobKind::Page {
                writer.varint(entry.links.len() as u64);
                entry.links.iter().for_each(|link| {
                    writer.raw(link.as_bytes());
                });
            }
        }
        writer.finish()
    }

    /// Parses a footer without trailer.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        within("footer of a pack", bytes.len(), limits::FOOTER_BYTES_MAX)?;
        let mut reader = Reader::new("footer of a pack", bytes);
        let version = reader.u8()?;
        if version != limits::FORMAT_VERSION {
            return Err(FormatError::Version { what: "footer of a pack", found: version, known: limits::FORMAT_VERSION });
        }
        let domain = DomainId(reader.array()?);
        let name = PackName(reader.array()?);
        let kind = BlobKind::from_number(reader.u8()?)?;
        let keys = read_keys(&mut reader)?;
        let count = reader.count("blobs in a pack", limits::PACK_ENTRIES_MAX, BlobId::BYTES + 2 + 16)?;
        let mut entries: Vec<FooterEntry> = Vec::with_capacity(count);
        let mut offset = HEADER_BYTES as u32;
        for _ in 0..count {
            let entry = read_entry(&mut reader, kind, keys.len(), offset)?;
            offset += entry.length;
            within("pack", offset as usize, limits::PACK_BYTES_MAX)?;
            if entries.last().is_some_and(|last| last.id >= entry.id) {
                return Err(FormatError::Invalid("blobs of a pack are not sorted and unique"));
            }
            entries.push(entry);
        }
        reader.end()?;
        Ok(Self { domain, name, kind, keys, entries })
    }

    /// The hash of the footer's bytes; stands for the whole pack.
    #[must_use]
    pub fn hash(footer: &[u8]) -> FooterHash {
        FooterHash(blake3::derive_key(limits::HASH_FOOTER, footer))
    }

    /// Where the footer starts: the end of the last blob.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.entries.last().map_or(HEADER_BYTES as u64, |last| last.range().end)
    }

    /// The entry with this id.
    #[must_use]
    pub fn find(&self, id: &BlobId) -> Option<&FooterEntry> {
        self.entries.binary_search_by(|entry| entry.id.cmp(id)).ok().map(|place| &self.entries[place])
    }

    /// Entries whose sealed bytes in `pack` do not match their checksum.
    #[must_use]
    pub fn damaged_entries(&self, pack: &[u8]) -> Vec<BlobId> {
        let sound = |entry: &FooterEntry| {
            let range = entry.offset as usize..entry.offset as usize + entry.length as usize;
            pack.get(range).is_some_and(|sealed| Checksum::of(sealed) == entry.checksum)
        };
        self.entries.iter().filter(|entry| !sound(entry)).map(|entry| entry.id).collect()
    }
}

fn read_keys(reader: &mut Reader<'_>) -> Result<Vec<KeyId>> {
    let count = reader.count("keys of a pack", limits::PACK_KEYS_MAX, KeyId::BYTES)?;
    let keys = (0..count).map(|_| Ok(KeyId(reader.array()?))).collect::<Result<Vec<_>>>()?;
    if keys.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(FormatError::Invalid("keys of a pack are not sorted and unique"));
    }
    Ok(keys)
}

fn check_sealed_length(length: usize) -> Result<()> {
    within("sealed blob", length, limits::BLOB_SEALED_MAX)?;
    if length < limits::SEAL_OVERHEAD + limits::INNER_HEADER {
        return Err(FormatError::Invalid("a sealed blob is shorter than its frame"));
    }
    Ok(())
}

fn read_entry(reader: &mut Reader<'_>, kind: BlobKind, keys: usize, offset: u32) -> Result<FooterEntry> {
    let id = BlobId(reader.array()?);
    let key = u16::try_from(reader.varint()?).map_err(|_| FormatError::Invalid("a blob's key is not in its pack's table"))?;
    if usize::from(key) >= keys {
        return Err(FormatError::Invalid("a blob's key is not in its pack's table"));
    }
    let length = reader.varint_u32()?;
    check_sealed_length(length as usize)?;
    let checksum = Checksum(reader.array()?);
    let mut links = Vec::new();
    if kind == BlobKind::Page {
        let count = reader.count("links of a page", limits::PAGE_LINKS_MAX, BlobId::BYTES)?;
        links.reserve_exact(count);
        for _ in 0..count {
            links.push(BlobId(reader.array()?));
        }
        check_links(kind, &links)?;
    }
    Ok(FooterEntry { id, key, offset, length, checksum, links })
}

/// The end of a pack: where its footer lies and what it must hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Hash of the footer.
    pub footer_hash: FooterHash,
    /// Length of the footer in bytes.
    pub footer_length: u32,
}

impl Trailer {
    /// Encodes the trailer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(self.footer_hash.as_bytes()).u32(self.footer_length).raw(&limits::MAGIC_PACK_END);
        writer.finish()
    }

    /// Parses the last [`TRAILER_BYTES`] of a pack.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("end of a pack", bytes);
        let footer_hash = FooterHash(reader.array()?);
        let footer_length = reader.u32()?;
        within("footer of a pack", footer_length as usize, limits::FOOTER_BYTES_MAX)?;
        reader.magic(limits::MAGIC_PACK_END)?;
        reader.end()?;
        Ok(Self { footer_hash, footer_length })
    }

    /// The footer's place in a pack of `pack_length` bytes.
    pub fn footer_range(&self, pack_length: u64) -> Result<Range<u64>> {
        let end = pack_length.checked_sub(TRAILER_BYTES as u64).ok_or(FormatError::Truncated("pack"))?;
        let start = end.checked_sub(u64::from(self.footer_length)).ok_or(FormatError::Truncated("pack"))?;
        if start < HEADER_BYTES as u64 { Err(FormatError::Truncated("pack")) } else { Ok(start..end) }
    }
}

/// A pack whose frame was checked: header, trailer, footer hash, and that the lengths add up. Blobs were not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedPack {
    /// The footer.
    pub footer: Footer,
    /// Its hash.
    pub footer_hash: FooterHash,
    /// Its bytes' place in the pack.
    pub footer_range: Range<u64>,
}

/// Checks a pack's frame and parses its footer; [`Footer::damaged_entries`] checks the blobs.
pub fn parse(pack: &[u8]) -> Result<ParsedPack> {
    within("pack", pack.len(), limits::PACK_BYTES_MAX + limits::FOOTER_BYTES_MAX + TRAILER_BYTES)?;
    let tail = pack.last_chunk::<TRAILER_BYTES>().ok_or(FormatError::Truncated("pack"))?;
    let trailer = Trailer::parse(tail)?;
    let range = trailer.footer_range(pack.len() as u64)?;
    let footer = parse_footer(&pack[range.start as usize..range.end as usize], &trailer, pack.len() as u64)?;
    if pack[..HEADER_BYTES] != header(footer.name, footer.kind) {
        return Err(FormatError::Invalid("header and footer of a pack differ"));
    }
    Ok(ParsedPack { footer, footer_hash: trailer.footer_hash, footer_range: range })
}

/// Parses the footer of a pack of `pack_length` bytes that was read alone, and checks it against the trailer.
pub fn parse_footer(footer: &[u8], trailer: &Trailer, pack_length: u64) -> Result<Footer> {
    if Footer::hash(footer) != trailer.footer_hash {
        return Err(FormatError::Checksum("footer of a pack"));
    }
    let parsed = Footer::parse(footer)?;
    if parsed.offset() != trailer.footer_range(pack_length)?.start {
        return Err(FormatError::Invalid("the blobs of a pack do not fill it"));
    }
    Ok(parsed)
}

/// The header of a pack.
#[must_use]
pub fn header(name: PackName, kind: BlobKind) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&limits::MAGIC_PACK);
    header[8..24].copy_from_slice(name.as_bytes());
    header[24] = kind as u8;
    header
}

/// A sealed blob on its way into a pack.
#[derive(Debug, Clone)]
pub struct SealedBlob<B = Vec<u8>> {
    /// The blob's id.
    pub id: BlobId,
    /// The key that it is sealed with.
    pub key: KeyId,
    /// The blobs that it names, sorted and unique.
    pub links: Vec<BlobId>,
    /// The sealed bytes.
    pub bytes: B,
}

impl<B> SealedBlob<B> {
    /// No footer grows by more than this many bytes when the blob is added to its pack, keys included.
    #[must_use]
    pub fn footer_bytes_max(&self) -> usize {
        BlobId::BYTES + KeyId::BYTES + 3 + 4 + 16 + 3 + self.links.len() * BlobId::BYTES
    }
}

/// Puts sealed blobs, of one kind and with different ids, together to a pack.
///
/// The caller keeps to [`limits::PACK_ENTRIES_MAX`], [`limits::PACK_BYTES_MAX`] and, with [`SealedBlob::footer_bytes_max`],
/// to [`limits::FOOTER_BYTES_MAX`]; what is over is an error.
pub fn assemble<B: AsRef<[u8]>>(
    domain: DomainId,
    name: PackName,
    kind: BlobKind,
    mut blobs: Vec<SealedBlob<B>>,
) -> Result<Vec<u8>> {
    within("blobs in a pack", blobs.len(), limits::PACK_ENTRIES_MAX)?;
    blobs.sort_unstable_by_key(|blob| blob.id);
    let mut keys: Vec<KeyId> = blobs.iter().map(|blob| blob.key).collect();
    keys.sort_unstable();
    keys.dedup();
    within("keys of a pack", keys.len(), limits::PACK_KEYS_MAX)?;
    let content: usize = blobs.iter().map(|blob| blob.bytes.as_ref().len()).sum();
    within("pack", HEADER_BYTES + content, limits::PACK_BYTES_MAX)?;
    let mut pack = Vec::with_capacity(HEADER_BYTES + content + blobs.len() * 80 + 4096);
    pack.extend_from_slice(&header(name, kind));
    let mut entries = Vec::with_capacity(blobs.len());
    for blob in blobs {
        check_links(kind, &blob.links)?;
        let bytes = blob.bytes.as_ref();
        check_sealed_length(bytes.len())?;
        let key = keys.binary_search(&blob.key).expect("each key was put into the table") as u16;
        let (offset, length) = (pack.len() as u32, bytes.len() as u32);
        pack.extend_from_slice(bytes);
        entries.push(FooterEntry { id: blob.id, key, offset, length, checksum: Checksum::of(bytes), links: blob.links });
    }
    if entries.windows(2).any(|pair| pair[0].id == pair[1].id) {
        return Err(FormatError::Invalid("a blob stands twice in a pack"));
    }
    let footer = Footer { domain, name, kind, keys, entries };
    close(&mut pack, &footer);
    within("footer of a pack", pack.len() - TRAILER_BYTES - footer.offset() as usize, limits::FOOTER_BYTES_MAX)?;
    Ok(pack)
}

/// Appends footer and trailer behind the last blob.
pub fn close(pack: &mut Vec<u8>, footer: &Footer) {
    let bytes = footer.encode();
    let trailer = Trailer { footer_hash: Footer::hash(&bytes), footer_length: bytes.len() as u32 };
    pack.extend_from_slice(&bytes);
    pack.extend_from_slice(&trailer.encode());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(seed: u8, links: Vec<BlobId>) -> SealedBlob {
        SealedBlob { id: BlobId([seed; 32]), key: KeyId([seed % 3; 32]), links, bytes: vec![seed; 100 + usize::from(seed)] }
    }

    #[test]
    fn a_pack_comes_back_as_it_went_in() {
        let blobs = vec![blob(9, vec![BlobId([1; 32]), BlobId([2; 32])]), blob(4, vec![]), blob(200, vec![])];
        let pack = assemble(DomainId([1; 16]), PackName([2; 16]), BlobKind::Page, blobs.clone()).unwrap();
        let parsed = parse(&pack).unwrap();
        assert_eq!(parsed.footer.entries.len(), 3);
        assert!(parsed.footer.damaged_entries(&pack).is_empty());
        for blob in blobs {
            let entry = parsed.footer.find(&blob.id).unwrap();
            assert_eq!(pack[entry.range().start as usize..entry.range().end as usize], blob.bytes);
            assert_eq!(entry.links, blob.links);
            assert_eq!(parsed.footer.keys[usize::from(entry.key)], blob.key);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_pack_is_noticed() {
        let blobs = (1..6).map(|seed| blob(seed, vec![])).collect();
        let pack = assemble(DomainId([1; 16]), PackName([2; 16]), BlobKind::Data, blobs).unwrap();
        for place in 0..pack.len() {
            let mut broken = pack.clone();
            broken[place] ^= 0x10;
            let noticed = parse(&broken).map_or(true, |parsed| !parsed.footer.damaged_entries(&broken).is_empty());
            assert!(noticed, "byte {place}");
        }
    }

    #[test]
    fn a_footer_that_nobody_could_read_is_refused() {
        let links: Vec<BlobId> = (0..4096u32).map(|link| BlobId(std::array::from_fn(|at| link.to_be_bytes()[at % 4]))).collect();
        let page = |seed: u8| blob(seed, links.clone());
        assert!(assemble(DomainId([1; 16]), PackName([2; 16]), BlobKind::Page, (0..180).map(page).collect()).is_ok());
        assert!(assemble(DomainId([1; 16]), PackName([2; 16]), BlobKind::Page, (0..200).map(page).collect()).is_err());
    }

    #[test]
    fn a_blob_without_its_frame_is_refused() {
        let short = SealedBlob { bytes: vec![0; 36], ..blob(1, vec![]) };
        assert!(assemble(DomainId([1; 16]), PackName([2; 16]), BlobKind::Data, vec![short]).is_err());
    }

    #[test]
    fn links_in_a_data_pack_are_refused() {
        let blobs = vec![blob(1, vec![BlobId([2; 32])])];
        assert!(assemble(DomainId([1; 16]), PackName([2; 16]), BlobKind::Data, blobs).is_err());
    }
}
