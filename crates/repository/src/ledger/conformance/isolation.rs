//! Transactions do not see each other's half-done work, and leave all of theirs or nothing.

use super::samples::{
    condemned, damage, domain, domain_id, head, journal, pack, pack_name, point, point_id, segment, session, session_id,
};
use super::{AnyLedger, MAX, answers, commit, put_everywhere};
use crate::ledger::{CondemnedRow, LedgerError, PackRow};
use bytes::Bytes;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

on_every_ledger! {
    a_transaction_sees_its_own_changes
    a_dropped_transaction_leaves_nothing
    a_snapshot_sees_one_state
    a_snapshot_refuses_to_write
    a_refused_call_changes_nothing_and_spoils_nothing
    the_second_writer_waits_for_the_first
    no_update_of_concurrent_writers_is_lost
}

async fn a_transaction_sees_its_own_changes(ledger: AnyLedger) {
    commit(&ledger, async |transaction| put_everywhere(transaction, 1, 1).await).await;
    commit(&ledger, async |transaction| {
        transaction.put_pack(&pack(1, 2)).await.unwrap();
        transaction.remove_pack(domain_id(1), pack_name(1)).await.unwrap();
        assert_eq!(transaction.tails(domain_id(1)).await.unwrap(), [pack(1, 2)]);
        assert_eq!(transaction.pack(domain_id(1), pack_name(1)).await.unwrap(), None);
        transaction.put_pack(&pack(1, 1)).await.unwrap();
        assert_eq!(transaction.tails(domain_id(1)).await.unwrap(), [pack(1, 1), pack(1, 2)]);
    })
    .await;
}

async fn a_dropped_transaction_leaves_nothing(ledger: AnyLedger) {
    let before = answers(&mut *ledger.snapshot().await.unwrap()).await;
    let mut dropped = ledger.begin().await.unwrap();
    put_everywhere(&mut *dropped, 1, 1).await;
    drop(dropped);
    assert_eq!(answers(&mut *ledger.snapshot().await.unwrap()).await, before);
    let mut next = ledger.begin().await.unwrap();
    assert_eq!(answers(&mut *next).await, before);
    next.put_pack(&pack(1, 2)).await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(ledger.snapshot().await.unwrap().tails(domain_id(1)).await.unwrap(), [pack(1, 2)]);
}

async fn a_snapshot_sees_one_state(ledger: AnyLedger) {
    commit(&ledger, async |transaction| put_everywhere(transaction, 1, 1).await).await;
    // nothing was read in this one when the others commit
    let mut untouched = ledger.snapshot().await.unwrap();
    let mut read = ledger.snapshot().await.unwrap();
    let before = answers(&mut *read).await;
    let mut writer = ledger.begin().await.unwrap();
    writer.erase_domain(domain_id(1)).await.unwrap();
    put_everywhere(&mut *writer, 2, 2).await;
    let mut beside = ledger.snapshot().await.unwrap();
    assert_eq!(answers(&mut *beside).await, before, "a snapshot does not wait for a writer, nor see its changes");
    writer.commit().await.unwrap();
    for snapshot in [&mut untouched, &mut read, &mut beside] {
        assert_eq!(answers(&mut **snapshot).await, before);
    }
    let mut later = ledger.snapshot().await.unwrap();
    assert_eq!(later.domain(domain_id(1)).await.unwrap(), None);
    assert_eq!(later.domain(domain_id(2)).await.unwrap(), Some(domain(2)));
    untouched.commit().await.unwrap();
}

