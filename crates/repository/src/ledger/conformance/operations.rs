//! Random transactions on both ledgers: every answer is the same, whatever was written, committed or dropped before.

use super::samples::{
    KEYS, SESSION_STATES, any_condemned, any_damage, any_domain, any_head, any_journal, any_pack, any_point, any_segment,
    any_session, any_value, domain_id, item, key, pack_name, point_id, session_id,
};
use crate::ledger::{
    CondemnedRow, DamageRow, DomainRow, HeadRow, JournalRow, JournalState, Ledger, LedgerResult, MemoryLedger, PackRow, PointRow,
    SegmentRow, SessionRow, SqliteLedger, Transaction,
};
use bytes::Bytes;
use format::JournalNumber;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One call that writes.
#[derive(Debug, Clone)]
enum Write {
    Domain(DomainRow),
    EraseDomain(u8),
    Session(SessionRow),
    RemoveSession(u8, u8),
    Pack(PackRow),
    UpdatePack(PackRow),
    MovePacks(u8, BTreeSet<u64>, u64),
    RemovePack(u8, u8),
    Condemned(CondemnedRow),
    RemoveCondemned(u8, u8),
    Damage(DamageRow),
    RemoveDamage(u8, u8),
    Point(PointRow),
    RemovePoint(u8, u8),
    Head(HeadRow),
    Journal(JournalRow),
    Segment(SegmentRow),
    RemoveSegment(u8, u64),
    Setting(u8, Option<Bytes>),
}

#[derive(Debug, Clone)]
struct Script {
    writes: Vec<Write>,
    committed: bool,
}

fn any_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        2 => any_domain().prop_map(Write::Domain),
        1 => key().prop_map(Write::EraseDomain),
        6 => any_session().prop_map(Write::Session),
        2 => (key(), key()).prop_map(|(domain, session)| Write::RemoveSession(domain, session)),
        8 => any_pack().prop_map(Write::Pack),
        6 => any_pack().prop_map(Write::UpdatePack),
        3 => (key(), btree_set(0..4u64, 0..3), prop_oneof![0..4u64, any::<u64>()])
            .prop_map(|(domain, from, to)| Write::MovePacks(domain, from, to)),
        2 => (key(), key()).prop_map(|(domain, pack)| Write::RemovePack(domain, pack)),
        6 => any_condemned().prop_map(Write::Condemned),
        2 => (key(), key()).prop_map(|(domain, pack)| Write::RemoveCondemned(domain, pack)),
        4 => any_damage().prop_map(Write::Damage),
        2 => (key(), key()).prop_map(|(domain, pack)| Write::RemoveDamage(domain, pack)),
        6 => any_point().prop_map(Write::Point),
        2 => (key(), key()).prop_map(|(domain, point)| Write::RemovePoint(domain, point)),
        4 => any_head().prop_map(Write::Head),
        4 => any_journal().prop_map(Write::Journal),
        4 => any_segment().prop_map(Write::Segment),
        2 => (key(), prop_oneof![0..4u64, any::<u64>()]).prop_map(|(domain, segment)| Write::RemoveSegment(domain, segment)),
        3 => (key(), any_value()).prop_map(|(name, value)| Write::Setting(name, value)),
    ]
}

fn any_script() -> impl Strategy<Value = Script> {
    (vec(any_write(), 0..16), prop::bool::weighted(0.75)).prop_map(|(writes, committed)| Script { writes, committed })
}

async fn apply(transaction: &mut dyn Transaction, write: &Write) -> LedgerResult<()> {
    match write.clone() {
        Write::Domain(row) => transaction.put_domain(&row).await,
        Write::EraseDomain(domain) => transaction.erase_domain(domain_id(domain)).await,
        Write::Session(row) => transaction.put_session(&row).await,
        Write::RemoveSession(domain, session) => transaction.remove_session(domain_id(domain), session_id(session)).await,
        Write::Pack(row) => transaction.put_pack(&row).await,
        Write::UpdatePack(row) => transaction.update_pack(&row).await,
        Write::MovePacks(domain, from, to) => transaction.move_packs(domain_id(domain), &from, to).await.map(drop),
        Write::RemovePack(domain, pack) => transaction.remove_pack(domain_id(domain), pack_name(pack)).await,
        Write::Condemned(row) => transaction.put_condemned(&row).await,
        Write::RemoveCondemned(domain, pack) => transaction.remove_condemned(domain_id(domain), pack_name(pack)).await,
        Write::Damage(row) => transaction.put_damage(&row).await,
        Write::RemoveDamage(domain, pack) => transaction.remove_damage(domain_id(domain), pack_name(pack)).await,
        Write::Point(row) => transaction.put_point(&row).await,
        Write::RemovePoint(domain, point) => transaction.remove_point(domain_id(domain), point_id(point)).await,
        Write::Head(row) => transaction.put_head(&row).await,
        Write::Journal(row) => transaction.put_journal(&row).await,
        Write::Segment(row) => transaction.put_segment(&row).await,
        Write::RemoveSegment(domain, segment) => transaction.remove_segment(domain_id(domain), segment).await,
        Write::Setting(name, value) => transaction.put_setting(&setting(name), value).await,
    }
}

