//! Several processes put the same names at once.

use crate::{as_child, child};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use storage::{ErrorKind, LocalStore, ObjectName, ObjectStore, PutOutcome};

const NAMES: u64 = 300;
const PROCESSES: u64 = 4;

fn name(number: u64) -> ObjectName {
    ObjectName::new(format!("claim/{:x}/{number}", number % 3)).unwrap()
}

fn content(number: u64, process: u64) -> Bytes {
    Bytes::from(vec![process as u8; 1_000 + number as usize])
}

async fn put_all(process: u64, directory: &str) {
    let store = LocalStore::open(directory).await.unwrap();
    println!("ready");
    // All begin when the parent closes their input.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    for number in 0..NAMES {
        match store.put(&name(number), content(number, process)).await {
            Ok(PutOutcome::Created) => println!("won {number}"),
            Err(error) if error.kind() == ErrorKind::Exists => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn one_process_wins_each_name() {
    if let Some((process, directory)) = as_child() {
        return put_all(process, &directory).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut children: Vec<_> =
        (0..PROCESSES).map(|process| child("race::one_process_wins_each_name", directory.path(), process)).collect();
    let mut outputs: Vec<_> = children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap()).lines()).collect();
    for output in &mut outputs {
        assert!(output.by_ref().any(|line| line.unwrap().ends_with("ready")));
    }
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    let mut winners = BTreeMap::new();
    for (process, output) in outputs.into_iter().enumerate() {
        for line in output {
            if let Some(number) = line.unwrap().strip_prefix("won ") {
                let before = winners.insert(number.parse::<u64>().unwrap(), process as u64);
                assert_eq!(before, None, "two processes created {number}");
            }
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(winners.len() as u64, NAMES);
    let rivals = (0..PROCESSES).filter(|process| winners.values().any(|winner| winner == process)).count();
    assert!(rivals > 1, "one process won every name: they did not run at the same time");
    let store = LocalStore::open(directory.path()).await.unwrap();
    for (number, winner) in winners {
        assert_eq!(store.get(&name(number), None).await.unwrap(), content(number, winner));
    }
    assert_eq!(std::fs::read_dir(directory.path().join(".tmp")).unwrap().count(), 0);
}
