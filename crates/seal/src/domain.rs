//! A domain's secret, and the part of it that a writer holds.
//!
//! ```text
//! wrapped secret = X-Wing encapsulation (1120) ‖ nonce (12) ‖ sealed( id key (32) ‖ X-Wing secret (32) ) with tag (16)
//!   its key      = HPKE export(EXPORT_WRAP_KEY), info = INFO_DOMAIN_SECRET ‖ domain (16)
//!   associated   = AAD_WRAP ‖ domain (16)
//! data key       = HPKE export(EXPORT_DATA_KEY), info = INFO_DATA_KEY ‖ sealing version (1) ‖ domain (16)
//! write-only key = magic (8) ‖ domain (16) ‖ id key (32) ‖ X-Wing public key (1216) ‖ checksum (32)
//! ```

use crate::aead::{AeadKey, NONCE_BYTES, TAG_BYTES};
use crate::data_key::DataKey;
use crate::error::{Result, SealError};
use crate::kem;
use crate::secret::{Secret, derive, equal, opaque, random};
use format::blob::{BlobKind, id_prefix};
use format::codec::verified;
use format::key_object::KeyObject;
use format::{BlobId, DomainId, Reader, Writer, limits};
use std::sync::Arc;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a wrapped domain secret.
const WRAPPED_BYTES: usize = limits::KEM_ENCAPSULATION_BYTES + NONCE_BYTES + 64 + TAG_BYTES;

/// All that opens a domain: its id key and its X-Wing secret. Destroying it erases the domain.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DomainSecret {
    id_key: [u8; 32],
    secret: [u8; 32],
}

opaque!(DomainSecret);

impl DomainSecret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self { id_key: *random(), secret: *kem::generate() }
    }

    /// Its bytes: they are all of it.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        bytes[..32].copy_from_slice(&self.id_key);
        bytes[32..].copy_from_slice(&self.secret);
        bytes
    }

    /// The secret with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut secret = Self { id_key: [0; 32], secret: [0; 32] };
        secret.id_key.copy_from_slice(&bytes[..32]);
        secret.secret.copy_from_slice(&bytes[32..]);
        secret
    }

    /// The domain's X-Wing public key: session keys are made to it.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        kem::public(&self.secret)
    }

    /// Wraps the secret to the owner's X-Wing public key.
    pub fn wrap_to_owner(&self, owner_public: &[u8], domain: DomainId) -> Result<Vec<u8>> {
        let (mut wrapped, key) = kem::encapsulate(owner_public, &wrap_info(domain), limits::EXPORT_WRAP_KEY)?;
        wrapped.extend(AeadKey::new(&key).seal_copy(&wrap_associated(domain), self.to_bytes().as_slice()));
        Ok(wrapped)
    }

    /// Opens what [`DomainSecret::wrap_to_owner`] made, and checks that it is the secret of `public`.
    pub(crate) fn unwrap(wrapped: &[u8], owner: &Secret, domain: DomainId, public: &[u8]) -> Result<Self> {
        if wrapped.len() != WRAPPED_BYTES {
            return Err(SealError::DoesNotOpen("a domain's wrapped secret"));
        }
        let (encapsulation, sealed) = wrapped.split_at(limits::KEM_ENCAPSULATION_BYTES);
        let key = kem::decapsulate(owner, encapsulation, &wrap_info(domain), limits::EXPORT_WRAP_KEY)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plaintext = AeadKey::new(&key)
            .open(&wrap_associated(domain), &mut sealed)
            .ok_or(SealError::WrongKey("this owner's key does not open the domain's secret"))?;
        let mut opened = Self { id_key: [0; 32], secret: [0; 32] };
        opened.id_key.copy_from_slice(&plaintext[..32]);
        opened.secret.copy_from_slice(&plaintext[32..]);
        if !equal(&opened.public(), public) {
            return Err(SealError::DoesNotOpen("a domain's wrapped secret"));
        }
        Ok(opened)
    }

    /// What a writer of the domain holds.
    #[must_use]
    pub fn writer(&self, domain: DomainId) -> DomainWriter {
        DomainWriter::new(domain, self.id_key, self.public())
    }

    /// The data key that a key object carries. Every key object yields a key; whether it is the right one shows when a blob
    /// opens. Compare its id with the name that the object was found under.
    pub fn data_key(&self, key_object: &[u8]) -> Result<DataKey> {
        let object = KeyObject::parse(key_object)?;
        let info = data_key_info(object.sealing, object.domain);
        let key = kem::decapsulate(&self.secret, &object.encapsulation, &info, limits::EXPORT_DATA_KEY)?;
        Ok(DataKey::new(&key, KeyObject::id(key_object), object.domain, object.sealing))
    }
}

/// What a writer of a domain holds: the id key and the public key. It adds blobs and opens none but those of its own
/// sessions. Clones share the same keys.
#[derive(Clone)]
pub struct DomainWriter(Arc<Keys>);

