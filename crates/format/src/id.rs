//! Identifiers, each a type of its own.

use crate::codec::{FormatError, Result, within};
use crate::limits;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl Ord for $name {
            /// By bytes. The first ones, read as a number, tell nearly all ids apart.
            fn cmp(&self, other: &Self) -> Ordering {
                let first = |id: &Self| id.0.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
                first(self).cmp(&first(other)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Length in bytes.
            pub const BYTES: usize = $bytes;

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = FormatError;

            /// Parses lower-case hexadecimal digits, exactly as many as the id has.
            fn from_str(text: &str) -> Result<Self> {
                let digits = text.as_bytes();
                if digits.len() != 2 * $bytes {
                    return Err(FormatError::Invalid(concat!(stringify!($name), " has the wrong length")));
                }
                let mut bytes = [0; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    let digit = |c: u8| match c {
                        b'0'..=b'9' => Ok(c - b'0'),
                        b'a'..=b'f' => Ok(c - b'a' + 10),
                        _ => Err(FormatError::Invalid(concat!(stringify!($name), " has a character that is no digit"))),
                    };
                    *byte = digit(pair[0])? << 4 | digit(pair[1])?;
                }
                Ok(Self(bytes))
            }
        }
    };
}

byte_id!(/** A vault: random, for ever. */ VaultId, 16);
byte_id!(/** A domain of a vault: random, for ever. */ DomainId, 16);
byte_id!(/** A session of a writer: random, given by the authority. */ SessionId, 16);
byte_id!(/** A job: random, given by whoever begins it. */ JobId, 16);
byte_id!(/** A pack: random, given by the authority, never used again. */ PackName, 16);
byte_id!(/** What an authority writes into its claim, so that it knows its own again. */ ClaimNonce, 16);
byte_id!(/** A blob: keyed BLAKE3 over kind, links and plaintext. */ BlobId, 32);
byte_id!(/** A session's data key: the hash of its key object. */ KeyId, 32);
byte_id!(/** A recovery point: the hash of the signed body of its record. */ PointId, 32);
byte_id!(/** A pack's footer, and with its checksums the whole pack. */ FooterHash, 32);
byte_id!(/** Public key (Ed25519) with which an agent signs records. */ AgentKey, 32);
byte_id!(/** Public key (Ed25519) of the vault's owner; its hash is the fingerprint. */ OwnerKey, 32);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The next one. The last of all is its own next: what is put under its name again finds it taken.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(/** An incarnation of a domain's authority: from 1, one more with each rebuild. */ Incarnation);
number_id!(/** Place in the domain's journal: from 1, without gaps. */ JournalNumber);
number_id!(/** Place of a point in the chain of its item: from 1, without gaps. */ Sequence);

/// Name of an item: 1 to 128 bytes of `[a-z0-9._-]`, not starting with a full stop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemName(String);

impl ItemName {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self> {
        within("item name", name.len(), limits::ITEM_NAME_BYTES_MAX)?;
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
            return Err(FormatError::Invalid("an item name is 1 to 128 of a-z 0-9 . _ - and does not start with a full stop"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ItemName {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}