fn setting(name: u8) -> String {
    format!("setting {name}")
}

/// Answers of every method that reads, for every key there is.
pub(in crate::ledger) async fn answers(transaction: &mut dyn Transaction) -> Vec<String> {
    let mut answers = Vec::new();
    macro_rules! ask {
        ($($call:tt)*) => {
            let answer = transaction.$($call)*.await.unwrap();
            answers.push(format!("{}: {answer:?}", stringify!($($call)*)));
        };
    }
    for domain in (0..KEYS).map(domain_id) {
        ask!(domain(domain));
        ask!(packs(domain));
        ask!(tails(domain));
        ask!(condemned(domain));
        ask!(damage(domain));
        ask!(points(domain));
        ask!(segments(domain));
        ask!(journal_in(domain, JournalState::Pending));
        ask!(journal_in(domain, JournalState::Done));
        for state in SESSION_STATES {
            ask!(sessions(domain, state));
        }
        for key in 0..KEYS {
            ask!(session(domain, session_id(key)));
            ask!(pack(domain, pack_name(key)));
            ask!(pack_alone(domain, pack_name(key)));
            ask!(packs_of_session(domain, session_id(key)));
            ask!(point(domain, point_id(key)));
            ask!(points_of_item(domain, &item(key)));
            ask!(head(domain, &item(key)));
            ask!(journal(domain, JournalNumber(u64::from(key))));
        }
        ask!(journal(domain, JournalNumber(u64::MAX)));
    }
    for name in 0..KEYS {
        ask!(setting(&setting(name)));
    }
    answers
}

async fn play(memory: &MemoryLedger, sqlite: &SqliteLedger, scripts: &[Script]) {
    let mut earlier = Vec::new();
    for script in scripts {
        let mut one = memory.begin().await.unwrap();
        let mut other = sqlite.begin().await.unwrap();
        for write in &script.writes {
            let (left, right) = (apply(&mut *one, write).await, apply(&mut *other, write).await);
            assert_eq!(left.is_ok(), right.is_ok(), "{write:?}: {left:?}, {right:?}");
        }
        assert_eq!(answers(&mut *one).await, answers(&mut *other).await, "inside of the transaction");
        if script.committed {
            one.commit().await.unwrap();
            other.commit().await.unwrap();
        } else {
            drop((one, other));
        }
        let (mut one, mut other) = (memory.snapshot().await.unwrap(), sqlite.snapshot().await.unwrap());
        let seen = answers(&mut *one).await;
        assert_eq!(seen, answers(&mut *other).await, "after the transaction");
        earlier.push((one, other, seen));
    }
    for (mut one, mut other, seen) in earlier {
        assert_eq!(seen, answers(&mut *one).await, "a snapshot in memory changed");
        assert_eq!(seen, answers(&mut *other).await, "a snapshot of the file changed");
    }
}

async fn clear(ledger: &dyn Ledger) {
    let mut transaction = ledger.begin().await.unwrap();
    for key in 0..KEYS {
        transaction.erase_domain(domain_id(key)).await.unwrap();
        transaction.put_setting(&setting(key), None).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

#[test]
fn both_ledgers_answer_the_same_after_any_operations() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let sqlite = runtime.block_on(SqliteLedger::create(&directory.path().join("ledger"))).unwrap();
    // each case waits for the disk some ten times
    let cases = std::env::var("PROPTEST_CASES").map_or(48, |cases| cases.parse().unwrap());
    let options = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(options, |(scripts in vec(any_script(), 1..6))| {
        runtime.block_on(async {
            clear(&sqlite).await;
            play(&MemoryLedger::new(), &sqlite, &scripts).await;
        });
    });
}
