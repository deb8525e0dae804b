//! The trait that every provider and wrapper implements.

use crate::error::{ErrorKind, Result, StorageError};
use crate::name::ObjectName;
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;

/// Most bytes of an object.
pub const OBJECT_BYTES_MAX: u64 = 4 << 30;

/// What a put found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object was not there; it is now.
    Created,
    /// An object with the same bytes was there (perhaps from an earlier try of the same put).
    Identical,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub name: ObjectName,
    /// Its length in bytes.
    pub length: u64,
}

/// A store of immutable objects.
///
/// A caller never uses one name as the directory of another (`a` and `a/b`): a store may keep both or refuse the second
/// with `Invalid`. A call whose future is dropped may still take effect.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Stores an object durably unless one of that name exists. `Exists` if one with other bytes does. After any other
    /// error the object may or may not be there, whole, and may yet appear.
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome>;

    /// The bytes of an object, or of a range that lies inside it (`Invalid` otherwise; an empty one is fine). `Damaged` if the
    /// medium cannot read some of them.
    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes>;

    /// Several ranges of one object, in the order asked for. One outside the object fails all.
    async fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            parts.push(self.get(name, Some(range.clone())).await?);
        }
        Ok(parts)
    }

    /// Length of an object in bytes.
    async fn length(&self, name: &ObjectName) -> Result<u64>;

    /// Objects whose names start with `prefix` and sort behind `after`, sorted by the bytes of their names, at most `limit`.
    /// What a finished put stored is listed, what a finished delete removed is not.
    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>>;

    /// Removes an object, durably. One that is not there is no error. After an error the object may or may not be gone, and
    /// may yet vanish.
    async fn delete(&self, name: &ObjectName) -> Result<()>;
}

/// Refuses what no store shall hold.
pub(crate) fn check_length(doing: &'static str, name: &ObjectName, length: u64) -> Result<()> {
    if length > OBJECT_BYTES_MAX {
        let reason = format!("{length} bytes are more than the {OBJECT_BYTES_MAX} that an object may have");
        return Err(StorageError::new(ErrorKind::Invalid, doing, name.as_str()).because(reason));
    }
    Ok(())
}

/// Refuses a range that does not lie inside an object.
pub(crate) fn check_range(name: &ObjectName, range: &Range<u64>, length: u64) -> Result<()> {
    if range.start > range.end || range.end > length {
        let reason = format!("bytes {}..{} lie outside its {length} bytes", range.start, range.end);
        return Err(StorageError::new(ErrorKind::Invalid, "read", name.as_str()).because(reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_must_lie_inside_the_object() {
        let name = ObjectName::new("a").unwrap();
        for good in [0..0, 0..5, 5..5, 2..3] {
            assert!(check_range(&name, &good, 5).is_ok(), "{good:?}");
        }
        #[allow(clippy::reversed_empty_ranges)]
        for bad in [0..6, 6..6, 3..2, u64::MAX..u64::MAX, 0..u64::MAX] {
            assert_eq!(check_range(&name, &bad, 5).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn objects_have_at_most_4_gib() {
        let name = ObjectName::new("a").unwrap();
        assert!(check_length("write", &name, 4 << 30).is_ok());
        assert_eq!(check_length("write", &name, (4 << 30) + 1).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
