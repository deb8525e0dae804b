//! Wraps of the owner seed: under a passphrase, or to a recipient's public key; see `format::wrap`.
//!
//! ```text
//! passphrase: key = Argon2id(passphrase, salt), 32 bytes
//! recipient:  key = HPKE export(EXPORT_WRAP_KEY), info = INFO_RECIPIENT ‖ vault (16)
//! ```
//! AES-256-GCM-SIV does not commit to its key: what is unwrapped goes through `OwnerSeed::check` before it is used.

use crate::aead::{AeadKey, NONCE_BYTES};
use crate::error::{Result, SealError};
use crate::kem;
use crate::kit::{CODE_RECIPIENT, CODE_RECIPIENT_SECRET, print_code, read_code};
use crate::owner::OwnerSeed;
use crate::secret::{Secret, equal, opaque, random, random_public};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use format::wrap::{Argon2Parameters, Method, Wrap, check_argon2};
use format::{VaultId, limits};
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What a passphrase costs by default: 64 MiB, three passes, one lane (the second choice of RFC 9106, with one lane).
#[must_use]
pub fn default_argon2() -> Argon2Parameters {
    Argon2Parameters { memory_kib: 64 << 10, passes: 3, lanes: 1 }
}

/// Wraps the seed under a passphrase. Parameters outside the format's bounds are refused, as is an empty passphrase.
pub fn wrap_with_passphrase(
    seed: &OwnerSeed,
    vault: VaultId,
    passphrase: &SecretString,
    argon2: Argon2Parameters,
) -> Result<Wrap> {
    let salt = random_public();
    let key = passphrase_key(passphrase, &salt, &argon2)?;
    Ok(seal(seed, vault, Method::Passphrase { salt, argon2 }, &key))
}

/// Opens a wrap with a passphrase. `WrongKey` if it is not the one.
pub fn unwrap_with_passphrase(wrap: &Wrap, passphrase: &SecretString) -> Result<OwnerSeed> {
    let Method::Passphrase { salt, argon2 } = &wrap.method else {
        return Err(SealError::Invalid("this wrap is for a recipient, not for a passphrase"));
    };
    let key = passphrase_key(passphrase, salt, argon2)?;
    open(wrap, &key).ok_or(SealError::WrongKey("the passphrase does not open this vault"))
}

/// Wraps the seed to a recipient's public key.
pub fn wrap_to_recipient(seed: &OwnerSeed, vault: VaultId, public: &[u8]) -> Result<Wrap> {
    let (encapsulation, key) = kem::encapsulate(public, &recipient_info(vault), limits::EXPORT_WRAP_KEY)?;
    Ok(seal(seed, vault, Method::Recipient { public: public.to_vec(), encapsulation }, &key))
}

/// Opens a wrap as its recipient. `WrongKey` if it was made for another.
pub fn unwrap_as_recipient(wrap: &Wrap, secret: &RecipientSecret) -> Result<OwnerSeed> {
    let Method::Recipient { public, encapsulation } = &wrap.method else {
        return Err(SealError::Invalid("this wrap is for a passphrase, not for a recipient"));
    };
    if !equal(public, &secret.public()) {
        return Err(SealError::WrongKey("this wrap is for another recipient"));
    }
    let key = kem::decapsulate(&secret.0, encapsulation, &recipient_info(wrap.vault), limits::EXPORT_WRAP_KEY)?;
    open(wrap, &key).ok_or(SealError::WrongKey("the recipient's key does not open this wrap"))
}

/// A new passphrase of 96 bits: six words that can be spoken, each of 16 bits (the proquints of Wilkerson, 2009).
#[must_use]
pub fn generate_passphrase() -> SecretString {
    const CONSONANTS: [u8; 16] = *b"bdfghjklmnprstvz";
    const VOWELS: [u8; 4] = *b"aiou";
    let bits = random::<12>();
    let mut text = String::with_capacity(6 * 6);
    for pair in bits.chunks_exact(2) {
        let bits = usize::from(pair[0]) << 8 | usize::from(pair[1]);
        if !text.is_empty() {
            text.push('-');
        }
        text.push(char::from(CONSONANTS[bits >> 12]));
        text.push(char::from(VOWELS[bits >> 10 & 3]));
        text.push(char::from(CONSONANTS[bits >> 6 & 15]));
        text.push(char::from(VOWELS[bits >> 4 & 3]));
        text.push(char::from(CONSONANTS[bits & 15]));
    }
    SecretString::from(text)
}

