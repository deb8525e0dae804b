//! The faults that a faulty store injects, each seen from both sides.

use bytes::Bytes;
use std::slice;
use std::sync::Arc;
use storage::{ErrorKind, MemoryStore, ObjectName, ObjectStore, PutOutcome, Result};
use testkit::{Fault, FaultRates, FaultyStore, Operation, Process, Remains, Requests, Rng, Simulation, join_all};

const BYTES: Bytes = Bytes::from_static(b"sixteen bytes ok");

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(MemoryStore::new()), 1)
}

async fn there(store: &FaultyStore, object: &str) -> Option<Bytes> {
    store.inner().get(&name(object), None).await.ok()
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[tokio::test]
async fn an_error_before_the_effect_leaves_nothing() {
    let store = store();
    store.script(Operation::Put, "a", 0, Fault::ErrorBefore);
    assert_eq!(kind(store.put(&name("a"), BYTES).await), Some(ErrorKind::Unavailable));
    assert_eq!(there(&store, "a").await, None);
    assert_eq!(store.put(&name("a"), BYTES).await.unwrap(), PutOutcome::Created);
    store.script(Operation::Delete, "a", 0, Fault::ErrorBefore);
    assert_eq!(kind(store.delete(&name("a")).await), Some(ErrorKind::Unavailable));
    assert!(there(&store, "a").await.is_some());
}

#[tokio::test]
async fn an_error_after_the_effect_leaves_all_of_it() {
    let store = store();
    store.script(Operation::Put, "a", 0, Fault::ErrorAfter);
    assert_eq!(kind(store.put(&name("a"), BYTES).await), Some(ErrorKind::Unavailable));
    assert_eq!(there(&store, "a").await, Some(BYTES));
    assert_eq!(store.put(&name("a"), BYTES).await.unwrap(), PutOutcome::Identical);
    store.script(Operation::Delete, "a", 0, Fault::ErrorAfter);
    assert_eq!(kind(store.delete(&name("a")).await), Some(ErrorKind::Unavailable));
    assert_eq!(there(&store, "a").await, None);
}

#[tokio::test]
async fn only_a_put_that_was_not_acknowledged_is_torn() {
    for seed in 0..20 {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()), seed);
        store.set_rates(FaultRates { torn: 1.0, ..FaultRates::NONE });
        assert_eq!(kind(store.put(&name("a"), BYTES).await), Some(ErrorKind::Unavailable));
        let torn = there(&store, "a").await.unwrap();
        assert!(torn.len() < BYTES.len() && BYTES.starts_with(&torn), "{torn:?}");
        assert_eq!(kind(store.put(&name("empty"), Bytes::new()).await), Some(ErrorKind::Unavailable));
        assert_eq!(there(&store, "empty").await, None);
        store.calm().await;
        assert_eq!(kind(store.put(&name("a"), BYTES).await), Some(ErrorKind::Exists));
    }
}

#[tokio::test]
async fn an_acknowledged_object_outlives_a_torn_put_of_its_name() {
    let store = store();
    store.put(&name("a"), BYTES).await.unwrap();
    store.set_rates(FaultRates { torn: 1.0, ..FaultRates::NONE });
    assert_eq!(kind(store.put(&name("a"), BYTES).await), Some(ErrorKind::Unavailable));
    assert_eq!(there(&store, "a").await, Some(BYTES));
}

#[tokio::test]
async fn a_late_put_appears_after_its_steps() {
    let store = store();
    store.script(Operation::Put, "late", 0, Fault::Late { steps: 2 });
    assert_eq!(kind(store.put(&name("late"), BYTES).await), Some(ErrorKind::Unavailable));
    for _ in 0..2 {
        assert_eq!(kind(store.get(&name("late"), None).await), Some(ErrorKind::NotFound));
    }
    // Another process's request is a step too.
    assert_eq!(store.connect(&Process::new()).get(&name("late"), None).await.unwrap(), BYTES);
}

#[tokio::test]
async fn a_late_put_does_not_displace_what_came_first() {
    let store = store();
    store.script(Operation::Put, "late", 0, Fault::Late { steps: 100 });
    assert!(store.put(&name("late"), BYTES).await.is_err());
    assert_eq!(store.put(&name("late"), Bytes::from_static(b"other")).await.unwrap(), PutOutcome::Created);
    store.settle_late().await;
    assert_eq!(there(&store, "late").await, Some(Bytes::from_static(b"other")));
}

