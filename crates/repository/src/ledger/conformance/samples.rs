//! Rows for tests: plain ones by number, and any at all for property tests.
//!
//! Keys come from a small set, so that random rows meet each other; everything else takes any value.

use crate::ledger::{
    CondemnedRow, DamageRow, DamageSource, DomainRow, HeadRow, JournalRow, JournalState, PackRow, PackState, PointRow,
    PointRowState, SegmentRow, SessionKind, SessionRow, SessionState,
};
use bytes::Bytes;
use format::blob::BlobKind;
use format::record::RecordKind;
use format::{
    AgentKey, BlobId, ClaimNonce, DomainId, FooterHash, Incarnation, ItemName, JournalNumber, KeyId, PackName, PointId, Sequence,
    SessionId,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(in crate::ledger) const SESSION_STATES: [SessionState; 4] =
    [SessionState::Open, SessionState::Committing, SessionState::Committed, SessionState::Expired];
pub(in crate::ledger) const PACK_STATES: [PackState; 4] =
    [PackState::Issued, PackState::Registered, PackState::Proven, PackState::Deleting];
const POINT_STATES: [PointRowState; 5] = [
    PointRowState::Pending,
    PointRowState::Committed,
    PointRowState::SoftDeleted,
    PointRowState::Purged,
    PointRowState::SetAside,
];

/// How many keys of each kind there are.
pub(in crate::ledger) const KEYS: u8 = 4;

pub(in crate::ledger) fn domain_id(number: u8) -> DomainId {
    DomainId([number; 16])
}

pub(in crate::ledger) fn session_id(number: u8) -> SessionId {
    SessionId([number; 16])
}

pub(in crate::ledger) fn pack_name(number: u8) -> PackName {
    PackName([number; 16])
}

pub(in crate::ledger) fn point_id(number: u8) -> PointId {
    PointId([number; 32])
}

pub(in crate::ledger) fn item(number: u8) -> ItemName {
    ItemName::new(&format!("item-{number}")).unwrap()
}

pub(in crate::ledger) fn domain(number: u8) -> DomainRow {
    DomainRow {
        domain: domain_id(number),
        incarnation: Incarnation(1),
        nonce: ClaimNonce([7; 16]),
        ready: true,
        next_number: JournalNumber(2),
        next_pack: 3,
        next_session: 4,
        next_segment: 5,
        marking: 6,
        generation: 7,
    }
}

pub(in crate::ledger) fn session(domain: u8, number: u8) -> SessionRow {
    SessionRow {
        domain: domain_id(domain),
        id: session_id(number),
        number: u64::from(number),
        kind: SessionKind::Write,
        state: SessionState::Open,
        item: Some(item(number)),
        agent: Some(AgentKey([8; 32])),
        generation: 9,
        pinned: Some(point_id(1)),
        key: Some(KeyId([10; 32])),
        opened_ms: -11,
        lease_until_ms: Some(12),
        point: Some(point_id(2)),
    }
}

pub(in crate::ledger) fn pack(domain: u8, number: u8) -> PackRow {
    PackRow {
        domain: domain_id(domain),
        name: pack_name(number),
        number: u64::from(number),
        kind: Some(BlobKind::Page),
        state: PackState::Proven,
        session: Some(session_id(1)),
        length: 13,
        entries: 14,
        footer_hash: FooterHash([15; 32]),
        recovered: true,
        sightings: 16,
        frame_damaged: true,
        segment: None,
        footer: Some(Bytes::from_static(b"footer")),
    }
}

pub(in crate::ledger) fn condemned(domain: u8, pack: u8, generation: u64) -> CondemnedRow {
    CondemnedRow { domain: domain_id(domain), pack: pack_name(pack), generation, places: vec![0, 1, 1000, u32::MAX] }
}

pub(in crate::ledger) fn damage(domain: u8, pack: u8, place: u32) -> DamageRow {
    DamageRow { domain: domain_id(domain), pack: pack_name(pack), place, blob: BlobId([17; 32]), source: DamageSource::Verified }
}

pub(in crate::ledger) fn point(domain: u8, number: u8) -> PointRow {
    PointRow {
        domain: domain_id(domain),
        id: point_id(number),
        kind: RecordKind::Checkpoint,
        item: item(1),
        sequence: Sequence(18),
        root: BlobId([19; 32]),
        state: PointRowState::SoftDeleted,
        number: JournalNumber(u64::from(number)),
        session: Some(session_id(1)),
        time_ms: -20,
        received_ms: 21,
        purged_at: Some(22),
        record: Bytes::from_static(b"record"),
    }
}

pub(in crate::ledger) fn head(domain: u8, number: u8) -> HeadRow {
    HeadRow { domain: domain_id(domain), item: item(number), point: point_id(number), sequence: Sequence(23) }
}

pub(in crate::ledger) fn journal(domain: u8, number: u64) -> JournalRow {
    JournalRow {
        domain: domain_id(domain),
        number: JournalNumber(number),
        state: JournalState::Pending,
        bytes: Bytes::from_static(b"entry"),
    }
}

pub(in crate::ledger) fn segment(domain: u8, id: u64) -> SegmentRow {
    SegmentRow { domain: domain_id(domain), id, packs: 24, entries: 25 }
}

pub(super) fn key() -> impl Strategy<Value = u8> {
    0..KEYS
}

/// Mostly numbers that fit, some of them only just; seldom one that does not.
fn number() -> impl Strategy<Value = u64> {
    const MAX: u64 = i64::MAX as u64;
    prop_oneof![30 => 0..4u64, 30 => 0..=MAX, 5 => MAX - 2..=MAX, 1 => MAX + 1..=u64::MAX]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 6000..6001)].prop_map(Bytes::from)
}

