//! Objects of storage.

use crate::with_checksum;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use format::authority::Claim;
use format::blob::Inner;
use format::descriptor::Descriptor;
use format::enrolment::{Enrolment, Ticket};
use format::journal::JournalEntry;
use format::key_object::KeyObject;
use format::pack::{self, Footer, Trailer};
use format::record::SignedRecord;
use format::signature::Signature;
use format::wrap::Wrap;
use format::{AgentKey, BlobId, ItemName, KeyId, OwnerKey, PackName, PointId, limits};

/// Where the owner's key stands in a descriptor.
const OWNER_AT: usize = 8 + 16 + 8 + 8;

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed is any 32 bytes")
}

fn public(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().expect("a public key has 32 bytes")
}

fn sign(pair: &Ed25519KeyPair, context: &[u8], message: &[u8]) -> Signature {
    let signature = pair.sign(&[context, message].concat());
    Signature(signature.as_ref().try_into().expect("a signature has 64 bytes"))
}

/// A vault descriptor.
pub fn descriptor(data: &[u8]) {
    let _ = Descriptor::open(data, None);
    let Some((body, _)) = data.split_last_chunk::<64>() else { return };
    if body.len() < OWNER_AT + 32 {
        return;
    }
    let pair = pair(1);
    let mut body = body.to_vec();
    body[OWNER_AT..OWNER_AT + 32].copy_from_slice(&public(&pair));
    let bytes = [body.as_slice(), &sign(&pair, limits::SIGN_DESCRIPTOR, &body).0].concat();
    if let Ok(descriptor) = Descriptor::open(&bytes, Some(&OwnerKey(public(&pair)))) {
        assert_eq!(descriptor.encode_body(), body);
        descriptor.check().expect("what was read can be read again");
        let _ = descriptor.check_features(true);
        descriptor.domains.iter().for_each(|domain| assert!(descriptor.domain(domain.id).is_some()));
    }
}

/// An enrolment.
pub fn enrolment(data: &[u8]) {
    if let Ok(enrolment) = Enrolment::parse(data) {
        assert_eq!(enrolment.encode(), data);
        let ticket = enrolment.ticket.encode();
        assert_eq!(Ticket::parse(&ticket).expect("what was read can be read again"), enrolment.ticket);
    }
    if let Ok(ticket) = Ticket::parse(data) {
        assert_eq!(ticket.encode(), data);
    }
}

/// An authority's claim.
pub fn claim(data: &[u8]) {
    let _ = Claim::parse(data);
    let Some(bytes) = with_checksum(data) else { return };
    if let Ok(claim) = Claim::parse(&bytes) {
        assert_eq!(claim.encode(), bytes);
    }
}

/// An entry of the journal.
pub fn journal(data: &[u8]) {
    let _ = JournalEntry::parse(data);
    let Some(bytes) = with_checksum(data) else { return };
    if let Ok(entry) = JournalEntry::parse(&bytes) {
        assert_eq!(entry.encode(), bytes);
    }
}

/// A signed record.
pub fn record(data: &[u8]) {
    if let Ok(record) = SignedRecord::parse_unverified(data) {
        assert_eq!(record.encode(), data);
    }
    let Some((body, _)) = data.split_last_chunk::<96>() else { return };
    let pair = pair(2);
    let bytes = [body, &public(&pair), &sign(&pair, limits::SIGN_RECORD, body).0].concat();
    if let Ok(record) = SignedRecord::parse(&bytes) {
        assert_eq!(record.encode(), bytes);
        assert_eq!(record.body.encode(), body);
        record.body.check().expect("what was read can be read again");
    }
}

/// A wrap of the owner seed.
pub fn wrap(data: &[u8]) {
    let _ = Wrap::parse(data);
    let Some(bytes) = with_checksum(data) else { return };
    if let Ok(wrap) = Wrap::parse(&bytes) {
        assert_eq!(wrap.encode(), bytes);
    }
}

/// A key object.
pub fn key_object(data: &[u8]) {
    if let Ok(object) = KeyObject::parse(data) {
        assert_eq!(object.encode(), data);
    }
}

/// The footer of a pack.
pub fn footer(data: &[u8]) {
    if let Ok(footer) = Footer::parse(data) {
        assert_eq!(footer.encode(), data);
        footer.entries.iter().for_each(|entry| assert_eq!(footer.find(&entry.id), Some(entry)));
    }
}

/// A pack; its trailer is made to fit.
pub fn pack(data: &[u8]) {
    let _ = pack::parse(data);
    let Some((rest, tail)) = data.split_last_chunk::<{ pack::TRAILER_BYTES }>() else { return };
    let Ok(trailer) = Trailer::parse(tail) else { return };
    let Ok(range) = trailer.footer_range(data.len() as u64) else { return };
    let footer_hash = Footer::hash(&rest[range.start as usize..]);
    let bytes = [rest, &Trailer { footer_hash, ..trailer }.encode()].concat();
    if let Ok(parsed) = pack::parse(&bytes) {
        let mut again = bytes[..parsed.footer_range.start as usize].to_vec();
        pack::close(&mut again, &parsed.footer);
        assert_eq!(again, bytes);
        let _ = parsed.footer.damaged_entries(&bytes);
    }
}

/// The trailer of a pack.
pub fn trailer(data: &[u8]) {
    if let Ok(trailer) = Trailer::parse(data) {
        assert_eq!(trailer.encode(), data);
        let _ = trailer.footer_range(data.len() as u64);
    }
}

/// What is inside a sealed blob.
pub fn inner(data: &[u8]) {
    if let Ok(inner) = Inner::parse(data) {
        assert_eq!(inner.encode(), data);
    }
}

/// Names of objects, ids and items.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (format::names::parse_number(text), format::names::parse_descriptor(text));
    let _ = (format::names::parse_pack(text), format::names::parse_key(text), format::names::parse_enrolment(text));
    if let Ok(name) = ItemName::new(text) {
        assert_eq!(name.as_str(), text);
    }
    let printed = [
        text.parse::<BlobId>().map(|id| id.to_string()),
        text.parse::<KeyId>().map(|id| id.to_string()),
        text.parse::<PointId>().map(|id| id.to_string()),
        text.parse::<AgentKey>().map(|id| id.to_string()),
        text.parse::<PackName>().map(|id| id.to_string()),
    ];
    printed.into_iter().flatten().for_each(|printed| assert_eq!(printed, text));
}
