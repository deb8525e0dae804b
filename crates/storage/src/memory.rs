//! Objects in memory: for tests and for vaults that need not outlive the process.

use crate::error::{ErrorKind, Result, StorageError};
use crate::name::ObjectName;
use crate::store::{ObjectInfo, ObjectStore, PutOutcome, check_length, check_range};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store whose objects live as long as it does. Every method takes effect at once, without waiting.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    objects: BTreeMap<ObjectName, Bytes>,
    room_bytes: Option<u64>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the bytes of all objects together; `None` lifts the limit. What is there stays.
    pub fn set_room(&self, room_bytes: Option<u64>) {
        self.state().room_bytes = room_bytes;
    }

    /// A store of its own with the objects of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self { state: Mutex::new(self.state().clone()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one call on the map, so a panic cannot have left half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&self, doing: &'static str, name: &ObjectName) -> Result<&Bytes> {
        self.objects.get(name).ok_or_else(|| StorageError::new(ErrorKind::NotFound, doing, name.as_str()))
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.room_bytes.is_none_or(|room| {
            let used: u64 = self.objects.values().map(|object| object.len() as u64).sum();
            used.saturating_add(bytes) <= room
        })
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome> {
        check_length("write", name, bytes.len() as u64)?;
        let mut state = self.state();
        if let Some(there) = state.objects.get(name) {
            if *there == bytes {
                return Ok(PutOutcome::Identical);
            }
            return Err(StorageError::new(ErrorKind::Exists, "write", name.as_str()));
        }
        if !state.has_room(bytes.len() as u64) {
            return Err(StorageError::new(ErrorKind::Full, "write", name.as_str()));
        }
        state.objects.insert(name.clone(), bytes);
        Ok(PutOutcome::Created)
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        let state = self.state();
        let object = state.find("read", name)?;
        let Some(range) = range else { return Ok(object.clone()) };
        check_range(name, &range, object.len() as u64)?;
        Ok(object.slice(range.start as usize..range.end as usize))
    }

    async fn length(&self, name: &ObjectName) -> Result<u64> {
        Ok(self.state().find("read", name)?.len() as u64)
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>> {
        let start = match after.map(ObjectName::as_str) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let state = self.state();
        let found = state.objects.range::<str, _>((start, Bound::Unbounded));
        let matching = found.take_while(|(name, _)| name.as_str().starts_with(prefix)).take(limit);
        Ok(matching.map(|(name, object)| ObjectInfo { name: name.clone(), length: object.len() as u64 }).collect())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.state().objects.remove(name);
        Ok(())
    }
}
