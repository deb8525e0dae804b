//! Processes killed at any moment.

use crate::{as_child, child};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use storage::{LocalStore, ObjectName, ObjectStore};
use testkit::{Rng, join_all};

const AT_ONCE: u64 = 4;

fn name(number: u64) -> ObjectName {
    ObjectName::new(format!("pack/{:02x}/{number:08}", number % 16)).unwrap()
}

fn content(number: u64) -> Bytes {
    let mut rng = Rng::new(number);
    let length = rng.index(400_000);
    rng.vec(length).into()
}

/// Puts objects from a number on, several at once, saying which are acknowledged, until it is killed.
async fn put_until_killed(first: u64, directory: &str) {
    let store = LocalStore::open(directory).await.unwrap();
    for round in 0.. {
        let numbers = (0..AT_ONCE).map(|i| first + round * AT_ONCE + i);
        join_all(numbers.map(|number| {
            let store = &store;
            async move {
                store.put(&name(number), content(number)).await.unwrap();
                println!("acknowledged {number}");
            }
        }))
        .await;
    }
}

async fn numbers_in(store: &LocalStore) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for object in store.list("pack/", None, usize::MAX).await.unwrap() {
        let number = object.name.as_str()[8..].parse().unwrap();
        assert_eq!(store.get(&object.name, None).await.unwrap(), content(number), "{} is not whole", object.name);
        found.insert(number);
    }
    found
}

fn leftovers(directory: &Path) -> usize {
    fs::read_dir(directory.join(".tmp")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_within_puts_leaves_whole_objects_or_nothing() {
    if let Some((first, directory)) = as_child() {
        return put_until_killed(first, &directory).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(1);
    let (mut first, mut interrupted) = (0, 0);
    let mut acknowledged = BTreeSet::new();
    for _ in 0..25 {
        let name = "crash::a_process_killed_within_puts_leaves_whole_objects_or_nothing";
        let mut child = child(name, directory.path(), first);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut wanted = rng.below(30) + 1;
        while let Some(line) = lines.next() {
            if let Some(number) = line.unwrap().split("acknowledged ").nth(1) {
                acknowledged.insert(number.parse::<u64>().unwrap());
                wanted = wanted.saturating_sub(1);
            }
            if wanted == 0 {
                child.kill().unwrap();
                // What it said before it died is still in the pipe.
                for line in lines.by_ref() {
                    if let Some(number) = line.unwrap().split("acknowledged ").nth(1) {
                        acknowledged.insert(number.parse::<u64>().unwrap());
                    }
                }
            }
        }
        assert!(!child.wait().unwrap().success());
        interrupted += leftovers(directory.path());

        let store = LocalStore::open(directory.path()).await.unwrap();
        assert_eq!(leftovers(directory.path()), 0);
        let found = numbers_in(&store).await;
        assert!(found.is_superset(&acknowledged), "lost: {:?}", acknowledged.difference(&found).collect::<Vec<_>>());
        first = found.last().unwrap() + 1 + AT_ONCE;
    }
    assert_eq!(interrupted, 25, "every kill leaves the directory of temporaries of the killed");
}
