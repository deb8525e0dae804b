//! What is put into a table comes out of it: whole, in order, and nothing else.

use super::samples::{
    PACK_STATES, SESSION_STATES, condemned, damage, domain, domain_id, head, item, journal, pack, pack_name, point, point_id,
    segment, session, session_id,
};
use super::{AnyLedger, MAX, answers, commit, put_everywhere};
use crate::ledger::{
    CondemnedRow, DomainRow, JournalRow, JournalState, PackRow, PackState, PointRow, SegmentRow, SessionRow, SessionState,
};
use bytes::Bytes;
use format::{DomainId, JournalNumber, PackName};
use std::collections::BTreeSet;

const LARGE: usize = 4 << 20;

on_every_ledger! {
    rows_come_back_as_they_were_put
    a_second_put_replaces_the_row
    removed_rows_are_gone_and_others_stay
    lists_are_in_their_order
    sessions_and_journal_are_listed_by_state
    lists_of_packs_leave_the_footers_out
    tails_are_packs_in_use_that_no_segment_covers
    packs_in_use_are_moved_from_segment_to_segment
    an_update_of_a_pack_keeps_its_footer
    condemned_copies_without_places_are_removed
    a_segment_is_inserted_once
    settings_are_set_and_removed
    numbers_up_to_the_limit_are_kept_and_larger_ones_refused
    large_values_come_back
    an_erased_domain_leaves_nothing_behind_and_takes_nothing_else
}