async fn a_snapshot_refuses_to_write(ledger: AnyLedger) {
    commit(&ledger, async |transaction| put_everywhere(transaction, 1, 1).await).await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    let before = answers(&mut *snapshot).await;
    let id = domain_id(1);
    assert!(snapshot.put_domain(&domain(2)).await.is_err());
    assert!(snapshot.erase_domain(id).await.is_err());
    assert!(snapshot.put_session(&session(1, 2)).await.is_err());
    assert!(snapshot.remove_session(id, session_id(1)).await.is_err());
    assert!(snapshot.put_pack(&pack(1, 2)).await.is_err());
    assert!(snapshot.update_pack(&PackRow { number: 9, ..pack(1, 1) }).await.is_err());
    assert!(snapshot.remove_pack(id, pack_name(1)).await.is_err());
    assert!(snapshot.put_condemned(&condemned(1, 2, 1)).await.is_err());
    assert!(snapshot.remove_condemned(id, pack_name(1)).await.is_err());
    assert!(snapshot.put_damage(&damage(1, 2, 1)).await.is_err());
    assert!(snapshot.remove_damage(id, pack_name(1)).await.is_err());
    assert!(snapshot.put_point(&point(1, 2)).await.is_err());
    assert!(snapshot.remove_point(id, point_id(1)).await.is_err());
    assert!(snapshot.put_head(&head(1, 2)).await.is_err());
    assert!(snapshot.put_journal(&journal(1, 2)).await.is_err());
    assert!(snapshot.put_segment(&segment(1, 2)).await.is_err());
    assert!(snapshot.remove_segment(id, 1).await.is_err());
    assert!(snapshot.put_setting("a", Some(Bytes::new())).await.is_err());
    assert_eq!(answers(&mut *snapshot).await, before);
    drop(snapshot);
    assert_eq!(answers(&mut *ledger.snapshot().await.unwrap()).await, before);
}

async fn a_refused_call_changes_nothing_and_spoils_nothing(ledger: AnyLedger) {
    commit(&ledger, async |transaction| {
        transaction.put_pack(&pack(1, 1)).await.unwrap();
        let before = answers(transaction).await;
        let unsorted = CondemnedRow { places: vec![2, 1], ..condemned(1, 1, 1) };
        let doubled = CondemnedRow { places: vec![2, 2], ..condemned(1, 1, 1) };
        for refused in [unsorted, doubled] {
            let answer = transaction.put_condemned(&refused).await;
            assert!(matches!(answer, Err(LedgerError::Unavailable { full: false, .. })), "{answer:?}");
        }
        assert!(transaction.put_pack(&PackRow { length: MAX + 1, footer: None, ..pack(1, 1) }).await.is_err());
        assert_eq!(answers(transaction).await, before);
        transaction.put_pack(&pack(1, 2)).await.unwrap();
    })
    .await;
    assert_eq!(ledger.snapshot().await.unwrap().tails(domain_id(1)).await.unwrap(), [pack(1, 1), pack(1, 2)]);
}

async fn the_second_writer_waits_for_the_first(ledger: AnyLedger) {
    let mut first = ledger.begin().await.unwrap();
    let mut second = pin!(ledger.begin());
    assert!(matches!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    first.put_pack(&pack(1, 1)).await.unwrap();
    assert!(matches!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    first.commit().await.unwrap();
    let mut second = second.await.unwrap();
    assert_eq!(second.tails(domain_id(1)).await.unwrap(), [pack(1, 1)]);
}

async fn no_update_of_concurrent_writers_is_lost(ledger: AnyLedger) {
    const TASKS: u64 = 8;
    const ROUNDS: u64 = 20;
    commit(&ledger, async |transaction| transaction.put_domain(&domain(1)).await.unwrap()).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let mut transaction = ledger.begin().await.unwrap();
                    let mut row = transaction.domain(domain_id(1)).await.unwrap().unwrap();
                    row.next_pack += 1;
                    transaction.put_domain(&row).await.unwrap();
                    // every third one changes its mind
                    if (task + round) % 3 > 0 {
                        transaction.commit().await.unwrap();
                    }
                    ledger.snapshot().await.unwrap().domain(domain_id(1)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let committed = (0..TASKS * ROUNDS).filter(|n| !(n / ROUNDS + n % ROUNDS).is_multiple_of(3)).count() as u64;
    let row = ledger.snapshot().await.unwrap().domain(domain_id(1)).await.unwrap().unwrap();
    assert_eq!(row.next_pack, domain(1).next_pack + committed);
}
