//! Bodies that are bytes: ids, answers to them, places and ranges.
//!
//! ```text
//! ids       32 bytes each, one behind the other
//! bits      one a question, the lowest bit of a byte first; bits behind the last are 0
//! places    for each id: count (2), then count times pack (16), offset (4), length (4), key (32)
//! ranges    start (8), end (8) each
//! copies    pack (16), blob (32) each
//! ```
//! Numbers are little-endian. Nothing is allocated for a length that was not checked.

use crate::error::ApiError;
use crate::limits::{COPIES_MAX, IDS_MAX, RANGES_MAX};
use bytes::Bytes;
use contract::Location;
use format::{BlobId, KeyId, PackName};
use std::ops::Range;

type Result<T> = std::result::Result<T, ApiError>;

/// Bytes of one place.
const PLACE_BYTES: usize = 16 + 4 + 4 + 32;

/// Ids of blobs.
#[must_use]
pub fn write_ids(ids: &[BlobId]) -> Bytes {
    ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>().into()
}

/// Back again.
pub fn read_ids(bytes: &[u8]) -> Result<Vec<BlobId>> {
    Ok(items::<32>("a list of ids", bytes, IDS_MAX)?.map(|id| BlobId(*id)).collect())
}

/// Answers of yes and no.
#[must_use]
pub fn write_bits(bits: &[bool]) -> Bytes {
    let byte = |some: &[bool]| some.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect::<Vec<u8>>().into()
}

/// Back again, to as many questions.
pub fn read_bits(bytes: &[u8], count: usize) -> Result<Vec<bool>> {
    if bytes.len() != count.div_ceil(8) {
        return Err(ApiError::Body("an answer of bits"));
    }
    Ok((0..count).map(|at| bytes[at / 8] >> (at % 8) & 1 == 1).collect())
}

/// Places of blobs.
#[must_use]
pub fn write_places(places: &[Vec<Location>]) -> Bytes {
    let mut bytes = Vec::with_capacity(places.iter().map(|copies| 2 + copies.len() * PLACE_BYTES).sum());
    for copies in places {
        let copies = &copies[..copies.len().min(COPIES_MAX)];
        bytes.extend_from_slice(&(copies.len() as u16).to_le_bytes());
        for copy in copies {
            bytes.extend_from_slice(&copy.pack.0);
            bytes.extend_from_slice(&copy.offset.to_le_bytes());
            bytes.extend_from_slice(&copy.length.to_le_bytes());
            bytes.extend_from_slice(&copy.key.0);
        }
    }
    bytes.into()
}

/// Back again, for as many blobs.
pub fn read_places(mut bytes: &[u8], count: usize) -> Result<Vec<Vec<Location>>> {
    const WHAT: ApiError = ApiError::Body("an answer where blobs lie");
    let mut places = Vec::with_capacity(count.min(IDS_MAX));
    for _ in 0..count {
        let (copies, rest) = bytes.split_first_chunk::<2>().ok_or(WHAT)?;
        let copies = usize::from(u16::from_le_bytes(*copies));
        let (copies, rest) = rest.split_at_checked(copies * PLACE_BYTES).ok_or(WHAT)?;
        places.push(copies.as_chunks::<PLACE_BYTES>().0.iter().map(place).collect());
        bytes = rest;
    }
    if bytes.is_empty() { Ok(places) } else { Err(WHAT) }
}

fn place(bytes: &[u8; PLACE_BYTES]) -> Location {
    let (pack, rest) = bytes.split_first_chunk::<16>().expect("a place has 56 bytes");
    let (offset, rest) = rest.split_first_chunk::<4>().expect("40 of them are left");
    let (length, rest) = rest.split_first_chunk::<4>().expect("36 of them are left");
    let key = rest.first_chunk::<32>().expect("32 of them are left");
    Location { pack: PackName(*pack), offset: u32::from_le_bytes(*offset), length: u32::from_le_bytes(*length), key: KeyId(*key) }
}

