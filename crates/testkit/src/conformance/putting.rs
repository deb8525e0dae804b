//! Promises of put and delete.

use super::{assert_kind, assert_ok, content, name};
use crate::pause::join_all;
use crate::rng::Rng;
use bytes::Bytes;
use std::slice;
use storage::{ErrorKind, ObjectStore, PutOutcome};

pub(super) async fn what_is_put_can_be_read(store: &dyn ObjectStore) {
    let name = name("what/is-put");
    assert_ok!(store.put(&name, content("a")).await, PutOutcome::Created);
    assert_ok!(store.get(&name, None).await, content("a"));
    assert_ok!(store.length(&name).await, content("a").len() as u64);
}

pub(super) async fn the_same_bytes_can_be_put_again(store: &dyn ObjectStore) {
    let name = name("twice");
    assert_ok!(store.put(&name, content("a")).await, PutOutcome::Created);
    for _ in 0..3 {
        assert_ok!(store.put(&name, content("a")).await, PutOutcome::Identical);
    }
    assert_ok!(store.get(&name, None).await, content("a"));
}

pub(super) async fn other_bytes_never_replace_an_object(store: &dyn ObjectStore) {
    let name = name("kept");
    let kept = Bytes::from(Rng::new(1).vec(3 << 20));
    assert_ok!(store.put(&name, kept.clone()).await, PutOutcome::Created);
    let mut last_differs = kept.to_vec();
    *last_differs.last_mut().unwrap_or_else(|| panic!("it has bytes")) ^= 1;
    let mut longer = kept.to_vec();
    longer.push(0);
    for other in [last_differs.into(), longer.into(), kept.slice(..kept.len() - 1), Bytes::new(), content("short")] {
        assert_kind!(store.put(&name, other).await, Exists);
    }
    assert_ok!(store.get(&name, None).await, kept);
}

pub(super) async fn an_empty_object_is_an_object(store: &dyn ObjectStore) {
    let name = name("empty");
    assert_ok!(store.put(&name, Bytes::new()).await, PutOutcome::Created);
    assert_ok!(store.put(&name, Bytes::new()).await, PutOutcome::Identical);
    assert_kind!(store.put(&name, content("a")).await, Exists);
    assert_ok!(store.length(&name).await, 0);
    assert_ok!(store.get(&name, None).await, Bytes::new());
    assert_ok!(store.get(&name, Some(0..0)).await, Bytes::new());
    assert_kind!(store.get(&name, Some(0..1)).await, Invalid);
    assert_ok!(store.list("", None, 10).await.map(|listed| listed.len()), 1);
}

pub(super) async fn a_large_object_comes_back(store: &dyn ObjectStore) {
    let name = name("large/20-mib");
    let bytes = Bytes::from(Rng::new(2).vec(20 << 20));
    assert_ok!(store.put(&name, bytes.clone()).await, PutOutcome::Created);
    assert_ok!(store.length(&name).await, 20 << 20);
    assert!(store.get(&name, None).await.is_ok_and(|read| read == bytes), "20 MiB did not come back");
    let end = bytes.len() - 5;
    assert_ok!(store.get(&name, Some(end as u64..20 << 20)).await, bytes.slice(end..));
    assert_ok!(store.put(&name, bytes).await, PutOutcome::Identical);
}

pub(super) async fn one_of_many_puts_of_a_name_wins(store: &dyn ObjectStore) {
    for round in 0..20 {
        let name = name(&format!("race/{round}"));
        // Long enough to overlap, and of different lengths.
        let bytes = |i: usize| Bytes::from(vec![i as u8; 100_000 + i]);
        let answers = join_all((0..16).map(|i| store.put(&name, bytes(i)))).await;
        let mut winner = None;
        for (i, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(PutOutcome::Created) => assert_eq!(winner.replace(i), None, "two puts of one name created it"),
                Err(error) if error.kind() == ErrorKind::Exists => {}
                other => panic!("expected a winner or Exists, found {other:?}"),
            }
        }
        let winner = winner.unwrap_or_else(|| panic!("no put of the name created it"));
        assert_ok!(store.get(&name, None).await, bytes(winner));
    }
}

pub(super) async fn many_puts_of_the_same_bytes_all_succeed(store: &dyn ObjectStore) {
    for round in 0..10 {
        let name = name(&format!("agreement/{round}"));
        let bytes = Bytes::from(Rng::new(round).vec(100_000));
        let answers = join_all((0..16).map(|_| store.put(&name, bytes.clone()))).await;
        let created = answers.iter().filter(|answer| matches!(answer, Ok(PutOutcome::Created))).count();
        let identical = answers.iter().filter(|answer| matches!(answer, Ok(PutOutcome::Identical))).count();
        assert_eq!((created, identical), (1, 15), "{answers:?}");
    }
}

pub(super) async fn many_names_are_put_at_once(store: &dyn ObjectStore) {
    let names: Vec<_> = (0..200).map(|i| name(&format!("many/{:02x}/{i}", i % 7))).collect();
    for answer in join_all(names.iter().map(|name| store.put(name, content(name.as_str())))).await {
        assert_ok!(answer, PutOutcome::Created);
    }
    for (name, read) in names.iter().zip(join_all(names.iter().map(|name| store.get(name, None))).await) {
        assert_ok!(read, content(name.as_str()));
    }
}

pub(super) async fn deleted_objects_are_gone_and_may_come_back(store: &dyn ObjectStore) {
    let (one, other) = (name("some/one"), name("some/other"));
    for name in [&one, &other] {
        assert_ok!(store.put(name, content(name.as_str())).await, PutOutcome::Created);
    }
    for _ in 0..2 {
        assert_ok!(store.delete(&one).await, ());
    }
    assert_ok!(store.delete(&name("never/there")).await, ());
    assert_kind!(store.get(&one, None).await, NotFound);
    assert_kind!(store.get(&one, Some(0..1)).await, NotFound);
    assert_kind!(store.get_ranges(&one, slice::from_ref(&(0..1))).await, NotFound);
    assert_kind!(store.length(&one).await, NotFound);
    assert_ok!(store.get(&other, None).await, content("some/other"));
    assert_ok!(store.put(&one, content("new")).await, PutOutcome::Created);
    assert_ok!(store.get(&one, None).await, content("new"));
}
