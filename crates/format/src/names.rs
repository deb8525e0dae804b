//! Names of objects in storage.
//!
//! ```text
//! descriptor/<version, 16 digits>.a  .b      the vault's descriptor, two copies
//! enrolment/<domain>.a  .b                   a domain made where its machine is, two copies
//! wrap/passphrase/<version, 16 digits>       the passphrase wrap, only where the owner asked for it
//! <domain>/authority/<incarnation, 16 digits>
//! <domain>/journal/<first 13 digits>/<number, 16 digits>   records, checkpoints, tombstones, deletion lists, openings
//! <domain>/key/<key id>.a  .b                key objects, two copies
//! <domain>/pack/<first two digits>/<name>    packs
//! ```
//! Digits are lower-case hexadecimal.

use crate::codec::{FormatError, Result};
use crate::id::{DomainId, Incarnation, JournalNumber, KeyId, PackName};

/// The copies that descriptors and key objects are kept in.
pub const COPIES: [char; 2] = ['a', 'b'];
/// Prefix of the vault's descriptors.
pub const DESCRIPTORS: &str = "descriptor/";
/// Prefix of the enrolments.
pub const ENROLMENTS: &str = "enrolment/";
/// Prefix of the passphrase wraps; the newest that can be read is the one that counts.
pub const PASSPHRASE_WRAPS: &str = "wrap/passphrase/";

/// Name of one copy of a version of the descriptor.
#[must_use]
pub fn descriptor(version: u64, copy: char) -> String {
    format!("{DESCRIPTORS}{version:016x}.{copy}")
}

/// Name of one copy of a domain's enrolment.
#[must_use]
pub fn enrolment(domain: DomainId, copy: char) -> String {
    format!("{ENROLMENTS}{domain}.{copy}")
}

/// Name of a version of the passphrase wrap.
#[must_use]
pub fn passphrase_wrap(version: u64) -> String {
    format!("{PASSPHRASE_WRAPS}{version:016x}")
}

/// Prefix of a domain's claims.
#[must_use]
pub fn claims(domain: DomainId) -> String {
    format!("{domain}/authority/")
}

/// Name of an incarnation's claim.
#[must_use]
pub fn claim(domain: DomainId, incarnation: Incarnation) -> String {
    format!("{domain}/authority/{:016x}", incarnation.0)
}

/// Prefix of a domain's journal.
#[must_use]
pub fn journal_entries(domain: DomainId) -> String {
    format!("{domain}/journal/")
}

/// Name of a journal entry.
#[must_use]
pub fn journal(domain: DomainId, number: JournalNumber) -> String {
    format!("{domain}/journal/{:013x}/{:016x}", number.0 >> 12, number.0)
}

/// Prefix of a domain's key objects.
#[must_use]
pub fn keys(domain: DomainId) -> String {
    format!("{domain}/key/")
}

/// Name of one copy of a key object.
#[must_use]
pub fn key(domain: DomainId, key: KeyId, copy: char) -> String {
    format!("{domain}/key/{key}.{copy}")
}

/// Prefix of a domain's packs.
#[must_use]
pub fn packs(domain: DomainId) -> String {
    format!("{domain}/pack/")
}

/// Name of a pack.
#[must_use]
pub fn pack(domain: DomainId, pack: PackName) -> String {
    format!("{domain}/pack/{:02x}/{pack}", pack.0[0])
}

/// The number at the end of a claim's or journal entry's name.
pub fn parse_number(name: &str) -> Result<u64> {
    let digits = name.rsplit('/').next().unwrap_or_default();
    if digits.len() != 16 || !digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(FormatError::Invalid("an object's name does not end in a number of 16 digits"));
    }
    u64::from_str_radix(digits, 16).map_err(|_| FormatError::Invalid("an object's name does not end in a number"))
}

/// The version in a descriptor's name.
pub fn parse_descriptor(name: &str) -> Result<u64> {
    parse_number(name.strip_suffix(".a").or(name.strip_suffix(".b")).unwrap_or(name))
}

/// The domain that an enrolment's name names.
pub fn parse_enrolment(name: &str) -> Result<DomainId> {
    let last = name.rsplit('/').next().unwrap_or_default();
    last.strip_suffix(".a").or(last.strip_suffix(".b")).unwrap_or(last).parse()
}

/// The pack that an object's name names.
pub fn parse_pack(name: &str) -> Result<PackName> {
    name.rsplit('/').next().unwrap_or_default().parse()
}

/// The key that a key object's name names.
pub fn parse_key(name: &str) -> Result<KeyId> {
    let last = name.rsplit('/').next().unwrap_or_default();
    last.strip_suffix(".a").or(last.strip_suffix(".b")).unwrap_or(last).parse()
}
