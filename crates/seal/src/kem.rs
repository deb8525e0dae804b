//! X-Wing (X25519 with ML-KEM-768, draft-connolly-cfrg-xwing-kem) in HPKE's base mode (RFC 9180) with HKDF-SHA256, used
//! for exported secrets only: nothing is encrypted by HPKE itself, so repeated randomness repeats a key and does nothing
//! worse.

use crate::error::{Result, SealError};
use crate::secret::{Secret, random};
use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

type PrivateKey = <XWing as Kem>::PrivateKey;
type PublicKey = <XWing as Kem>::PublicKey;
type Encapsulation = <XWing as Kem>::EncappedKey;

/// A new secret key.
pub(crate) fn generate() -> Secret {
    random()
}

/// The public key of a secret key.
pub(crate) fn public(secret: &[u8; 32]) -> Vec<u8> {
    XWing::sk_to_pk(&private_key(secret)).to_bytes().to_vec()
}

/// A fresh key to the holder of `public`: the encapsulation that carries it, and the key.
pub(crate) fn encapsulate(public: &[u8], info: &[u8], export: &[u8]) -> Result<(Vec<u8>, Secret)> {
    let public = PublicKey::from_bytes(public).map_err(|_| SealError::Invalid("this is no X-Wing public key"))?;
    let (encapsulation, context) = hpke::setup_sender::<ExportOnlyAead, HkdfSha256, XWing>(&OpModeS::Base, &public, info)
        .map_err(|_| SealError::Internal("an X-Wing encapsulation failed"))?;
    let mut key = Zeroizing::new([0; 32]);
    context.export(export, key.as_mut_slice()).map_err(|_| SealError::Internal("an HPKE export failed"))?;
    Ok((encapsulation.to_bytes().to_vec(), key))
}

/// The key that an encapsulation carries. X-Wing rejects implicitly: from a wrong secret or bytes follows another key.
pub(crate) fn decapsulate(secret: &[u8; 32], encapsulation: &[u8], info: &[u8], export: &[u8]) -> Result<Secret> {
    let encapsulation =
        Encapsulation::from_bytes(encapsulation).map_err(|_| SealError::Invalid("this is no X-Wing encapsulation"))?;
    let context =
        hpke::setup_receiver::<ExportOnlyAead, HkdfSha256, XWing>(&OpModeR::Base, &private_key(secret), &encapsulation, info)
            .map_err(|_| SealError::Internal("an X-Wing decapsulation failed"))?;
    let mut key = Zeroizing::new([0; 32]);
    context.export(export, key.as_mut_slice()).map_err(|_| SealError::Internal("an HPKE export failed"))?;
    Ok(key)
}

fn private_key(secret: &[u8; 32]) -> PrivateKey {
    PrivateKey::from_bytes(secret).expect("an X-Wing secret key is any 32 bytes")
}
