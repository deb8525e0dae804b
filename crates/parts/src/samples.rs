//! Input from a generator (splitmix64: Steele, Lea and Flood, 2014).

/// Numbers from a seed.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| numbers.next().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

/// Words of a small language, a few of them much more frequent than the others: compresses about as sources do.
pub(crate) fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let words: Vec<Vec<u8>> = (0..2000)
        .map(|_| (0..2 + numbers.below(9)).map(|_| b'a' + (numbers.below(26).min(numbers.below(26))) as u8).collect())
        .collect();
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        let rank = numbers.below(2000).min(numbers.below(2000)).min(numbers.below(2000));
        bytes.extend_from_slice(&words[rank as usize]);
        bytes.push(if numbers.below(12) == 0 { b'\n' } else { b' ' });
    }
    bytes.truncate(length);
    bytes
}
