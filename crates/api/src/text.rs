//! Ids and names as text, and bytes as base64, inside JSON.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt::Display;
use std::str::FromStr;

/// An id or a name as its text.
pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Back again.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// One that may be absent.
pub(crate) mod optional {
    use super::{D, Deserialize, Display, FromStr, S};

    pub(crate) fn serialize<T: Display, Z: S>(value: &Option<T>, serializer: Z) -> Result<Z::Ok, Z::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, Z>(deserializer: Z) -> Result<Option<T>, Z::Error>
    where
        T: FromStr<Err: Display>,
        Z: D<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse()).transpose().map_err(serde::de::Error::custom)
    }
}

/// Many of them.
pub(crate) mod list {
    use super::{D, Deserialize, Display, FromStr, S};

    pub(crate) fn serialize<T: Display, Z: S>(values: &[T], serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, T, Z>(deserializer: Z) -> Result<Vec<T>, Z::Error>
    where
        T: FromStr<Err: Display>,
        Z: D<'de>,
    {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}

/// Bytes.
pub(crate) mod base64 {
    use super::{D, Deserialize, S};
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;

    pub(crate) fn serialize<Z: S>(bytes: &Bytes, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, Z: D<'de>>(deserializer: Z) -> Result<Bytes, Z::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
    }
}

use Deserializer as D;
use Serializer as S;