/// Ranges of bytes.
#[must_use]
pub fn write_ranges(ranges: &[Range<u64>]) -> Bytes {
    let pair = |range: &Range<u64>| [range.start.to_le_bytes(), range.end.to_le_bytes()].concat();
    ranges.iter().flat_map(pair).collect::<Vec<u8>>().into()
}

/// Back again; none ends before it starts.
pub fn read_ranges(bytes: &[u8]) -> Result<Vec<Range<u64>>> {
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let ranges = items::<16>("a list of ranges", bytes, RANGES_MAX)?.map(|pair| number(&pair[..8])..number(&pair[8..]));
    let ranges: Vec<Range<u64>> = ranges.collect();
    if ranges.iter().any(|range| range.start > range.end) {
        return Err(ApiError::Body("a list of ranges"));
    }
    Ok(ranges)
}

/// Copies of blobs.
#[must_use]
pub fn write_copies(copies: &[(PackName, BlobId)]) -> Bytes {
    copies.iter().flat_map(|(pack, blob)| pack.0.into_iter().chain(blob.0)).collect::<Vec<u8>>().into()
}

/// Back again.
pub fn read_copies(bytes: &[u8]) -> Result<Vec<(PackName, BlobId)>> {
    let pair = |bytes: &[u8; 48]| {
        let (pack, blob) = bytes.split_first_chunk::<16>().expect("a copy has 48 bytes");
        (PackName(*pack), BlobId(*blob.first_chunk().expect("32 of them are left")))
    };
    Ok(items::<48>("a list of copies", bytes, IDS_MAX)?.map(pair).collect())
}

fn items<'a, const N: usize>(what: &'static str, bytes: &'a [u8], max: usize) -> Result<impl Iterator<Item = &'a [u8; N]>> {
    let (items, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(ApiError::Body(what));
    }
    if items.len() > max {
        return Err(ApiError::TooLong { what, max, unit: "entries" });
    }
    Ok(items.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_bits_ranges_and_copies_come_out_as_they_went_in() {
        let ids: Vec<BlobId> = (0..100).map(|n| BlobId([n; 32])).collect();
        assert_eq!(read_ids(&write_ids(&ids)).unwrap(), ids);
        for count in [0, 1, 7, 8, 9, 64, 65] {
            let bits: Vec<bool> = (0..count).map(|n| n % 3 == 0).collect();
            assert_eq!(read_bits(&write_bits(&bits), count).unwrap(), bits);
            assert!(read_bits(&write_bits(&bits), count + 8).is_err());
        }
        let ranges = [0..5, 7..u64::MAX];
        assert_eq!(read_ranges(&write_ranges(&ranges)).unwrap(), ranges);
        let copies: Vec<(PackName, BlobId)> = ids.iter().map(|id| (PackName([7; 16]), *id)).collect();
        assert_eq!(read_copies(&write_copies(&copies)).unwrap(), copies);
    }

    #[test]
    fn places_come_out_as_they_went_in() {
        let place = |n| Location { pack: PackName([n; 16]), offset: u32::from(n) << 20, length: 9, key: KeyId([n + 1; 32]) };
        let places = vec![vec![], vec![place(1)], vec![place(2), place(3)]];
        let bytes = write_places(&places);
        assert_eq!(read_places(&bytes, 3).unwrap(), places);
        assert!(read_places(&bytes, 2).is_err() && read_places(&bytes, 4).is_err());
        assert!(read_places(&bytes[..bytes.len() - 1], 3).is_err());
    }

    #[test]
    fn lists_that_are_torn_or_too_long_are_refused() {
        assert!(read_ids(&[0; 33]).is_err());
        assert!(read_ids(&vec![0; (IDS_MAX + 1) * 32]).is_err());
        assert!(read_ranges(&write_ranges(&[Range { start: 9, end: 3 }])).is_err());
    }
}
