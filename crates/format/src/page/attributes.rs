//! Lists of extended attributes, in a leaf or as the content of a stream.
//!
//! ```text
//! count (varint) ‖ for each: name (byte string) ‖ value (byte string)
//! ```

use super::{Attribute, Attributes};
use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::limits;

impl Attributes {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::Inline(Vec::new())
    }

    /// Encodes a list: what stands in a leaf, or is the content of a stream where it is longer than
    /// [`limits::INLINE_ATTRIBUTES_MAX`].
    #[must_use]
    pub fn encode_list(list: &[Attribute]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.varint(list.len() as u64);
        for attribute in list {
            writer.bytes(&attribute.name).bytes(&attribute.value);
        }
        writer.finish()
    }

    /// Decodes the content of a stream: sorted by name, names unique.
    pub fn decode_list(bytes: &[u8]) -> Result<Vec<Attribute>> {
        within("extended attributes", bytes.len(), limits::ATTRIBUTES_BYTES_MAX)?;
        let mut reader = Reader::new("extended attributes", bytes);
        let list = read_list(&mut reader)?;
        reader.end()?;
        Ok(list)
    }

    /// Checks that a list can be kept: sorted by name, names unique, within the limits.
    pub fn check_list(list: &[Attribute]) -> Result<()> {
        within("extended attributes", list.len(), limits::ATTRIBUTES_MAX)?;
        let mut bytes = 0;
        for attribute in list {
            check_name(&attribute.name)?;
            bytes += 20 + attribute.name.len() + attribute.value.len();
        }
        within("extended attributes", bytes, limits::ATTRIBUTES_BYTES_MAX)?;
        check_order(list)
    }
}

/// Reads a list that something else follows.
pub(super) fn read_list(reader: &mut Reader<'_>) -> Result<Vec<Attribute>> {
    let count = reader.count("extended attributes", limits::ATTRIBUTES_MAX, 3)?;
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        let name = reader.bytes("name of an attribute", limits::ATTRIBUTE_NAME_BYTES_MAX)?.to_vec();
        check_name(&name)?;
        list.push(Attribute { name, value: reader.bytes("value of an attribute", limits::ATTRIBUTES_BYTES_MAX)?.to_vec() });
    }
    check_order(&list)?;
    Ok(list)
}

fn check_name(name: &[u8]) -> Result<()> {
    within("name of an attribute", name.len(), limits::ATTRIBUTE_NAME_BYTES_MAX)?;
    if name.is_empty() || name.contains(&0) {
        return Err(FormatError::Invalid("the name of an attribute is empty or has a zero byte"));
    }
    Ok(())
}

fn check_order(list: &[Attribute]) -> Result<()> {
    if list.windows(2).any(|pair| pair[0].name >= pair[1].name) {
        return Err(FormatError::Invalid("extended attributes are not sorted and unique"));
    }
    Ok(())
}
