//! Data keys: what seals the blobs of one session.

use crate::aead::{AeadKey, NONCE_BYTES, TAG_BYTES};
use crate::error::{Result, SealError};
use crate::secret::opaque;
use format::blob::{BlobKind, associated_data};
use format::codec::within;
use format::{BlobId, DomainId, KeyId, limits};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::ZeroizeOnDrop;

/// Most blobs that one key seals, so that random nonces of 96 bits stay rare to repeat (RFC 8452, section 9).
pub const BLOBS_PER_KEY_MAX: u64 = 1 << 32;

/// A session's data key. Clones are the same key and count together.
#[derive(Clone)]
pub struct DataKey(Arc<Shared>);

struct Shared {
    key: AeadKey,
    id: KeyId,
    domain: DomainId,
    sealing: u8,
    sealed: AtomicU64,
}

opaque!(DataKey);
// the library wipes the key when the last clone goes
impl ZeroizeOnDrop for DataKey {}

impl DataKey {
    pub(crate) fn new(key: &[u8; 32], id: KeyId, domain: DomainId, sealing: u8) -> Self {
        Self(Arc::new(Shared { key: AeadKey::new(key), id, domain, sealing, sealed: AtomicU64::new(0) }))
    }

    /// The key's id: the hash of its key object.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0.id
    }

    /// The domain whose blobs it seals.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        self.0.domain
    }

    /// Seals the inner bytes of a blob (see `format::blob`): nonce ‖ ciphertext ‖ tag. Reuses the vector where its capacity
    /// has room for nonce and tag.
    pub fn seal(&self, kind: BlobKind, id: BlobId, mut inner: Vec<u8>) -> Result<Vec<u8>> {
        inner.reserve_exact(NONCE_BYTES + TAG_BYTES);
        inner.splice(0..0, [0; NONCE_BYTES]);
        self.seal_in_place(kind, id, &mut inner)?;
        Ok(inner)
    }

    /// Seals a blob in place: `buffer` is room for the nonce, then the inner bytes.
    pub(crate) fn seal_in_place(&self, kind: BlobKind, id: BlobId, buffer: &mut Vec<u8>) -> Result<()> {
        within("sealed bytes of a blob", buffer.len() + TAG_BYTES, limits::BLOB_SEALED_MAX)?;
        self.count()?;
        self.0.key.seal(&self.associated(kind, id), buffer);
        Ok(())
    }

    /// Opens a sealed blob and answers its inner bytes.
    pub fn open(&self, kind: BlobKind, id: BlobId, mut sealed: Vec<u8>) -> Result<Vec<u8>> {
        let length = self.open_in_place(kind, id, &mut sealed)?.len();
        sealed.copy_within(NONCE_BYTES..NONCE_BYTES + length, 0);
        sealed.truncate(length);
        Ok(sealed)
    }

    /// Opens a sealed blob in place and answers its inner bytes where they stand.
    pub(crate) fn open_in_place<'a>(&self, kind: BlobKind, id: BlobId, sealed: &'a mut [u8]) -> Result<&'a mut [u8]> {
        within("sealed bytes of a blob", sealed.len(), limits::BLOB_SEALED_MAX)?;
        self.0.key.open(&self.associated(kind, id), sealed).ok_or(SealError::BlobDoesNotOpen(id, self.0.id))
    }

    /// Seals the metadata of a record under `RecordBody::associated_data`: nonce, and ciphertext with its tag.
    #[must_use]
    pub fn seal_metadata(&self, associated: &[u8], plaintext: &[u8]) -> ([u8; 12], Vec<u8>) {
        // not counted: a session makes one record and a few checkpoints
        let mut sealed = self.0.key.seal_copy(associated, plaintext);
        let ciphertext = sealed.split_off(NONCE_BYTES);
        (sealed.try_into().expect("what stands before the ciphertext is the nonce"), ciphertext)
    }

    /// Opens the metadata of a record.
    pub fn open_metadata(&self, associated: &[u8], nonce: [u8; 12], sealed: &[u8]) -> Result<Vec<u8>> {
        within("metadata of a record", sealed.len(), limits::RECORD_METADATA_BYTES_MAX)?;
        let mut buffer = [&nonce, sealed].concat();
        let plaintext = self.0.key.open(associated, &mut buffer).ok_or(SealError::DoesNotOpen("metadata of a record"))?;
        Ok(plaintext.to_vec())
    }

    fn associated(&self, kind: BlobKind, id: BlobId) -> Vec<u8> {
        associated_data(self.0.sealing, self.0.domain, kind, id, self.0.id)
    }

    fn count(&self) -> Result<()> {
        let count = |sealed: u64| (sealed < BLOBS_PER_KEY_MAX).then_some(sealed + 1);
        match self.0.sealed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
            Ok(_) => Ok(()),
            Err(_) => Err(SealError::KeyIsUsedUp(self.0.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn key(sealing: u8) -> DataKey {
        DataKey::new(&[1; 32], KeyId([2; 32]), DomainId([3; 16]), sealing)
    }

    #[test]
    fn a_key_that_is_used_up_seals_no_more() {
        let key = key(1);
        key.0.sealed.store(BLOBS_PER_KEY_MAX - 1, Ordering::Relaxed);
        let clone = key.clone();
        assert!(clone.seal(BlobKind::Data, BlobId([0; 32]), vec![]).is_ok());
        let refused = key.seal(BlobKind::Data, BlobId([0; 32]), vec![]).unwrap_err();
        assert_eq!((refused.clone(), refused.kind()), (SealError::KeyIsUsedUp(key.id()), Kind::Internal));
        assert_eq!(key.0.sealed.load(Ordering::Relaxed), BLOBS_PER_KEY_MAX);
    }

    #[test]
    fn a_blob_of_another_sealing_version_key_id_or_domain_is_refused() {
        let sealed = key(1).seal(BlobKind::Data, BlobId([0; 32]), b"inner".to_vec()).unwrap();
        let opened = |key: DataKey| key.open(BlobKind::Data, BlobId([0; 32]), sealed.clone());
        assert_eq!(opened(key(1)).unwrap(), b"inner");
        assert!(opened(key(2)).is_err());
        assert!(opened(DataKey::new(&[1; 32], KeyId([9; 32]), DomainId([3; 16]), 1)).is_err());
        assert!(opened(DataKey::new(&[1; 32], KeyId([2; 32]), DomainId([9; 16]), 1)).is_err());
        assert!(opened(DataKey::new(&[9; 32], KeyId([2; 32]), DomainId([3; 16]), 1)).is_err());
    }
}