#[tokio::test]
async fn a_late_delete_removes_later_and_may_be_called_off() {
    let store = store();
    for object in ["a", "b"] {
        store.put(&name(object), BYTES).await.unwrap();
        store.script(Operation::Delete, object, 0, Fault::Late { steps: 100 });
    }
    assert!(store.delete(&name("a")).await.is_err());
    assert!(there(&store, "a").await.is_some());
    store.settle_late().await;
    assert_eq!(there(&store, "a").await, None);
    assert!(store.delete(&name("b")).await.is_err());
    store.drop_late();
    store.settle_late().await;
    assert!(there(&store, "b").await.is_some());
}

#[tokio::test]
async fn a_false_already_there_becomes_identical() {
    let store = store();
    store.script(Operation::Put, "a", 0, Fault::AlreadyThere);
    assert_eq!(store.put(&name("a"), BYTES).await.unwrap(), PutOutcome::Identical);
    assert_eq!(there(&store, "a").await, Some(BYTES));
}

#[tokio::test]
async fn a_false_already_there_whose_reading_back_fails_is_unavailable() {
    let store = store();
    for failing in [Operation::Length, Operation::Get] {
        let object = format!("a-{failing:?}").to_lowercase();
        store.script(Operation::Put, &*object, 0, Fault::AlreadyThere);
        store.script(failing, &*object, 0, Fault::ErrorBefore);
        assert_eq!(kind(store.put(&name(&object), BYTES).await), Some(ErrorKind::Unavailable));
        assert_eq!(store.put(&name(&object), BYTES).await.unwrap(), PutOutcome::Identical);
    }
}

#[tokio::test]
async fn a_scripted_fault_hits_its_request_only_and_once() {
    let store = store();
    store.script(Operation::Put, "journal/", 1, Fault::Full);
    store.put(&name("pack/1"), BYTES).await.unwrap();
    store.put(&name("journal/1"), BYTES).await.unwrap();
    store.length(&name("journal/1")).await.unwrap();
    assert_eq!(kind(store.put(&name("journal/2"), BYTES).await), Some(ErrorKind::Full));
    assert_eq!(there(&store, "journal/2").await, None);
    store.put(&name("journal/2"), BYTES).await.unwrap();
}

#[tokio::test]
async fn calm_ends_all_faults_and_lets_the_late_happen() {
    let store = store();
    store.script(Operation::Put, "late", 0, Fault::Late { steps: 1_000 });
    assert!(store.put(&name("late"), BYTES).await.is_err());
    store.script(Operation::Put, "b", 0, Fault::ErrorBefore);
    store.set_rates(FaultRates { full: 1.0, ..FaultRates::NONE });
    store.calm().await;
    assert_eq!(there(&store, "late").await, Some(BYTES));
    assert_eq!(store.put(&name("b"), BYTES).await.unwrap(), PutOutcome::Created);
}

#[tokio::test]
async fn reads_fail_without_lying() {
    let store = store();
    store.put(&name("a"), BYTES).await.unwrap();
    store.set_rates(FaultRates { error_before: 1.0, ..FaultRates::NONE });
    assert_eq!(kind(store.get(&name("a"), None).await), Some(ErrorKind::Unavailable));
    assert_eq!(kind(store.get_ranges(&name("a"), slice::from_ref(&(0..1))).await), Some(ErrorKind::Unavailable));
    assert_eq!(kind(store.length(&name("a")).await), Some(ErrorKind::Unavailable));
    assert_eq!(kind(store.list("", None, 1).await), Some(ErrorKind::Unavailable));
}

#[tokio::test]
async fn what_goes_wrong_with_changes_leaves_reads_alone() {
    let store = store();
    store.put(&name("a"), BYTES).await.unwrap();
    let rates = FaultRates { error_after: 1.0, torn: 1.0, late: 1.0, already_there: 1.0, full: 1.0, ..FaultRates::NONE };
    store.set_rates(rates);
    assert_eq!(store.get(&name("a"), None).await.unwrap(), BYTES);
    assert_eq!(store.get_ranges(&name("a"), slice::from_ref(&(0..1))).await.unwrap().len(), 1);
    assert_eq!(store.length(&name("a")).await.unwrap(), 16);
    assert_eq!(store.list("", None, 9).await.unwrap().len(), 1);
    store.set_rates(FaultRates { torn: 1.0, already_there: 1.0, full: 1.0, ..FaultRates::NONE });
    store.delete(&name("a")).await.unwrap();
}