async fn rows_come_back_as_they_were_put(ledger: AnyLedger) {
    let bare_session =
        SessionRow { item: None, agent: None, pinned: None, key: None, lease_until_ms: None, point: None, ..session(1, 2) };
    let bare_pack = PackRow { kind: None, session: None, segment: Some(3), footer: None, ..pack(1, 2) };
    let empty_footer = PackRow { footer: Some(Bytes::new()), ..pack(1, 3) };
    let bare_point = PointRow { session: None, purged_at: None, record: Bytes::new(), ..point(1, 2) };
    commit(&ledger, async |transaction| {
        put_everywhere(transaction, 1, 1).await;
        transaction.put_session(&bare_session).await.unwrap();
        transaction.put_pack(&bare_pack).await.unwrap();
        transaction.put_pack(&empty_footer).await.unwrap();
        transaction.put_point(&bare_point).await.unwrap();
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    let id = domain_id(1);
    assert_eq!(snapshot.domain(id).await.unwrap(), Some(domain(1)));
    assert_eq!(snapshot.session(id, session_id(1)).await.unwrap(), Some(session(1, 1)));
    assert_eq!(snapshot.session(id, session_id(2)).await.unwrap(), Some(bare_session));
    assert_eq!(snapshot.pack(id, pack_name(1)).await.unwrap(), Some(pack(1, 1)));
    assert_eq!(snapshot.pack(id, pack_name(2)).await.unwrap(), Some(bare_pack));
    assert_eq!(snapshot.pack(id, pack_name(3)).await.unwrap(), Some(empty_footer));
    assert_eq!(snapshot.condemned(id).await.unwrap(), [condemned(1, 1, 5)]);
    assert_eq!(snapshot.damage(id).await.unwrap(), [damage(1, 1, 6)]);
    assert_eq!(snapshot.damage_of_pack(id, pack_name(1)).await.unwrap(), [damage(1, 1, 6)]);
    assert_eq!(snapshot.damage_of_pack(id, pack_name(2)).await.unwrap(), []);
    assert_eq!(snapshot.point(id, point_id(1)).await.unwrap(), Some(point(1, 1)));
    assert_eq!(snapshot.point(id, point_id(2)).await.unwrap(), Some(bare_point));
    assert_eq!(snapshot.head(id, &item(1)).await.unwrap(), Some(head(1, 1)));
    assert_eq!(snapshot.journal(id, JournalNumber(1)).await.unwrap(), Some(journal(1, 1)));
    assert_eq!(snapshot.segments(id).await.unwrap(), [segment(1, 1)]);
}

async fn a_second_put_replaces_the_row(ledger: AnyLedger) {
    let id = domain_id(1);
    let mut changed = pack(1, 1);
    (changed.number, changed.state, changed.footer) = (9, PackState::Issued, None);
    commit(&ledger, async |transaction| put_everywhere(transaction, 1, 1).await).await;
    commit(&ledger, async |transaction| {
        transaction.put_pack(&changed).await.unwrap();
        let ready = DomainRow { ready: false, ..domain(1) };
        transaction.put_domain(&ready).await.unwrap();
        let expired = SessionRow { state: SessionState::Expired, ..session(1, 1) };
        transaction.put_session(&expired).await.unwrap();
        transaction.put_condemned(&CondemnedRow { places: vec![3], ..condemned(1, 1, 5) }).await.unwrap();
        transaction.put_point(&PointRow { purged_at: None, ..point(1, 1) }).await.unwrap();
        transaction.put_journal(&JournalRow { state: JournalState::Done, ..journal(1, 1) }).await.unwrap();
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    assert_eq!(snapshot.pack(id, pack_name(1)).await.unwrap(), Some(changed));
    assert!(!snapshot.domain(id).await.unwrap().unwrap().ready);
    assert_eq!(snapshot.sessions(id, SessionState::Open).await.unwrap(), []);
    assert_eq!(snapshot.sessions(id, SessionState::Expired).await.unwrap().len(), 1);
    assert_eq!(snapshot.condemned(id).await.unwrap()[0].places, [3]);
    assert_eq!(snapshot.points(id).await.unwrap()[0].purged_at, None);
    assert_eq!(snapshot.journal_in(id, JournalState::Pending).await.unwrap(), []);
}

async fn removed_rows_are_gone_and_others_stay(ledger: AnyLedger) {
    let id = domain_id(1);
    commit(&ledger, async |transaction| {
        put_everywhere(transaction, 1, 1).await;
        put_everywhere(transaction, 1, 2).await;
        put_everywhere(transaction, 2, 1).await;
        transaction.put_condemned(&condemned(1, 1, 6)).await.unwrap();
        transaction.put_damage(&damage(1, 1, 7)).await.unwrap();
    })
    .await;
    commit(&ledger, async |transaction| {
        transaction.remove_session(id, session_id(1)).await.unwrap();
        transaction.remove_pack(id, pack_name(1)).await.unwrap();
        transaction.remove_condemned(id, pack_name(1)).await.unwrap();
        transaction.remove_damage(id, pack_name(1)).await.unwrap();
        transaction.remove_point(id, point_id(1)).await.unwrap();
        transaction.remove_segment(id, 1).await.unwrap();
        transaction.remove_segment(id, u64::MAX).await.unwrap();
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    assert_eq!(snapshot.sessions(id, SessionState::Open).await.unwrap(), [session(1, 2)]);
    assert_eq!(snapshot.pack(id, pack_name(1)).await.unwrap(), None);
    assert_eq!(snapshot.tails(id).await.unwrap(), [pack(1, 2)]);
    assert_eq!(snapshot.condemned(id).await.unwrap(), [condemned(1, 2, 5)]);
    assert_eq!(snapshot.damage(id).await.unwrap(), [damage(1, 2, 6)]);
    assert_eq!(snapshot.points(id).await.unwrap(), [point(1, 2)]);
    assert_eq!(snapshot.segments(id).await.unwrap(), [segment(1, 2)]);
    assert_eq!(snapshot.tails(domain_id(2)).await.unwrap(), [pack(2, 1)]);
}

async fn lists_are_in_their_order(ledger: AnyLedger) {
    let id = domain_id(1);
    commit(&ledger, async |transaction| {
        // by number first, and by name where that is equal
        for (name, number) in [(1, 300), (2, 2), (3, 1), (4, 2)] {
            transaction.put_pack(&PackRow { number, ..pack(1, name) }).await.unwrap();
            transaction.put_session(&SessionRow { number, ..session(1, name) }).await.unwrap();
            transaction.put_point(&PointRow { number: JournalNumber(number), ..point(1, name) }).await.unwrap();
            transaction.put_journal(&journal(1, number)).await.unwrap();
            transaction.put_segment(&segment(1, 10 * number + u64::from(name))).await.unwrap();
        }
        for (pack, second) in [(2, 256), (2, 3), (1, 9), (2, 1)] {
            transaction.put_condemned(&condemned(1, pack, second)).await.unwrap();
            transaction.put_damage(&damage(1, pack, second as u32)).await.unwrap();
        }
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    let names = |rows: Vec<PackRow>| rows.iter().map(|row| row.name.0[0]).collect::<Vec<u8>>();
    assert_eq!(names(snapshot.packs(id).await.unwrap()), [3, 2, 4, 1]);
    assert_eq!(names(snapshot.tails(id).await.unwrap()), [3, 2, 4, 1]);
    assert_eq!(names(snapshot.packs_of_session(id, session_id(1)).await.unwrap()), [3, 2, 4, 1]);
    let sessions = snapshot.sessions(id, SessionState::Open).await.unwrap();
    assert_eq!(sessions.iter().map(|row| row.id.0[0]).collect::<Vec<_>>(), [3, 2, 4, 1]);
    let points = snapshot.points(id).await.unwrap();
    assert_eq!(points.iter().map(|row| row.id.0[0]).collect::<Vec<_>>(), [3, 2, 4, 1]);
    assert_eq!(snapshot.points_of_item(id, &item(1)).await.unwrap(), points);
    let entries = snapshot.journal_in(id, JournalState::Pending).await.unwrap();
    assert_eq!(entries.iter().map(|row| row.number.0).collect::<Vec<_>>(), [1, 2, 300]);
    assert_eq!(snapshot.segments(id).await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [13, 22, 24, 3001]);
    let copies = snapshot.condemned(id).await.unwrap();
    assert_eq!(copies.iter().map(|row| (row.pack.0[0], row.generation)).collect::<Vec<_>>(), [(1, 9), (2, 1), (2, 3), (2, 256)]);
    let damaged = snapshot.damage(id).await.unwrap();
    assert_eq!(damaged.iter().map(|row| (row.pack.0[0], row.place)).collect::<Vec<_>>(), [(1, 9), (2, 1), (2, 3), (2, 256)]);
}

async fn sessions_and_journal_are_listed_by_state(ledger: AnyLedger) {
    let id = domain_id(1);
    commit(&ledger, async |transaction| {
        for (number, state) in SESSION_STATES.into_iter().enumerate() {
            transaction.put_session(&SessionRow { state, ..session(1, number as u8) }).await.unwrap();
        }
        transaction.put_journal(&journal(1, 1)).await.unwrap();
        transaction.put_journal(&JournalRow { state: JournalState::Done, ..journal(1, 2) }).await.unwrap();
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    for (number, state) in SESSION_STATES.into_iter().enumerate() {
        let rows = snapshot.sessions(id, state).await.unwrap();
        assert_eq!(rows.iter().map(|row| (row.id, row.state)).collect::<Vec<_>>(), [(session_id(number as u8), state)]);
    }
    assert_eq!(snapshot.journal_in(id, JournalState::Pending).await.unwrap(), [journal(1, 1)]);
    assert_eq!(snapshot.journal_in(id, JournalState::Done).await.unwrap()[0].number, JournalNumber(2));
    assert_eq!(snapshot.journal(id, JournalNumber(3)).await.unwrap(), None);
}

async fn lists_of_packs_leave_the_footers_out(ledger: AnyLedger) {
    commit(&ledger, async |transaction| transaction.put_pack(&pack(1, 1)).await.unwrap()).await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    let bare = PackRow { footer: None, ..pack(1, 1) };
    assert_eq!(snapshot.packs(domain_id(1)).await.unwrap(), std::slice::from_ref(&bare));
    assert_eq!(snapshot.packs_of_session(domain_id(1), session_id(1)).await.unwrap(), [bare]);
    assert_eq!(snapshot.packs_of_session(domain_id(1), session_id(2)).await.unwrap(), []);
}

async fn tails_are_packs_in_use_that_no_segment_covers(ledger: AnyLedger) {
    commit(&ledger, async |transaction| {
        for (number, state) in PACK_STATES.into_iter().enumerate() {
            transaction.put_pack(&PackRow { state, ..pack(1, number as u8) }).await.unwrap();
            transaction.put_pack(&PackRow { state, segment: Some(0), ..pack(1, 10 + number as u8) }).await.unwrap();
        }
        // a footer may be missing; the pack is in the tails all the same
        transaction.put_pack(&PackRow { footer: None, ..pack(1, 20) }).await.unwrap();
    })
    .await;
    let tails = ledger.snapshot().await.unwrap().tails(domain_id(1)).await.unwrap();
    let registered = PackRow { state: PackState::Registered, ..pack(1, 1) };
    assert_eq!(tails, [registered, pack(1, 2), PackRow { footer: None, ..pack(1, 20) }]);
}

async fn packs_in_use_are_moved_from_segment_to_segment(ledger: AnyLedger) {
    let in_segment = |number: u8, segment| PackRow { segment, footer: None, ..pack(1, number) };
    commit(&ledger, async |transaction| {
        for (number, segment) in [(1, Some(1)), (2, Some(2)), (3, Some(3)), (4, None)] {
            transaction.put_pack(&in_segment(number, segment)).await.unwrap();
        }
        transaction.put_pack(&PackRow { state: PackState::Registered, ..in_segment(5, Some(1)) }).await.unwrap();
        transaction.put_pack(&PackRow { state: PackState::Deleting, ..in_segment(6, Some(1)) }).await.unwrap();
        transaction.put_pack(&PackRow { segment: Some(1), footer: None, ..pack(2, 1) }).await.unwrap();
        let from = BTreeSet::from([1, 3, 7, u64::MAX]);
        assert_eq!(transaction.move_packs(domain_id(1), &from, 9).await.unwrap(), 3);
        assert_eq!(transaction.move_packs(domain_id(1), &from, 9).await.unwrap(), 0);
        assert_eq!(transaction.move_packs(domain_id(1), &BTreeSet::new(), 9).await.unwrap(), 0);
        assert!(transaction.move_packs(domain_id(1), &from, MAX + 1).await.is_err());
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    let segments: Vec<_> = snapshot.packs(domain_id(1)).await.unwrap().iter().map(|row| row.segment).collect();
    assert_eq!(segments, [Some(9), Some(2), Some(9), None, Some(9), Some(1)]);
    assert_eq!(snapshot.packs(domain_id(2)).await.unwrap()[0].segment, Some(1));
    assert!(snapshot.move_packs(domain_id(1), &BTreeSet::from([9]), 1).await.is_err(), "a snapshot writes nothing");
}

async fn an_update_of_a_pack_keeps_its_footer(ledger: AnyLedger) {
    let covered = PackRow { segment: Some(4), number: 7, footer: None, ..pack(1, 1) };
    commit(&ledger, async |transaction| transaction.put_pack(&pack(1, 1)).await.unwrap()).await;
    commit(&ledger, async |transaction| {
        transaction.update_pack(&covered).await.unwrap();
        assert!(transaction.update_pack(&pack(1, 2)).await.is_err(), "a pack that is not there cannot be updated");
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    let expected = PackRow { footer: pack(1, 1).footer, ..covered };
    assert_eq!(snapshot.pack(domain_id(1), pack_name(1)).await.unwrap(), Some(expected));
    assert_eq!(snapshot.pack(domain_id(1), pack_name(2)).await.unwrap(), None);
}

async fn condemned_copies_without_places_are_removed(ledger: AnyLedger) {
    let unproven = condemned(1, 1, CondemnedRow::UNPROVEN);
    commit(&ledger, async |transaction| {
        transaction.put_condemned(&condemned(1, 1, 5)).await.unwrap();
        transaction.put_condemned(&unproven).await.unwrap();
        transaction.put_condemned(&CondemnedRow { places: vec![], ..condemned(1, 1, 5) }).await.unwrap();
        transaction.put_condemned(&CondemnedRow { places: vec![], ..condemned(1, 2, 5) }).await.unwrap();
    })
    .await;
    assert_eq!(ledger.snapshot().await.unwrap().condemned(domain_id(1)).await.unwrap(), [unproven]);
}

async fn a_segment_is_inserted_once(ledger: AnyLedger) {
    commit(&ledger, async |transaction| {
        transaction.put_segment(&segment(1, 1)).await.unwrap();
        assert!(transaction.put_segment(&SegmentRow { packs: 99, ..segment(1, 1) }).await.is_err());
        transaction.put_segment(&segment(2, 1)).await.unwrap();
    })
    .await;
    assert_eq!(ledger.snapshot().await.unwrap().segments(domain_id(1)).await.unwrap(), [segment(1, 1)]);
}

async fn settings_are_set_and_removed(ledger: AnyLedger) {
    commit(&ledger, async |transaction| {
        transaction.put_setting("kept", Some(Bytes::from_static(b"old"))).await.unwrap();
        transaction.put_setting("kept", Some(Bytes::from_static(b"new"))).await.unwrap();
        transaction.put_setting("empty", Some(Bytes::new())).await.unwrap();
        transaction.put_setting("removed", Some(Bytes::from_static(b"x"))).await.unwrap();
        transaction.put_setting("removed", None).await.unwrap();
        transaction.put_setting("never there", None).await.unwrap();
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    assert_eq!(snapshot.setting("kept").await.unwrap(), Some(Bytes::from_static(b"new")));
    assert_eq!(snapshot.setting("empty").await.unwrap(), Some(Bytes::new()));
    assert_eq!(snapshot.setting("removed").await.unwrap(), None);
}

async fn numbers_up_to_the_limit_are_kept_and_larger_ones_refused(ledger: AnyLedger) {
    let row = PackRow { number: MAX, length: MAX, segment: Some(MAX), entries: u32::MAX, sightings: u8::MAX, ..pack(1, 1) };
    let (earliest, latest) = (i64::MIN, Some(i64::MAX));
    let limits = SessionRow { opened_ms: earliest, lease_until_ms: latest, generation: MAX, ..session(1, 1) };
    commit(&ledger, async |transaction| {
        transaction.put_pack(&row).await.unwrap();
        transaction.put_session(&limits).await.unwrap();
        transaction.put_journal(&journal(1, MAX)).await.unwrap();
        transaction.put_damage(&damage(1, 1, u32::MAX)).await.unwrap();
        for over in [MAX + 1, u64::MAX] {
            assert!(transaction.put_pack(&PackRow { number: over, ..pack(1, 2) }).await.is_err());
            assert!(transaction.put_pack(&PackRow { length: over, ..pack(1, 2) }).await.is_err());
            assert!(transaction.put_pack(&PackRow { segment: Some(over), ..pack(1, 2) }).await.is_err());
            assert!(transaction.put_session(&SessionRow { generation: over, ..session(1, 2) }).await.is_err());
            assert!(transaction.put_condemned(&condemned(1, 2, over)).await.is_err());
            assert!(transaction.put_journal(&journal(1, over)).await.is_err());
            assert!(transaction.put_segment(&segment(1, over)).await.is_err());
            assert!(transaction.put_point(&PointRow { purged_at: Some(over), ..point(1, 2) }).await.is_err());
            assert!(transaction.put_domain(&DomainRow { next_pack: over, ..domain(1) }).await.is_err());
        }
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    assert_eq!(snapshot.tails(domain_id(1)).await.unwrap(), []);
    assert_eq!(snapshot.pack(domain_id(1), pack_name(1)).await.unwrap(), Some(row));
    assert_eq!(snapshot.pack(domain_id(1), pack_name(2)).await.unwrap(), None);
    assert_eq!(snapshot.sessions(domain_id(1), SessionState::Open).await.unwrap(), [limits]);
    assert_eq!(snapshot.journal(domain_id(1), JournalNumber(MAX)).await.unwrap(), Some(journal(1, MAX)));
    assert_eq!(snapshot.journal(domain_id(1), JournalNumber(u64::MAX)).await.unwrap(), None);
    assert_eq!(snapshot.damage(domain_id(1)).await.unwrap(), [damage(1, 1, u32::MAX)]);
}

async fn large_values_come_back(ledger: AnyLedger) {
    let large: Bytes = (0..LARGE).map(|number| ((number * 31) >> 7) as u8).collect();
    let rows = [1, 2, 3].map(|number| PackRow { footer: Some(large.slice(usize::from(number)..)), ..pack(1, number) });
    let places: Vec<u32> = (0..200_000).map(|number| number * 3).collect();
    commit(&ledger, async |transaction| {
        for row in &rows {
            transaction.put_pack(row).await.unwrap();
        }
        transaction.put_condemned(&CondemnedRow { places: places.clone(), ..condemned(1, 1, 1) }).await.unwrap();
        transaction.put_setting("large", Some(large.clone())).await.unwrap();
    })
    .await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    assert!(snapshot.tails(domain_id(1)).await.unwrap() == rows);
    assert!(snapshot.pack(domain_id(1), pack_name(2)).await.unwrap().as_ref() == Some(&rows[1]));
    assert!(snapshot.condemned(domain_id(1)).await.unwrap()[0].places == places);
    assert!(snapshot.setting("large").await.unwrap() == Some(large));
}

async fn an_erased_domain_leaves_nothing_behind_and_takes_nothing_else(ledger: AnyLedger) {
    commit(&ledger, async |transaction| {
        put_everywhere(transaction, 2, 1).await;
        transaction.put_setting("descriptor", Some(Bytes::from_static(b"kept"))).await.unwrap();
    })
    .await;
    let before = answers(&mut *ledger.snapshot().await.unwrap()).await;
    commit(&ledger, async |transaction| {
        put_everywhere(transaction, 1, 1).await;
        put_everywhere(transaction, 1, 2).await;
    })
    .await;
    assert_ne!(answers(&mut *ledger.snapshot().await.unwrap()).await, before);
    commit(&ledger, async |transaction| transaction.erase_domain(domain_id(1)).await.unwrap()).await;
    let mut snapshot = ledger.snapshot().await.unwrap();
    assert_eq!(answers(&mut *snapshot).await, before);
    assert_eq!(snapshot.setting("descriptor").await.unwrap(), Some(Bytes::from_static(b"kept")));
    // a pack of the same name does not find the old footer
    commit(&ledger, async |transaction| {
        transaction.put_pack(&PackRow { footer: None, ..pack(1, 1) }).await.unwrap();
    })
    .await;
    assert_eq!(row_of(&ledger, domain_id(1), pack_name(1)).await.footer, None);
}

async fn row_of(ledger: &AnyLedger, domain: DomainId, pack: PackName) -> PackRow {
    ledger.snapshot().await.unwrap().pack(domain, pack).await.unwrap().unwrap()
}
