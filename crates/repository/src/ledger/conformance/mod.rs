//! The behaviour that every ledger keeps, as tests that run on each of them.

macro_rules! on_every_ledger {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(std::sync::Arc::new(crate::ledger::MemoryLedger::new())).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let directory = tempfile::tempdir().unwrap();
                let ledger = crate::ledger::SqliteLedger::create(&directory.path().join("ledger")).await.unwrap();
                super::$name(std::sync::Arc::new(ledger.clone())).await;
                assert_eq!(ledger.quick_check().await.unwrap(), Vec::<String>::new());
            })*
        }
    };
}

mod isolation;
mod operations;
mod samples;
mod tables;

pub(super) use operations::answers;
pub(super) use samples::{domain, domain_id, journal, pack, pack_name, session_id};

use super::{Ledger, Transaction};
use samples::{condemned, damage, head, point, segment, session};
use std::sync::Arc;

const MAX: u64 = i64::MAX as u64;

type AnyLedger = Arc<dyn Ledger>;

async fn commit(ledger: &AnyLedger, rows: impl AsyncFnOnce(&mut dyn Transaction)) {
    let mut transaction = ledger.begin().await.unwrap();
    rows(&mut *transaction).await;
    transaction.commit().await.unwrap();
}

/// One row in each table; `number` is part of every key.
async fn put_everywhere(transaction: &mut dyn Transaction, domain_number: u8, number: u8) {
    transaction.put_domain(&domain(domain_number)).await.unwrap();
    transaction.put_session(&session(domain_number, number)).await.unwrap();
    transaction.put_pack(&pack(domain_number, number)).await.unwrap();
    transaction.put_condemned(&condemned(domain_number, number, 5)).await.unwrap();
    transaction.put_damage(&damage(domain_number, number, 6)).await.unwrap();
    transaction.put_point(&point(domain_number, number)).await.unwrap();
    transaction.put_head(&head(domain_number, number)).await.unwrap();
    transaction.put_journal(&journal(domain_number, u64::from(number))).await.unwrap();
    transaction.put_segment(&segment(domain_number, u64::from(number))).await.unwrap();
}
