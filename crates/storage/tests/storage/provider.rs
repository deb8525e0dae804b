//! The layer that compares what a provider says is already there.

use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use storage::{
    Compared, Creation, ErrorKind, MemoryStore, ObjectInfo, ObjectName, ObjectStore, Provider, PutOutcome, Result, StorageError,
};

/// A provider that answers what it is told to, over objects in memory.
struct Scripted {
    objects: MemoryStore,
    answer: Mutex<Option<Result<Creation>>>,
}

impl Scripted {
    fn answering(answer: Result<Creation>) -> Compared<Self> {
        Compared::new(Self { objects: MemoryStore::new(), answer: Mutex::new(Some(answer)) })
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn create(&self, _: &ObjectName, _: Bytes) -> Result<Creation> {
        self.answer.lock().unwrap().take().unwrap()
    }
    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        self.objects.get(name, range).await
    }
    async fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.objects.get_ranges(name, ranges).await
    }
    async fn length(&self, name: &ObjectName) -> Result<u64> {
        self.objects.length(name).await
    }
    async fn list(&self, prefix: &str, after: Option<&ObjectName>, limit: usize) -> Result<Vec<ObjectInfo>> {
        self.objects.list(prefix, after, limit).await
    }
    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.objects.delete(name).await
    }
}

fn object() -> ObjectName {
    ObjectName::new("some/object").unwrap()
}

#[tokio::test]
async fn already_there_with_the_same_bytes_is_identical() {
    let store = Scripted::answering(Ok(Creation::AlreadyThere));
    store.provider().objects.put(&object(), Bytes::from_static(b"mine")).await.unwrap();
    assert_eq!(store.put(&object(), Bytes::from_static(b"mine")).await.unwrap(), PutOutcome::Identical);
}

#[tokio::test]
async fn already_there_with_other_bytes_exists() {
    for theirs in [&b"hers"[..], b"", b"mine too"] {
        let store = Scripted::answering(Ok(Creation::AlreadyThere));
        store.provider().objects.put(&object(), Bytes::copy_from_slice(theirs)).await.unwrap();
        assert_eq!(store.put(&object(), Bytes::from_static(b"mine")).await.unwrap_err().kind(), ErrorKind::Exists);
    }
}

#[tokio::test]
async fn already_there_but_unreadable_is_neither_success_nor_another_object() {
    let store = Scripted::answering(Ok(Creation::AlreadyThere));
    assert_eq!(store.put(&object(), Bytes::from_static(b"mine")).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn errors_of_the_provider_pass() {
    let store = Scripted::answering(Err(StorageError::new(ErrorKind::Full, "write", "some/object")));
    assert_eq!(store.put(&object(), Bytes::from_static(b"mine")).await.unwrap_err().kind(), ErrorKind::Full);
}

#[tokio::test]
async fn stores_are_used_behind_pointers() {
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(MemoryStore::new()), Arc::new(Scripted::answering(Ok(Creation::Created)))];
    for store in stores {
        assert_eq!(store.put(&object(), Bytes::new()).await.unwrap(), PutOutcome::Created);
    }
}

#[tokio::test]
async fn memory_without_room_is_full_and_works_again_with_room() {
    let store = MemoryStore::new();
    store.set_room(Some(10));
    store.put(&object(), Bytes::from_static(b"12345678")).await.unwrap();
    let second = ObjectName::new("second").unwrap();
    assert_eq!(store.put(&second, Bytes::from_static(b"123")).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(store.length(&second).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.put(&object(), Bytes::from_static(b"12345678")).await.unwrap(), PutOutcome::Identical);
    store.delete(&object()).await.unwrap();
    assert_eq!(store.put(&second, Bytes::from_static(b"123")).await.unwrap(), PutOutcome::Created);
}

#[tokio::test]
async fn a_snapshot_of_memory_stays_as_it_was() {
    let store = MemoryStore::new();
    store.put(&object(), Bytes::from_static(b"a")).await.unwrap();
    let snapshot = store.snapshot();
    store.delete(&object()).await.unwrap();
    store.put(&ObjectName::new("b").unwrap(), Bytes::new()).await.unwrap();
    assert_eq!(snapshot.get(&object(), None).await.unwrap(), Bytes::from_static(b"a"));
    assert_eq!(snapshot.list("", None, 10).await.unwrap().len(), 1);
}
