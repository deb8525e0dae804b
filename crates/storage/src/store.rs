//! The trait that every provider and wrapper implements.

use crate::error::Result;
use crate::name::ObjectName;
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;

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
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Stores an object durably unless one of that name exists. `Exists` if one with other bytes does. After any other
    /// error the object may or may not be there, whole, and may yet appear.
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome>;

    /// The bytes of an object, or of a range that lies inside it.
    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes>;

    /// Several ranges of one object, in the order asked for.
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

    /// Removes an object, durably. One that is not there is no error.
    async fn delete(&self, name: &ObjectName) -> Result<()>;
}
