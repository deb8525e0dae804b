//! Reading and writing of the primitive fields that all structures are made of.
//!
//! Integers are little-endian of fixed width, or LEB128 variable-length (`varint`, at most ten bytes, shortest form
//! only). A byte string is a varint length and the bytes. Every length and count is compared with a limit before
//! anything is allocated.

use crate::limits;

/// What is wrong with bytes that were read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end inside the named field.
    #[error("{0} is cut short")]
    Truncated(&'static str),
    /// Bytes are left behind the last field.
    #[error("{0} has {1} bytes too many")]
    Trailing(&'static str, usize),
    /// The object does not start (or end) with its magic number.
    #[error("{0} does not start with its magic number")]
    Magic(&'static str),
    /// A version newer than this program.
    #[error("{what} has version {found}, this program reads up to {known}")]
    Version {
        /// The structure.
        what: &'static str,
        /// The version that was found.
        found: u8,
        /// The highest known version.
        known: u8,
    },
    /// A length or count is over its limit.
    #[error("{what} is {found}, at most {limit} is allowed")]
    Limit {
        /// The length or count.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A field has a value that it cannot have.
    #[error("{0}")]
    Invalid(&'static str),
    /// A checksum or hash does not match.
    #[error("checksum of {0} does not match")]
    Checksum(&'static str),
    /// A signature does not verify.
    #[error("signature of {0} does not verify")]
    Signature(&'static str),
    /// Not readable without a feature that this program does not have.
    #[error("the feature '{0}' is required, which this program does not know")]
    Feature(String),
}

/// Result of parsing.
pub type Result<T, E = FormatError> = std::result::Result<T, E>;

/// Fails if `found` is over `limit`.
pub fn within(what: &'static str, found: usize, limit: usize) -> Result<()> {
    if found > limit {
        return Err(FormatError::Limit { what, found: found as u64, limit: limit as u64 });
    }
    Ok(())
}

/// Checksum of journal entries, claims, wraps and segment parts: BLAKE3 with a context of its own.
#[must_use]
pub fn checksum(bytes: &[u8]) -> [u8; 32] {
    blake3::derive_key(limits::HASH_CHECKSUM, bytes)
}

/// Cursor over bytes that are not trusted.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`; `what` names the structure in errors.
    #[must_use]
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.rest.len() {
            return Err(FormatError::Truncated(self.what));
        }
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take answers as many bytes as asked"))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian, two's complement.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A boolean: a byte of 0 or 1.
    pub fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FormatError::Invalid("a boolean is neither 0 nor 1")),
        }
    }

    /// LEB128, shortest form, at most ten bytes.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        if let Some((byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(FormatError::Invalid("a variable-length number is over 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(FormatError::Invalid("a variable-length number is not in shortest form"));
                }
                return Ok(value);
            }
        }
        Err(FormatError::Invalid("a variable-length number is over 64 bits"))
    }

    /// A varint that fits 32 bits.
    pub fn varint_u32(&mut self) -> Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| FormatError::Invalid("a number is over 32 bits"))
    }

    /// A signed varint (zigzag).
    pub fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A varint count of things that take at least `each` bytes apiece, bounded by `limit` and by what is left.
    pub fn count(&mut self, what: &'static str, limit: usize, each: usize) -> Result<usize> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        within(what, count, limit)?;
        if count.saturating_mul(each) > self.rest.len() {
            return Err(FormatError::Truncated(what));
        }
        Ok(count)
    }

    /// A byte string of at most `limit` bytes.
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8]> {
        let length = self.count(what, limit, 1)?;
        self.take(length)
    }

    /// A byte string that is UTF-8 text without control characters.
    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<&'a str> {
        let text = std::str::from_utf8(self.bytes(what, limit)?).map_err(|_| FormatError::Invalid("a text is not UTF-8"))?;
        if text.chars().any(char::is_control) {
            return Err(FormatError::Invalid("a text has control characters"));
        }
        Ok(text)
    }

    /// An optional value: a boolean, then the value if it is there.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    /// Checks the magic number.
    pub fn magic(&mut self, magic: [u8; 8]) -> Result<()> {
        let found: [u8; 8] = self.array()?;
        if found[..7] == magic[..7] && found[7] > magic[7] {
            return Err(FormatError::Version { what: self.what, found: found[7], known: magic[7] });
        }
        if found != magic {
            return Err(FormatError::Magic(self.what));
        }
        Ok(())
    }

    /// Fails if bytes are left.
    pub fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(FormatError::Trailing(self.what, self.rest.len())) }
    }
}

/// Takes a checksum of 32 bytes off the end of `bytes`, verifies it and answers what stands before it.
pub fn verified<'a>(what: &'static str, bytes: &'a [u8], limit: usize) -> Result<&'a [u8]> {
    within(what, bytes.len(), limit)?;
    let Some((body, sum)) = bytes.split_last_chunk::<32>() else {
        return Err(FormatError::Truncated(what));
    };
    if checksum(body) != *sum {
        return Err(FormatError::Checksum(what));
    }
    Ok(body)
}

/// Grows a byte string field by field.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// What was written, with a checksum of 32 bytes behind it: what [`verified`] takes.
    #[must_use]
    pub fn finish_with_checksum(mut self) -> Vec<u8> {
        let sum = checksum(&self.bytes);
        self.bytes.extend_from_slice(&sum);
        self.bytes
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes, little-endian, two's complement.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    /// LEB128.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// A signed varint (zigzag).
    pub fn zigzag(&mut self, value: i64) -> &mut Self {
        self.varint(((value << 1) ^ (value >> 63)) as u64)
    }

    /// A byte string with its length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.varint(bytes.len() as u64).raw(bytes)
    }

    /// An optional value: a boolean, then the value if it is there.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back_as_they_went_in(value: u64, signed: i64) {
            let mut writer = Writer::new();
            writer.varint(value).zigzag(signed).u64(value).i64(signed);
            let bytes = writer.finish();
            let mut reader = Reader::new("test", &bytes);
            prop_assert_eq!(reader.varint().unwrap(), value);
            prop_assert_eq!(reader.zigzag().unwrap(), signed);
            prop_assert_eq!(reader.u64().unwrap(), value);
            prop_assert_eq!(reader.i64().unwrap(), signed);
            reader.end().unwrap();
        }

        #[test]
        fn a_number_has_one_encoding_only(bytes in proptest::collection::vec(any::<u8>(), 1..12)) {
            let mut reader = Reader::new("test", &bytes);
            if let Ok(value) = reader.varint() {
                let mut writer = Writer::new();
                writer.varint(value);
                prop_assert_eq!(writer.finish(), &bytes[..bytes.len() - reader.remaining()]);
            }
        }
    }

    #[test]
    fn a_count_over_what_is_left_is_refused_before_anything_is_allocated() {
        let mut writer = Writer::new();
        writer.varint(1 << 40);
        let bytes = writer.finish();
        assert!(matches!(Reader::new("test", &bytes).count("things", usize::MAX, 8), Err(FormatError::Truncated("things"))));
    }
}
