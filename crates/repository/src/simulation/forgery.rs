//! What somebody who holds the storage, and no certified key, may plant there.

use super::identity::{IDENTITY, Signer, item};
use super::walker::{at_once, objects};
use bytes::Bytes;
use format::journal::{JournalEntry, Payload};
use format::record::{RecordBody, RecordKind, SignedRecord};
use format::{BlobId, DomainId, Incarnation, JournalNumber, KeyId, PointId, Sequence, VaultId, names};
use std::collections::BTreeSet;
use storage::{MemoryStore, ObjectName, ObjectStore};

/// Plants forged records behind the journal's end. Answers their ids.
pub(super) fn plant(store: &MemoryStore) -> BTreeSet<PointId> {
    let found = objects(store, &names::journal_entries(IDENTITY.domain));
    let last = found.iter().filter_map(|(name, _)| names::parse_number(name).ok()).max().map_or(JournalNumber(0), JournalNumber);
    let entries: Vec<JournalEntry> = found.iter().filter_map(|(_, bytes)| JournalEntry::parse(bytes).ok()).collect();
    let incarnation = entries.iter().map(|entry| entry.incarnation).max().unwrap_or(Incarnation(1));
    let sample = entries.iter().rev().find_map(|entry| match &entry.payload {
        Payload::Record { record, .. } => SignedRecord::parse(record).ok(),
        _ => None,
    });
    let body = sample.map_or_else(plain_body, |record| record.body);
    let mut forged = BTreeSet::new();
    let mut number = last;
    for record in records(&body) {
        number = number.next();
        forged.insert(record.id());
        let payload = Payload::Record { received_ms: 0, record: record.encode() };
        put(store, &JournalEntry { domain: IDENTITY.domain, number, incarnation, time_ms: 0, payload });
    }
    forged
}

/// Records that must never be served, each for another reason.
fn records(body: &RecordBody) -> Vec<SignedRecord> {
    let next = |item_number: usize, nonce: u8| RecordBody {
        item: item(item_number),
        kind: RecordKind::Point,
        sequence: Sequence(body.sequence.0 + 1000),
        previous: None,
        metadata_nonce: [nonce; 12],
        ..body.clone()
    };
    let sign = |signer: &Signer, body: RecordBody| signer.sign(body);
    let mut damaged = sign(&IDENTITY.agent, next(0, 101));
    damaged.signature.0[5] ^= 1;
    let mut lent = sign(&IDENTITY.stranger, next(0, 102));
    lent.agent = IDENTITY.agent.key();
    vec![
        damaged,
        lent,
        sign(&IDENTITY.stranger, next(0, 103)),
        sign(&IDENTITY.narrow, next(1, 104)),
        sign(&IDENTITY.agent, RecordBody { vault: VaultId([9; 16]), ..next(0, 105) }),
        sign(&IDENTITY.agent, RecordBody { domain: DomainId([9; 16]), ..next(0, 106) }),
    ]
}

fn plain_body() -> RecordBody {
    RecordBody {
        vault: IDENTITY.vault,
        domain: IDENTITY.domain,
        item: item(0),
        kind: RecordKind::Point,
        sequence: Sequence(1),
        previous: None,
        root: BlobId([1; 32]),
        key: KeyId([1; 32]),
        agent_time_ms: 0,
        metadata_nonce: [0; 12],
        metadata: Vec::new(),
    }
}

fn put(store: &MemoryStore, entry: &JournalEntry) {
    let name = ObjectName::new(names::journal(IDENTITY.domain, JournalNumber(entry.number.0))).unwrap();
    at_once(store.put(&name, Bytes::from(entry.encode()))).unwrap();
}