pub(super) fn any_domain() -> impl Strategy<Value = DomainRow> {
    (key(), any::<[u8; 16]>(), any::<bool>(), [number(), number(), number(), number(), number(), number(), number()]).prop_map(
        |(domain, nonce, ready, numbers)| {
            let [incarnation, next_number, next_pack, next_session, next_segment, marking, generation] = numbers;
            DomainRow {
                domain: domain_id(domain),
                incarnation: Incarnation(incarnation),
                nonce: ClaimNonce(nonce),
                ready,
                next_number: JournalNumber(next_number),
                next_pack,
                next_session,
                next_segment,
                marking,
                generation,
            }
        },
    )
}

pub(super) fn any_session() -> impl Strategy<Value = SessionRow> {
    let kinds = select(vec![SessionKind::Write, SessionKind::Read, SessionKind::Collect]);
    let keys = (key(), key(), number(), number(), kinds, select(SESSION_STATES.to_vec()));
    let rest = (option::of(key()), option::of(any::<[u8; 32]>()), option::of(any::<[u8; 32]>()));
    let times = (any::<i64>(), option::of(any::<i64>()), option::of(key()), option::of(key()));
    (keys, rest, times).prop_map(|((domain, id, number, generation, kind, state), (named, agent, sealing), times)| {
        let (opened_ms, lease_until_ms, pinned, point) = times;
        SessionRow {
            domain: domain_id(domain),
            id: session_id(id),
            number,
            kind,
            state,
            item: named.map(item),
            agent: agent.map(AgentKey),
            generation,
            pinned: pinned.map(point_id),
            key: sealing.map(KeyId),
            opened_ms,
            lease_until_ms,
            point: point.map(point_id),
        }
    })
}

pub(super) fn any_pack() -> impl Strategy<Value = PackRow> {
    let keys = (key(), key(), number(), option::of(key()), select(PACK_STATES.to_vec()));
    let kind = option::of(select(vec![BlobKind::Data, BlobKind::Page]));
    let sizes = (number(), any::<u32>(), any::<[u8; 32]>());
    let marks = (any::<bool>(), any::<u8>(), any::<bool>(), option::of(number()), option::of(bytes()));
    (keys, kind, sizes, marks).prop_map(|(keys, kind, (length, entries, footer_hash), marks)| {
        let (domain, name, number, session, state) = keys;
        let (recovered, sightings, frame_damaged, segment, footer) = marks;
        PackRow {
            domain: domain_id(domain),
            name: pack_name(name),
            number,
            kind,
            state,
            session: session.map(session_id),
            length,
            entries,
            footer_hash: FooterHash(footer_hash),
            recovered,
            sightings,
            frame_damaged,
            segment,
            footer,
        }
    })
}

pub(super) fn any_condemned() -> impl Strategy<Value = CondemnedRow> {
    let places = prop_oneof![
        btree_set(any::<u32>(), 0..20).prop_map(|places| places.into_iter().collect()),
        vec(0..3u32, 0..4), // often not ascending
    ];
    (key(), key(), number(), places).prop_map(|(domain, pack, generation, places)| CondemnedRow {
        domain: domain_id(domain),
        pack: pack_name(pack),
        generation,
        places,
    })
}

pub(super) fn any_damage() -> impl Strategy<Value = DamageRow> {
    let sources = select(vec![DamageSource::Verified, DamageSource::Reported, DamageSource::Unreadable]);
    let places = prop_oneof![0..3u32, any::<u32>()];
    (key(), key(), places, any::<[u8; 32]>(), sources).prop_map(|(domain, pack, place, blob, source)| DamageRow {
        domain: domain_id(domain),
        pack: pack_name(pack),
        place,
        blob: BlobId(blob),
        source,
    })
}

pub(super) fn any_point() -> impl Strategy<Value = PointRow> {
    let kinds = select(vec![RecordKind::Point, RecordKind::Checkpoint]);
    let keys = (key(), key(), key(), kinds, select(POINT_STATES.to_vec()), number(), number());
    let rest = (any::<[u8; 32]>(), option::of(key()), any::<i64>(), any::<i64>(), option::of(number()), bytes());
    (keys, rest).prop_map(|((domain, id, named, kind, state, sequence, number), rest)| {
        let (root, session, time_ms, received_ms, purged_at, record) = rest;
        PointRow {
            domain: domain_id(domain),
            id: point_id(id),
            kind,
            item: item(named),
            sequence: Sequence(sequence),
            root: BlobId(root),
            state,
            number: JournalNumber(number),
            session: session.map(session_id),
            time_ms,
            received_ms,
            purged_at,
            record,
        }
    })
}

pub(super) fn any_head() -> impl Strategy<Value = HeadRow> {
    (key(), key(), any::<[u8; 32]>(), number()).prop_map(|(domain, named, point, sequence)| HeadRow {
        domain: domain_id(domain),
        item: item(named),
        point: PointId(point),
        sequence: Sequence(sequence),
    })
}

pub(super) fn any_journal() -> impl Strategy<Value = JournalRow> {
    (key(), number(), select(vec![JournalState::Pending, JournalState::Done]), bytes()).prop_map(
        |(domain, number, state, bytes)| JournalRow { domain: domain_id(domain), number: JournalNumber(number), state, bytes },
    )
}

pub(super) fn any_segment() -> impl Strategy<Value = SegmentRow> {
    (key(), number(), number(), number()).prop_map(|(domain, id, packs, entries)| SegmentRow {
        domain: domain_id(domain),
        id,
        packs,
        entries,
    })
}

pub(super) fn any_value() -> impl Strategy<Value = Option<Bytes>> {
    option::of(bytes())
}
