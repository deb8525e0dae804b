//! Providers whose put-if-absent does not tell the same bytes from others, and the layer that does.

use crate::error::{ErrorKind, Result, StorageError};
use crate::name::ObjectName;
use crate::store::{ObjectInfo, ObjectStore, PutOutcome, check_length};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;

/// What a provider's put-if-absent answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The object is there now, durably.
    Created,
    /// An object of that name is there, durably. It may be this very put's: a client that tries again after a lost answer
    /// finds what its own first try stored.
    AlreadyThere,
}

/// A store of objects that answers no more than "already there". The rest is as in [`ObjectStore`].
#[async_trait]
pub trait Provider: Send + Sync {
    /// Stores an object durably unless one of that name exists.
    async fn create(&self, name: &ObjectName, bytes: Bytes) -> Result<Creation>;

    /// As [`ObjectStore::get`].
    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes>;

    /// As [`ObjectStore::get_ranges`].
    async fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>>;

    /// As [`ObjectStore::length`].
    async fn length(&self, name: &ObjectName) -> Result<u64>;

    /// As [`ObjectStore::list`].
    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>>;

    /// As [`ObjectStore::delete`].
    async fn delete(&self, name: &ObjectName) -> Result<()>;
}

/// A provider with the rule of [`ObjectStore::put`]: what is already there is read back and compared.
#[derive(Debug, Clone)]
pub struct Compared<P> {
    provider: P,
}

impl<P: Provider> Compared<P> {
    /// Wraps a provider.
    pub fn new(provider: P) -> Self {
        Self { provider }
    }

    /// The provider.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    async fn compare(&self, name: &ObjectName, bytes: &Bytes) -> Result<PutOutcome> {
        let error = |kind| StorageError::new(kind, "write", name.as_str());
        // Removed since, not visible yet, or not readable: whether our bytes are there is not known.
        let unknown = |cause: StorageError| match cause.kind() {
            ErrorKind::NotFound | ErrorKind::Damaged => {
                error(ErrorKind::Unavailable).because("it was there and could not be read back")
            }
            _ => cause,
        };
        if self.provider.length(name).await.map_err(unknown)? != bytes.len() as u64 {
            return Err(error(ErrorKind::Exists));
        }
        if self.provider.get(name, None).await.map_err(unknown)? != *bytes {
            return Err(error(ErrorKind::Exists));
        }
        Ok(PutOutcome::Identical)
    }
}

#[async_trait]
impl<P: Provider> ObjectStore for Compared<P> {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome> {
        check_length("write", name, bytes.len() as u64)?;
        match self.provider.create(name, bytes.clone()).await? {
            Creation::Created => Ok(PutOutcome::Created),
            Creation::AlreadyThere => self.compare(name, &bytes).await,
        }
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        self.provider.get(name, range).await
    }

    async fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.provider.get_ranges(name, ranges).await
    }

    async fn length(&self, name: &ObjectName) -> Result<u64> {
        self.provider.length(name).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>> {
        self.provider.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.provider.delete(name).await
    }
}
