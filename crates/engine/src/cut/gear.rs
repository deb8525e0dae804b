//! The gear hash, and the search for the first position where it is low.
//!
//! The plain search waits for one sum after the other. Because a gear hash forgets everything before its last 64 bytes, two
//! stretches can be searched side by side, the second warmed up with the 64 bytes in front of it: that is half as fast again,
//! in safe code and on every processor. Gather instructions (AVX2, AVX-512) were measured and left out: on current AMD
//! processors they are slower than the plain search.

use super::WINDOW;

/// Bytes of each of the two stretches that are searched side by side.
const STRETCH: usize = 4096;

/// The table of a domain.
pub(super) struct GearTable([u64; 256]);

impl GearTable {
    /// The table that follows from a chunking key.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut bytes = [0; 2048];
        blake3::Hasher::new_keyed(key).finalize_xof().fill(&mut bytes);
        let (entries, _) = bytes.as_chunks::<8>();
        Self(std::array::from_fn(|entry| u64::from_le_bytes(entries[entry])))
    }

    fn roll(&self, hash: u64, byte: u8) -> u64 {
        (hash << 1).wrapping_add(self.0[usize::from(byte)])
    }

    /// The hash of the position `at`, which has at least a window before it.
    fn hash(&self, bytes: &[u8], at: usize) -> u64 {
        bytes[at - WINDOW..at].iter().fold(0, |hash, byte| self.roll(hash, *byte))
    }
}

/// The first position in `from..to` whose hash is below `below`; `from` is at least a window.
pub(super) fn scan(table: &GearTable, bytes: &[u8], from: usize, to: usize, below: u64) -> Option<usize> {
    scan_paired::<STRETCH>(table, bytes, from, to, below)
}

/// The plain search: what every faster one must agree with.
pub(super) fn scan_scalar(table: &GearTable, bytes: &[u8], from: usize, to: usize, below: u64) -> Option<usize> {
    scan_from(table, bytes, from, to, table.hash(bytes, from), below)
}

/// The plain search when the hash of `from` is known.
fn scan_from(table: &GearTable, bytes: &[u8], from: usize, to: usize, mut hash: u64, below: u64) -> Option<usize> {
    if hash < below {
        return Some(from);
    }
    for (offset, byte) in bytes[from..to - 1].iter().enumerate() {
        hash = table.roll(hash, *byte);
        if hash < below {
            return Some(from + offset + 1);
        }
    }
    None
}

/// Searches pairs of stretches side by side, and the rest plainly.
pub(super) fn scan_paired<const LENGTH: usize>(
    table: &GearTable,
    bytes: &[u8],
    mut from: usize,
    to: usize,
    below: u64,
) -> Option<usize> {
    while to - from > 2 * LENGTH {
        let (mut first, mut second) = (table.hash(bytes, from), table.hash(bytes, from + LENGTH));
        let (pair, _) = bytes[from..from + 2 * LENGTH].as_chunks::<LENGTH>();
        let [first_bytes, second_bytes] = pair else { unreachable!("twice a length is two chunks of that length") };
        if first < below {
            return Some(from);
        }
        // the hash of the second stretch's start is looked at as the end of the first
        for place in 0..LENGTH {
            first = table.roll(first, first_bytes[place]);
            second = table.roll(second, second_bytes[place]);
            if first < below {
                return Some(from + place + 1);
            }
            if second < below {
                let rest = scan_from(table, bytes, from + place + 1, from + LENGTH + 1, first, below);
                return rest.or(Some(from + LENGTH + place + 1));
            }
        }
        from += 2 * LENGTH;
    }
    scan_scalar(table, bytes, from, to, below)
}
