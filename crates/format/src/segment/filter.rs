//! Binary fuse filters (Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022) over bytes.
//!
//! Built by a library, encoded and asked by us, so that the encoding does not move with the library.
//!
//! ```text
//! key         = last 8 bytes of the id (u64)
//! hash        = mix(key + seed)            mix: the finaliser of MurmurHash3 for 64 bits; sums wrap
//! fingerprint = low byte of hash ^ (hash >> 32)
//! h0          = (hash · length of segments) >> 64, in 128 bits
//! h1          = (h0 + segment) ^ ((hash >> 18) & (segment - 1))
//! h2          = (h0 + 2 · segment) ^ (hash & (segment - 1))
//! let through = fingerprint == f[h0] ^ f[h1] ^ f[h2]
//! ```

use crate::codec::{FormatError, Reader, Result, Writer};
use crate::id::BlobId;
use std::ops::Range;
use xorf::{BinaryFuse8, Filter as _};

/// The parameters of a filter, and where its fingerprints stand among those of all filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    seed: u64,
    /// Positions in a segment: a power of two.
    segment: u32,
    /// Positions in all segments but the last two.
    segments: u32,
    /// None where no filter could be built: all ids are let through.
    fingerprints: Range<usize>,
}

impl Filter {
    /// Builds a filter whose fingerprints will stand at `start`.
    pub(super) fn build(keys: &mut Vec<u64>, start: usize) -> (Self, Box<[u8]>) {
        keys.sort_unstable();
        keys.dedup();
        let everything = Self { seed: 0, segment: 1, segments: 0, fingerprints: start..start };
        let Ok(built) = BinaryFuse8::try_from(&*keys) else { return (everything, Box::default()) };
        let fingerprints = start..start + built.fingerprints.len();
        let descriptor = &built.descriptor;
        let (segment, segments) = (descriptor.segment_length, descriptor.segment_count_length);
        let filter = Self { seed: descriptor.seed, segment, segments, fingerprints };
        let sound =
            filter.check().is_ok() && keys.iter().all(|key| built.contains(key) && filter.lets(&built.fingerprints, *key));
        if sound { (filter, built.fingerprints) } else { (everything, Box::default()) }
    }

    /// Appends it.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u64(self.seed).u32(self.segment).u32(self.segments).u32(self.fingerprints.len() as u32);
    }

    /// Reads it; its fingerprints stand at `start`.
    pub(super) fn read(reader: &mut Reader<'_>, start: usize) -> Result<Self> {
        let (seed, segment, segments) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let filter = Self { seed, segment, segments, fingerprints: start..start.saturating_add(reader.u32()? as usize) };
        filter.check()?;
        Ok(filter)
    }

    /// Where its fingerprints end.
    pub(super) fn end(&self) -> usize {
        self.fingerprints.end
    }

    fn check(&self) -> Result<()> {
        let positions = u64::from(self.segments) + 2 * u64::from(self.segment);
        let sound = self.segment.is_power_of_two() && self.segments.is_multiple_of(self.segment);
        if !sound || !self.fingerprints.is_empty() && positions != self.fingerprints.len() as u64 {
            return Err(FormatError::Invalid("the parameters of a filter do not fit together"));
        }
        Ok(())
    }

    /// Whether an id is let through; `filters` are the fingerprints of all filters.
    pub(super) fn contains(&self, filters: &[u8], id: &BlobId) -> bool {
        match filters.get(self.fingerprints.clone()) {
            Some(fingerprints) if !fingerprints.is_empty() => self.lets(fingerprints, key(id)),
            _ => true,
        }
    }

    fn lets(&self, fingerprints: &[u8], key: u64) -> bool {
        let hash = mix(key.wrapping_add(self.seed));
        let mask = self.segment - 1;
        let h0 = ((u128::from(hash) * u128::from(self.segments)) >> 64) as u32;
        let h1 = (h0 + self.segment) ^ ((hash >> 18) as u32 & mask);
        let h2 = (h0 + 2 * self.segment) ^ (hash as u32 & mask);
        let at = |place: u32| fingerprints.get(place as usize).copied().unwrap_or_default();
        (hash ^ (hash >> 32)) as u8 == at(h0) ^ at(h1) ^ at(h2)
    }
}

/// What stands for an id in a filter. Other bytes than those that the order is cut by.
pub(super) fn key(id: &BlobId) -> u64 {
    u64::from_le_bytes(*id.0.last_chunk().expect("an id has 32 bytes"))
}

fn mix(mut key: u64) -> u64 {
    key ^= key >> 33;
    key = key.wrapping_mul(0xff51_afd7_ed55_8ccd);
    key ^= key >> 33;
    key = key.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    key ^ (key >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn our_reading_of_a_filter_is_the_librarys(keys in proptest::collection::hash_set(any::<u64>(), 1..500), others: [u64; 32]) {
            let mut keys: Vec<u64> = keys.into_iter().collect();
            let (filter, fingerprints) = Filter::build(&mut keys, 0);
            prop_assert!(!fingerprints.is_empty());
            let library = BinaryFuse8::try_from(&keys).unwrap();
            for key in keys.iter().chain(&others) {
                prop_assert_eq!(filter.lets(&fingerprints, *key), library.contains(key));
            }
        }
    }
}
