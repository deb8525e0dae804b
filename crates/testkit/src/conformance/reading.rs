//! Promises of get, get_ranges and length.

use super::{assert_kind, assert_ok, content, name};
use crate::rng::Rng;
use bytes::Bytes;
use std::ops::Range;
use std::slice;
use storage::{ObjectName, ObjectStore};

async fn put_bytes(store: &dyn ObjectStore, length: usize) -> (ObjectName, Bytes) {
    let name = name("ranges/object");
    let bytes = Bytes::from(Rng::new(3).vec(length));
    assert!(store.put(&name, bytes.clone()).await.is_ok());
    (name, bytes)
}

pub(super) async fn ranges_are_exact(store: &dyn ObjectStore) {
    let (name, bytes) = put_bytes(store, 100_000).await;
    for (start, end) in [(0, 0), (0, 1), (0, 100_000), (1, 99_999), (99_999, 100_000), (100_000, 100_000), (4_095, 4_097)] {
        assert_ok!(store.get(&name, Some(start as u64..end as u64)).await, bytes.slice(start..end));
    }
}

pub(super) async fn several_ranges_come_in_the_order_asked_for(store: &dyn ObjectStore) {
    let (name, bytes) = put_bytes(store, 10_000).await;
    // Backwards, overlapping, twice the same, empty.
    let ranges: Vec<Range<u64>> = vec![9_000..10_000, 0..5, 3..8, 3..8, 7..7, 0..10_000, 10_000..10_000];
    let expected: Vec<Bytes> = ranges.iter().map(|range| bytes.slice(range.start as usize..range.end as usize)).collect();
    assert_ok!(store.get_ranges(&name, &ranges).await, expected);
    assert_ok!(store.get_ranges(&name, &[]).await, Vec::<Bytes>::new());
}

pub(super) async fn ranges_outside_the_object_are_invalid(store: &dyn ObjectStore) {
    let (name, bytes) = put_bytes(store, 1_000).await;
    #[allow(clippy::reversed_empty_ranges)]
    for outside in [0..1_001, 1_000..1_001, 1_001..1_001, 5..4, 0..u64::MAX, u64::MAX..u64::MAX, u64::MAX - 1..u64::MAX] {
        assert_kind!(store.get(&name, Some(outside.clone())).await, Invalid);
        assert_kind!(store.get_ranges(&name, &[0..1, outside]).await, Invalid);
    }
    assert_ok!(store.get(&name, None).await, bytes);
}

pub(super) async fn what_is_not_there_is_not_found(store: &dyn ObjectStore) {
    assert!(store.put(&name("some/object"), content("a")).await.is_ok());
    // Beside it, above it, below it.
    for absent in ["some/objec", "some/object1", "other", "some", "some/object/deeper"] {
        let absent = name(absent);
        assert_kind!(store.get(&absent, None).await, NotFound);
        assert_kind!(store.get(&absent, Some(0..1)).await, NotFound);
        assert_kind!(store.get_ranges(&absent, slice::from_ref(&(0..1))).await, NotFound);
        assert_kind!(store.length(&absent).await, NotFound);
        assert_ok!(store.delete(&absent).await, ());
    }
    assert_ok!(store.get(&name("some/object"), None).await, content("a"));
}
