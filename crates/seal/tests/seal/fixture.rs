//! Keys that all tests use: made from fixed bytes, so that nothing depends on chance.

use format::{BlobId, DomainId, VaultId};
use seal::{DataKey, DomainSecret, DomainWriter, OwnerSeed};
use std::sync::LazyLock;

pub(crate) const VAULT: VaultId = VaultId([0xaa; 16]);
pub(crate) const DOMAIN: DomainId = DomainId([0xdd; 16]);
pub(crate) const OTHER_DOMAIN: DomainId = DomainId([0xde; 16]);

/// A domain with one session's key.
pub(crate) struct Keys {
    pub(crate) secret: DomainSecret,
    pub(crate) writer: DomainWriter,
    pub(crate) key_object: Vec<u8>,
    pub(crate) key: DataKey,
}

/// The domain of most tests.
pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| domain(DOMAIN));

/// A domain of its own.
pub(crate) fn domain(domain: DomainId) -> Keys {
    let secret = DomainSecret::generate();
    let writer = secret.writer(domain);
    let (key_object, key) = writer.new_session_key().unwrap();
    Keys { secret, writer, key_object, key }
}

/// An owner that is always the same.
pub(crate) fn owner() -> OwnerSeed {
    OwnerSeed::from_bytes(std::array::from_fn(|place| place as u8))
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Text that compresses.
pub(crate) fn text(length: usize) -> Vec<u8> {
    (0..).flat_map(|line: u32| format!("line {} of a log that says little\n", line * 7).into_bytes()).take(length).collect()
}

/// Sorted links.
pub(crate) fn links(count: u8) -> Vec<BlobId> {
    (0..count).map(|place| BlobId([place; 32])).collect()
}

/// All single-bit flips of one bit a byte, a different one each time.
pub(crate) fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(|place| {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 1 << (place % 8);
        flipped
    })
}
