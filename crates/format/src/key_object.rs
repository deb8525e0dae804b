//! Key objects: from which the holder of a domain's secret derives a session's data key.
//!
//! ```text
//! magic (8) ‖ domain (16) ‖ sealing version (1) ‖ X-Wing encapsulation (1120)
//! ```
//! Named by the hash of their bytes, kept in two copies, durable before the session's first pack is registered.

use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::id::{DomainId, KeyId};
use crate::limits;

/// A key object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyObject {
    /// The domain whose secret opens it.
    pub domain: DomainId,
    /// How blobs under this key are sealed.
    pub sealing: u8,
    /// X-Wing encapsulation to the domain's public key.
    pub encapsulation: Vec<u8>,
}

impl KeyObject {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_KEY).raw(self.domain.as_bytes()).u8(self.sealing).raw(&self.encapsulation);
        writer.finish()
    }

    /// Parses it; compare [`KeyObject::id`] with the name that it was found under.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        within("key object", bytes.len(), limits::KEY_OBJECT_BYTES_MAX)?;
        let mut reader = Reader::new("key object", bytes);
        reader.magic(limits::MAGIC_KEY)?;
        let domain = DomainId(reader.array()?);
        let sealing = reader.u8()?;
        if sealing != limits::SEALING_AES256_GCM_SIV {
            return Err(FormatError::Version { what: "sealing", found: sealing, known: limits::SEALING_AES256_GCM_SIV });
        }
        let encapsulation = reader.take(limits::KEM_ENCAPSULATION_BYTES)?.to_vec();
        reader.end()?;
        Ok(Self { domain, sealing, encapsulation })
    }

    /// The key's id: the hash of the key object's bytes.
    #[must_use]
    pub fn id(bytes: &[u8]) -> KeyId {
        KeyId(blake3::derive_key(limits::HASH_KEY_OBJECT, bytes))
    }
}
