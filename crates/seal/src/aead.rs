//! AES-256-GCM-SIV (RFC 8452) with random nonces: one repeated nonce, as after a machine is reverted to a snapshot,
//! shows at most that two plaintexts are equal.

use crate::secret::random_public;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

/// A key. The library wipes its copy when it frees it.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).expect("a key of 32 bytes is a key of AES-256-GCM-SIV");
        Self(LessSafeKey::new(key))
    }

    /// Seals in place. `buffer` has room for the nonce in front of the plaintext; nonce and tag are added.
    pub(crate) fn seal(&self, associated: &[u8], buffer: &mut Vec<u8>) {
        let nonce: [u8; NONCE_BYTES] = random_public();
        self.seal_under(nonce, associated, buffer);
    }

    fn seal_under(&self, nonce: [u8; NONCE_BYTES], associated: &[u8], buffer: &mut Vec<u8>) {
        let (front, plaintext) = buffer.split_at_mut(NONCE_BYTES);
        front.copy_from_slice(&nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), plaintext)
            .expect("AES-GCM-SIV seals anything below 64 GiB");
        buffer.extend_from_slice(tag.as_ref());
    }

    /// Seals a copy: nonce ‖ ciphertext ‖ tag.
    pub(crate) fn seal_copy(&self, associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
        buffer.extend_from_slice(&[0; NONCE_BYTES]);
        buffer.extend_from_slice(plaintext);
        self.seal(associated, &mut buffer);
        buffer
    }

    /// Opens nonce ‖ ciphertext ‖ tag in place and answers where the plaintext stands; `None` if it is not authentic.
    pub(crate) fn open<'a>(&self, associated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (nonce, ciphertext) = sealed.split_first_chunk_mut::<NONCE_BYTES>()?;
        self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(associated), ciphertext).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_are_nonce_ciphertext_and_tag_of_rfc_8452() {
        // appendix C.2: one byte of associated data, eight of plaintext
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; 12];
        nonce[0] = 3;
        let mut buffer = [&[0; 12][..], &[2, 0, 0, 0, 0, 0, 0, 0]].concat();
        AeadKey::new(&key).seal_under(nonce, &[1], &mut buffer);
        let result = [
            0x1d, 0xe2, 0x29, 0x67, 0x23, 0x7a, 0x81, 0x32, 0x91, 0x21, 0x3f, 0x26, 0x7e, 0x3b, 0x45, 0x2f, 0x02, 0xd0, 0x1a,
            0xe3, 0x3e, 0x4e, 0xc8, 0x54,
        ];
        assert_eq!(buffer, [&nonce[..], &result].concat());
        assert_eq!(AeadKey::new(&key).open(&[1], &mut buffer).unwrap(), [2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn bytes_too_short_to_be_sealed_are_refused() {
        for length in 0..NONCE_BYTES + TAG_BYTES {
            assert!(AeadKey::new(&[0; 32]).open(&[], &mut vec![0; length]).is_none());
        }
    }
}
