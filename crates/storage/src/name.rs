//! Names of objects.

use crate::error::{ErrorKind, Result, StorageError};
use std::borrow::Borrow;
use std::fmt;

/// Most bytes of a name.
pub(crate) const NAME_BYTES_MAX: usize = 200;

/// Name of an object: components of `[a-z0-9._-]` joined by `/`, none of them starting with a full stop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.len() > NAME_BYTES_MAX || !name.split('/').all(|part| is_component(part.as_bytes())) {
            return Err(StorageError::new(ErrorKind::Invalid, "name", name));
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a name can have this part between its slashes.
pub(crate) fn is_component(part: &[u8]) -> bool {
    part.first().is_some_and(|first| *first != b'.')
        && part.iter().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

impl Borrow<str> for ObjectName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_components() {
        for good in ["a", "a/b", "pack/0f/00ff", "a.b", "-", "_", "a..b", &"x".repeat(200)] {
            assert_eq!(ObjectName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            ".tmp",
            "a/.b",
            "a/../b",
            "A",
            "a b",
            "a\\b",
            "a\0",
            "\u{e9}",
            &"x".repeat(201),
        ] {
            assert_eq!(ObjectName::new(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
    }
}
