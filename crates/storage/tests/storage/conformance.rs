//! Every store and wrapper under the one suite.

use std::sync::Arc;
use storage::{LocalStore, MemoryStore, ObjectStore};
use testkit::{FaultRates, FaultyStore, Simulation, storage_conformance};

#[tokio::test]
async fn memory_conforms() {
    storage_conformance(|| async { Arc::new(MemoryStore::new()) as Arc<dyn ObjectStore> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_disk_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let mut stores = 0;
    storage_conformance(|| {
        stores += 1;
        let path = directory.path().join(format!("store-{stores}"));
        async { Arc::new(LocalStore::create(path).await.unwrap()) as Arc<dyn ObjectStore> }
    })
    .await;
    assert!(stores > 10, "every case has a store of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_store_over_local_disk_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let mut stores = 0;
    storage_conformance(|| {
        stores += 1;
        let path = directory.path().join(format!("store-{stores}"));
        async {
            let store = Arc::new(LocalStore::create(path).await.unwrap());
            Arc::new(FaultyStore::new(store, 1)) as Arc<dyn ObjectStore>
        }
    })
    .await;
}

#[tokio::test]
async fn a_faulty_store_without_faults_conforms() {
    storage_conformance(|| async { Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), 1)) as Arc<dyn ObjectStore> }).await;
}

#[test]
fn a_faulty_store_with_delays_conforms_under_simulation() {
    for seed in 0..3 {
        let simulation = Simulation::new(seed);
        let time = simulation.time();
        simulation.block_on(storage_conformance(move || {
            let store = FaultyStore::new(Arc::new(MemoryStore::new()), seed).with_pause(Arc::new(time.clone()));
            store.set_rates(FaultRates { delay: 0.5, delay_steps_max: 20, ..FaultRates::NONE });
            async move { Arc::new(store) as Arc<dyn ObjectStore> }
        }));
    }
}