/// The secret of a recipient of wraps.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecipientSecret([u8; 32]);

opaque!(RecipientSecret);

impl RecipientSecret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(*kem::generate())
    }

    /// Its X-Wing public key.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        kem::public(&self.0)
    }

    /// The secret as text with check digits.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        print_code(CODE_RECIPIENT_SECRET, &self.0)
    }

    /// Reads the text again, in any case and spacing.
    pub fn from_text(text: &str) -> Result<Self> {
        let bytes = read_code("recipient's secret", CODE_RECIPIENT_SECRET, text, 32)?;
        Ok(Self(*bytes.first_chunk().expect("read_code answers as many bytes as asked")))
    }
}

/// A recipient's public key as text with check digits.
#[must_use]
pub fn print_recipient(public: &[u8]) -> String {
    print_code(CODE_RECIPIENT, public).expose_secret().to_owned()
}

/// Reads a recipient's public key from text.
pub fn read_recipient(text: &str) -> Result<Vec<u8>> {
    Ok(read_code("recipient", CODE_RECIPIENT, text, limits::KEM_PUBLIC_BYTES)?.to_vec())
}

fn recipient_info(vault: VaultId) -> Vec<u8> {
    [limits::INFO_RECIPIENT, vault.as_bytes()].concat()
}

fn passphrase_key(passphrase: &SecretString, salt: &[u8; 16], parameters: &Argon2Parameters) -> Result<Secret> {
    check_argon2(parameters).map_err(|_| SealError::Invalid("the Argon2id parameters of a wrap are out of bounds"))?;
    let passphrase = passphrase.expose_secret().as_bytes();
    if passphrase.is_empty() {
        return Err(SealError::Invalid("the passphrase is empty"));
    }
    let parameters = Params::new(parameters.memory_kib, parameters.passes, parameters.lanes, Some(32))
        .map_err(|_| SealError::Invalid("the Argon2id parameters of a wrap are out of bounds"))?;
    let no_memory = SealError::Internal("there is not enough memory for Argon2id");
    // our own memory, because the library does not wipe what it allocates itself
    let mut memory: Zeroizing<Vec<Block>> = Zeroizing::default();
    memory.try_reserve_exact(parameters.block_count()).map_err(|_| no_memory.clone())?;
    memory.resize(parameters.block_count(), Block::new());
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into_with_memory(passphrase, salt, key.as_mut_slice(), memory.as_mut_slice())
        .map_err(|_| no_memory)?;
    Ok(key)
}

fn seal(seed: &OwnerSeed, vault: VaultId, method: Method, key: &Secret) -> Wrap {
    let sealed = AeadKey::new(key).seal_copy(&Wrap::associated_data(vault, &method), seed.as_bytes());
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().expect("what is sealed starts with its nonce");
    Wrap { vault, method, nonce: *nonce, sealed: sealed.try_into().expect("a seed and its tag have 48 bytes") }
}

fn open(wrap: &Wrap, key: &Secret) -> Option<OwnerSeed> {
    let mut buffer = Zeroizing::new([0; NONCE_BYTES + 48]);
    buffer[..NONCE_BYTES].copy_from_slice(&wrap.nonce);
    buffer[NONCE_BYTES..].copy_from_slice(&wrap.sealed);
    let associated = Wrap::associated_data(wrap.vault, &wrap.method);
    let seed = AeadKey::new(key).open(&associated, buffer.as_mut_slice())?;
    Some(OwnerSeed::from_bytes(*seed.first_chunk().expect("what remains of 48 bytes without a tag are 32")))
}