#[tokio::test]
async fn a_crash_leaves_what_it_was_told_to_and_fails_everything_until_revival() {
    let cases = [
        (Remains::Nothing, None),
        (Remains::Whole, Some(BYTES.len()..=BYTES.len())),
        (Remains::Torn, Some(0..=BYTES.len() - 1)),
        (Remains::Late { steps: 0 }, None),
    ];
    for (remains, expected) in cases {
        let store = store();
        let bystander = store.connect(&Process::new());
        store.crash_at(1, remains);
        store.put(&name("first"), BYTES).await.unwrap();
        assert_eq!(kind(store.put(&name("second"), BYTES).await), Some(ErrorKind::Unavailable));
        let left = there(&store, "second").await;
        assert_eq!(left.is_some(), expected.is_some(), "{remains:?}");
        assert!(left.zip(expected).is_none_or(|(left, lengths)| lengths.contains(&left.len())), "{remains:?}");

        assert_eq!(kind(store.put(&name("third"), BYTES).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.get(&name("first"), None).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.list("", None, 9).await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(store.delete(&name("first")).await), Some(ErrorKind::Unavailable));
        assert_eq!(there(&store, "third").await, None);
        assert_eq!(bystander.get(&name("first"), None).await.unwrap(), BYTES, "another process lives on");

        store.revive();
        store.put(&name("third"), BYTES).await.unwrap();
        assert_eq!(there(&store, "second").await.is_some(), remains != Remains::Nothing, "{remains:?}");
    }
}

#[tokio::test]
async fn durable_steps_count_puts_and_deletes_only() {
    let store = store();
    store.put(&name("a"), BYTES).await.unwrap();
    store.get(&name("a"), None).await.unwrap();
    store.list("", None, 1).await.unwrap();
    store.length(&name("a")).await.unwrap();
    store.delete(&name("a")).await.unwrap();
    assert_eq!(store.process().durable_steps(), 2);
}

#[tokio::test]
async fn requests_are_counted_by_connection_and_as_callers_made_them() {
    let store = store();
    let other = store.connect(&Process::new());
    store.put(&name("a"), BYTES).await.unwrap();
    // The comparison behind it is not the caller's request.
    store.put(&name("a"), BYTES).await.unwrap();
    store.get(&name("a"), Some(0..4)).await.unwrap();
    store.get_ranges(&name("a"), &[0..1, 1..3]).await.unwrap();
    store.length(&name("a")).await.unwrap();
    store.list("", None, 1).await.unwrap();
    store.delete(&name("a")).await.unwrap();
    assert!(store.get(&name("a"), None).await.is_err());
    let expected = Requests { puts: 2, gets: 3, ranges: 4, lengths: 1, lists: 1, deletes: 1, bytes_put: 32, bytes_got: 7 };
    assert_eq!(store.requests(), expected);
    assert_eq!(other.requests(), Requests::default());
    store.reset_requests();
    assert_eq!(store.requests(), Requests::default());
}

#[tokio::test]
async fn stored_objects_can_be_damaged() {
    let store = store();
    store.put(&name("a"), BYTES).await.unwrap();
    store.corrupt(&name("a"), 3, 0b100).await.unwrap();
    let mut damaged = BYTES.to_vec();
    damaged[3] ^= 0b100;
    assert_eq!(store.get(&name("a"), None).await.unwrap(), damaged);
    assert_eq!(kind(store.corrupt(&name("a"), 16, 1).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(store.corrupt(&name("absent"), 0, 1).await), Some(ErrorKind::NotFound));
    store.replace(&name("a"), Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.get(&name("a"), None).await.unwrap(), Bytes::from_static(b"x"));
    store.lose(&name("a")).await.unwrap();
    assert_eq!(kind(store.get(&name("a"), None).await), Some(ErrorKind::NotFound));
}

#[test]
fn a_task_killed_within_a_put_leaves_all_or_nothing() {
    let (mut whole, mut nothing) = (0, 0);
    for steps in 0..4 {
        let simulation = Simulation::new(steps);
        let store = store();
        let putting = store.clone();
        let victim = simulation.spawn("putting", async move { putting.put(&name("a"), BYTES).await.is_ok() });
        simulation.run_steps(steps);
        victim.kill();
        simulation.run();
        let left = simulation.block_on(async move { there(&store, "a").await });
        match (left, victim.take()) {
            (Some(bytes), _) => {
                assert_eq!(bytes, BYTES);
                whole += 1;
            }
            (None, None) => nothing += 1,
            (None, Some(answer)) => panic!("an acknowledged put ({answer}) left nothing"),
        }
    }
    assert!(whole > 0 && nothing > 0, "{whole} left all, {nothing} left nothing");
}

#[test]
fn a_process_that_dies_within_a_request_gets_no_answer() {
    let (mut whole, mut nothing) = (0, 0);
    for steps in 0..4 {
        let simulation = Simulation::new(steps);
        let store = store();
        let putting = store.clone();
        let put = simulation.spawn("putting", async move { putting.put(&name("a"), BYTES).await.is_ok() });
        simulation.run_steps(steps);
        if put.is_finished() {
            break;
        }
        store.process().kill();
        simulation.run();
        assert_eq!(put.take(), Some(false), "killed after {steps} steps");
        match simulation.block_on(async move { there(&store, "a").await }) {
            Some(_) => whole += 1,
            None => nothing += 1,
        }
    }
    assert!(whole > 0 && nothing > 0, "{whole} left all, {nothing} left nothing");
}

#[test]
fn a_crash_under_way_drops_the_rest_of_the_process() {
    let simulation = Simulation::new(9);
    let store = store();
    let process = store.process().clone();
    store.crash_at(2, Remains::Whole);
    let putting = store.clone();
    let answer = simulation.block_on(async move {
        let work = async {
            for i in 0..5 {
                let _ = putting.put(&name(&format!("object/{i}")), BYTES).await;
            }
        };
        process.run(work).await
    });
    assert!(answer.is_err());
    let left = simulation.block_on(async move { store.inner().list("", None, 9).await.unwrap().len() });
    assert_eq!(left, 3);
}

/// What is acknowledged stays, whatever happens; what a storm does repeats with the seed.
fn storm(seed: u64) -> Vec<String> {
    let simulation = Simulation::new(seed);
    let store = FaultyStore::new(Arc::new(MemoryStore::new()), seed);
    store.set_rates(FaultRates { torn: 0.05, ..FaultRates::STORMY });
    let mut writers = Vec::new();
    for writer in 0..3u64 {
        let (store, mut rng) = (store.connect(&Process::new()), Rng::new(seed ^ writer));
        writers.push(simulation.spawn(format!("writer {writer}"), async move {
            let mut acknowledged = Vec::new();
            for i in 0..30 {
                let name = name(&format!("object/{writer}/{i}"));
                let bytes = Bytes::from(rng.vec(20));
                if store.put(&name, bytes.clone()).await.is_ok() {
                    acknowledged.push((name, bytes));
                }
            }
            acknowledged
        }));
    }
    simulation.run();
    let acknowledged: Vec<_> = writers.iter().flat_map(|writer| writer.take().unwrap()).collect();
    assert!((30..90).contains(&acknowledged.len()), "{} of 90 acknowledged", acknowledged.len());
    simulation.block_on(async move {
        store.calm().await;
        let reads = join_all(acknowledged.iter().map(|(name, _)| store.get(name, None))).await;
        for ((name, bytes), read) in acknowledged.iter().zip(reads) {
            assert_eq!(read.unwrap(), bytes, "{name}");
        }
        let listed = store.list("", None, 1_000).await.unwrap();
        listed.into_iter().map(|object| format!("{} {}", object.name, object.length)).collect()
    })
}

#[test]
fn a_storm_loses_nothing_acknowledged_and_repeats_with_its_seed() {
    let storms: Vec<_> = (0..30).map(storm).collect();
    for (seed, first) in storms.iter().enumerate() {
        assert_eq!(*first, storm(seed as u64), "seed {seed}");
    }
    assert!(storms.iter().any(|other| *other != storms[0]));
}