#[derive(ZeroizeOnDrop)]
struct Keys {
    #[zeroize(skip)]
    domain: DomainId,
    id_key: [u8; 32],
    link_group_key: [u8; 32],
    #[zeroize(skip)]
    public: Vec<u8>,
}

opaque!(DomainWriter);
// the keys are wiped when the last clone goes
impl ZeroizeOnDrop for DomainWriter {}

impl DomainWriter {
    /// A writer with these keys. A `public` that is no X-Wing public key is refused when a session key is made.
    #[must_use]
    pub fn new(domain: DomainId, id_key: [u8; 32], public: Vec<u8>) -> Self {
        let link_group_key = *derive(limits::CONTEXT_LINK_GROUP, &id_key);
        Self(Arc::new(Keys { domain, id_key, link_group_key, public }))
    }

    /// The bytes of the write-only key file. They are secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_WRITER).raw(self.0.domain.as_bytes()).raw(&self.0.id_key).raw(&self.0.public);
        Zeroizing::new(writer.finish_with_checksum())
    }

    /// Reads a write-only key file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("write-only key", verified("write-only key", bytes, limits::KEY_OBJECT_BYTES_MAX)?);
        reader.magic(limits::MAGIC_WRITER)?;
        let domain = DomainId(reader.array()?);
        let id_key = Zeroizing::new(reader.array()?);
        let public = reader.take(limits::KEM_PUBLIC_BYTES)?.to_vec();
        reader.end()?;
        Ok(Self::new(domain, *id_key, public))
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        self.0.domain
    }

    /// The domain's X-Wing public key.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.0.public
    }

    /// A new data key for a session, and the key object that carries it.
    pub fn new_session_key(&self) -> Result<(Vec<u8>, DataKey)> {
        let sealing = limits::SEALING_AES256_GCM_SIV;
        let info = data_key_info(sealing, self.0.domain);
        let (encapsulation, key) = kem::encapsulate(&self.0.public, &info, limits::EXPORT_DATA_KEY)?;
        let object = KeyObject { domain: self.0.domain, sealing, encapsulation }.encode();
        let key = DataKey::new(&key, KeyObject::id(&object), self.0.domain, sealing);
        Ok((object, key))
    }

    /// The id of a blob: keyed BLAKE3 over kind ‖ link count ‖ links ‖ plaintext.
    #[must_use]
    pub fn blob_id(&self, kind: BlobKind, links: &[BlobId], plaintext: &[u8]) -> BlobId {
        let prefix = id_prefix(kind, links);
        let mut hasher = blake3::Hasher::new_keyed(&self.0.id_key);
        // BLAKE3 is fast on whole, aligned groups of its 1 KiB chunks: the first group goes in with the prefix in front of it,
        // so that the rest is aligned again
        let mut group = [0; 16 << 10];
        if prefix.len() < group.len() {
            let (first, rest) = plaintext.split_at(plaintext.len().min(group.len() - prefix.len()));
            let whole = prefix.len() + first.len();
            group[..prefix.len()].copy_from_slice(&prefix);
            group[prefix.len()..whole].copy_from_slice(first);
            hasher.update(&group[..whole]).update(rest);
        } else {
            hasher.update(&prefix).update(plaintext);
        }
        BlobId(*hasher.finalize().as_bytes())
    }

    /// The key that content is cut with.
    #[must_use]
    pub fn chunking_key(&self) -> [u8; 32] {
        *derive(limits::CONTEXT_CHUNKING, &self.0.id_key)
    }

    /// The key that trees are cut into pages with.
    #[must_use]
    pub fn page_boundary_key(&self) -> [u8; 32] {
        *derive(limits::CONTEXT_PAGE_BOUNDARY, &self.0.id_key)
    }

    /// The name of a hard-link group: equal for names of the same inode, and says nothing about it.
    #[must_use]
    pub fn link_group(&self, file_system: u64, inode: u64) -> [u8; 16] {
        let mut message = [0; 16];
        message[..8].copy_from_slice(&file_system.to_le_bytes());
        message[8..].copy_from_slice(&inode.to_le_bytes());
        let hash = blake3::keyed_hash(&self.0.link_group_key, &message);
        *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

fn wrap_info(domain: DomainId) -> Vec<u8> {
    [limits::INFO_DOMAIN_SECRET, domain.as_bytes()].concat()
}

fn wrap_associated(domain: DomainId) -> Vec<u8> {
    [limits::AAD_WRAP, domain.as_bytes()].concat()
}

fn data_key_info(sealing: u8, domain: DomainId) -> Vec<u8> {
    [limits::INFO_DATA_KEY, &[sealing], domain.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_does_not_hold_the_secret() {
        let secret = DomainSecret::generate();
        let file = secret.writer(DomainId([1; 16])).to_bytes();
        assert!(file.windows(32).any(|bytes| bytes == secret.id_key));
        assert!(!file.windows(8).any(|bytes| secret.secret.windows(8).any(|part| part == bytes)));
    }
}
