//! Wraps of the owner seed: under a passphrase, or to a recipient's public key.
//!
//! ```text
//! magic (8) ‖ vault (16) ‖ method (1) ‖ method's fields ‖ nonce (12) ‖ sealed seed (32 + 16) ‖ checksum (32)
//! method 1, passphrase: salt (16) ‖ memory KiB (u32) ‖ passes (u32) ‖ lanes (u32)      Argon2id version 0x13
//! method 2, recipient:  X-Wing public key (1216) ‖ X-Wing encapsulation (1120)
//! ```
//! All bytes before the nonce are associated data. A wrap commits to its seed: the owner's public key that follows from
//! it must be the descriptor's.

use crate::codec::{FormatError, Reader, Result, Writer, verified};
use crate::id::VaultId;
use crate::limits;

/// Parameters of Argon2id (RFC 9106), held between a floor and a ceiling when read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Parameters {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// How the seed is wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Under a key that Argon2id makes from a passphrase.
    Passphrase {
        /// Random salt.
        salt: [u8; 16],
        /// Cost.
        argon2: Argon2Parameters,
    },
    /// To the holder of a key pair.
    Recipient {
        /// The recipient's X-Wing public key.
        public: Vec<u8>,
        /// X-Wing encapsulation to it.
        encapsulation: Vec<u8>,
    },
}

/// A wrap of the owner seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// The vault whose seed it is.
    pub vault: VaultId,
    /// How it is wrapped.
    pub method: Method,
    /// Nonce.
    pub nonce: [u8; 12],
    /// The sealed seed with its tag.
    pub sealed: [u8; 48],
}

impl Wrap {
    /// Associated data of the sealed seed: everything before the nonce.
    #[must_use]
    pub fn associated_data(vault: VaultId, method: &Method) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(limits::AAD_WRAP);
        write_head(&mut writer, vault, method);
        writer.finish()
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        write_head(&mut writer, self.vault, &self.method);
        writer.raw(&self.nonce).raw(&self.sealed);
        writer.finish_with_checksum()
    }

    /// Parses it and holds the Argon2id parameters to their floor and ceiling.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("wrap", verified("wrap", bytes, limits::WRAP_BYTES_MAX)?);
        reader.magic(limits::MAGIC_WRAP)?;
        let vault = VaultId(reader.array()?);
        let method = match reader.u8()? {
            1 => {
                let salt = reader.array()?;
                let argon2 = Argon2Parameters { memory_kib: reader.u32()?, passes: reader.u32()?, lanes: reader.u32()? };
                check_argon2(&argon2)?;
                Method::Passphrase { salt, argon2 }
            }
            2 => Method::Recipient {
                public: reader.take(limits::KEM_PUBLIC_BYTES)?.to_vec(),
                encapsulation: reader.take(limits::KEM_ENCAPSULATION_BYTES)?.to_vec(),
            },
            _ => return Err(FormatError::Invalid("a wrap has an unknown method")),
        };
        let wrap = Self { vault, method, nonce: reader.array()?, sealed: reader.array()? };
        reader.end()?;
        Ok(wrap)
    }
}

fn write_head(writer: &mut Writer, vault: VaultId, method: &Method) {
    writer.raw(&limits::MAGIC_WRAP).raw(vault.as_bytes());
    match method {
        Method::Passphrase { salt, argon2 } => {
            writer.u8(1).raw(salt).u32(argon2.memory_kib).u32(argon2.passes).u32(argon2.lanes);
        }
        Method::Recipient { public, encapsulation } => {
            writer.u8(2).raw(public).raw(encapsulation);
        }
    }
}

/// Holds the parameters to their floor and ceiling.
pub fn check_argon2(argon2: &Argon2Parameters) -> Result<()> {
    let within = (limits::ARGON2_MEMORY_KIB_MIN..=limits::ARGON2_MEMORY_KIB_MAX).contains(&argon2.memory_kib)
        && (limits::ARGON2_PASSES_MIN..=limits::ARGON2_PASSES_MAX).contains(&argon2.passes)
        && (1..=limits::ARGON2_LANES_MAX).contains(&argon2.lanes);
    if within { Ok(()) } else { Err(FormatError::Invalid("the Argon2id parameters of a wrap are out of bounds")) }
}
