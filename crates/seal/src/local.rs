//! The machine key: under it a write-only agent keeps its local cache of the last tree. It never leaves the machine.

use crate::aead::AeadKey;
use crate::error::{Result, SealError};
use crate::secret::{Secret, opaque, random};
use format::limits;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A key of this machine.
pub struct LocalKey {
    bytes: Secret,
    key: AeadKey,
}

opaque!(LocalKey);
impl ZeroizeOnDrop for LocalKey {}

impl LocalKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_secret(random())
    }

    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::from_secret(Zeroizing::new(bytes))
    }

    fn from_secret(bytes: Secret) -> Self {
        let key = AeadKey::new(&bytes);
        Self { bytes, key }
    }

    /// The bytes, for the file that holds them.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.bytes.clone()
    }

    /// Seals: nonce ‖ ciphertext ‖ tag. `associated` says what it is, and must be given again to open it.
    #[must_use]
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        self.key.seal_copy(&[limits::AAD_LOCAL, associated].concat(), plaintext)
    }

    /// Opens what [`LocalKey::seal`] made.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = sealed.to_vec();
        let opened = self.key.open(&[limits::AAD_LOCAL, associated].concat(), &mut buffer);
        Ok(opened.ok_or(SealError::DoesNotOpen("the local cache"))?.to_vec())
    }
}
