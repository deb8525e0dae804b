//! Objects of storage come back as they went in, have one encoding only, and notice every changed byte.

use holdfast_format::authority::Claim;
use holdfast_format::blob::{Codec, Inner};
use holdfast_format::descriptor::{Certificate, Descriptor, DomainEntry, Recipient};
use holdfast_format::journal::{JournalEntry, Payload};
use holdfast_format::key_object::KeyObject;
use holdfast_format::pack::{Footer, Trailer};
use holdfast_format::record::{RecordBody, RecordKind, SignedRecord};
use holdfast_format::signature::Signature;
use holdfast_format::wrap::{Argon2Parameters, Method, Wrap};
use holdfast_format::{
    AgentKey, BlobId, ClaimNonce, DomainId, FooterHash, Incarnation, ItemName, JournalNumber, KeyId, OwnerKey, PackName, PointId,
    Sequence, VaultId, limits, names,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::keys::{public_key, sign};
use crate::samples;

/// Every single byte that is changed, and every cut, must be noticed: for objects under a checksum or a signature.
fn assert_every_change_is_noticed<T>(bytes: &[u8], places: &[Index], parse: impl Fn(&[u8]) -> Option<T>) {
    for place in places {
        let mut broken = bytes.to_vec();
        broken[place.index(bytes.len())] ^= 0x21;
        assert!(parse(&broken).is_none(), "byte {}", place.index(bytes.len()));
        assert!(parse(&bytes[..place.index(bytes.len())]).is_none(), "cut at {}", place.index(bytes.len()));
    }
    assert!(parse(&[bytes, &[0]].concat()).is_none());
}

fn places() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 20)
}

fn item() -> impl Strategy<Value = ItemName> {
    "[a-z0-9_-][a-z0-9._-]{0,20}".prop_map(|name| ItemName::new(&name).unwrap())
}

fn public() -> impl Strategy<Value = Vec<u8>> {
    any::<u8>().prop_map(|seed| vec![seed; limits::KEM_PUBLIC_BYTES])
}

fn body() -> impl Strategy<Value = RecordBody> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), option::of(any::<[u8; 32]>()), any::<[u8; 32]>(), any::<[u8; 32]>());
    (ids, item(), any::<bool>(), any::<u64>(), any::<i64>(), any::<[u8; 12]>(), vec(any::<u8>(), 0..300)).prop_map(
        |((vault, domain, previous, root, key), item, point, sequence, agent_time_ms, metadata_nonce, metadata)| RecordBody {
            vault: VaultId(vault),
            domain: DomainId(domain),
            item,
            kind: if point { RecordKind::Point } else { RecordKind::Checkpoint },
            sequence: Sequence(sequence),
            previous: previous.map(PointId),
            root: BlobId(root),
            key: KeyId(key),
            agent_time_ms,
            metadata_nonce,
            metadata,
        },
    )
}

fn record() -> impl Strategy<Value = SignedRecord> {
    (body(), any::<u8>()).prop_map(|(body, agent)| {
        let signature = sign(agent, limits::SIGN_RECORD, &body.encode());
        SignedRecord { body, agent: AgentKey(public_key(agent)), signature }
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|nonce| Payload::Opening { nonce: ClaimNonce(nonce) }),
        (any::<i64>(), vec(any::<u8>(), 0..200)).prop_map(|(received_ms, record)| Payload::Record { received_ms, record }),
        vec(any::<[u8; 32]>().prop_map(PointId), 0..10).prop_map(|points| Payload::Tombstone { points }),
        vec("[a-z0-9/.]{1,80}", 0..10).prop_map(|names| Payload::Deletion { names }),
    ]
}

fn wrap() -> impl Strategy<Value = Wrap> {
    let argon2 = (19u32 << 10..=1 << 20, 2u32..=16, 1u32..=8).prop_map(|(memory_kib, passes, lanes)| Argon2Parameters {
        memory_kib,
        passes,
        lanes,
    });
    let method = prop_oneof![
        (any::<[u8; 16]>(), argon2).prop_map(|(salt, argon2)| Method::Passphrase { salt, argon2 }),
        (public(), any::<u8>())
            .prop_map(|(public, seed)| Method::Recipient { public, encapsulation: vec![seed; limits::KEM_ENCAPSULATION_BYTES] }),
    ];
    (any::<[u8; 16]>(), method, any::<[u8; 12]>(), any::<[u8; 16]>()).prop_map(|(vault, method, nonce, seed)| {
        let sealed = std::array::from_fn(|at| seed[at % 16]);
        Wrap { vault: VaultId(vault), method, nonce, sealed }
    })
}

fn descriptor() -> impl Strategy<Value = (u8, Descriptor)> {
    let text = "[a-zäöü ._-]{0,30}";
    let recipients = vec((text, public()).prop_map(|(name, public)| Recipient { name, public }), 0..3);
    let domain = (text, any::<i64>(), public(), vec(any::<u8>(), 0..200));
    let domains = btree_map(any::<[u8; 16]>(), domain, 0..4).prop_map(|domains| {
        let entry = |(id, (name, created_ms, public, wrapped_secret))| DomainEntry {
            id: DomainId(id),
            name,
            created_ms,
            public,
            wrapped_secret,
        };
        domains.into_iter().map(entry).collect::<Vec<_>>()
    });
    let certificates = vec((any::<[u8; 32]>(), any::<[u8; 16]>(), btree_set(item(), 0..3), any::<bool>()), 0..3);
    let features = (vec("[a-z-]{1,20}", 0..3), vec("[a-z-]{1,20}", 0..3));
    (any::<u8>(), any::<[u8; 16]>(), any::<u64>(), any::<i64>(), public(), features, recipients, domains, certificates).prop_map(
        |(owner, vault, version, created_ms, owner_public, features, recipients, domains, certificates)| {
            let vault = VaultId(vault);
            let certify =
                |(agent, domain, items, retired)| certificate(owner, vault, AgentKey(agent), DomainId(domain), items, retired);
            let descriptor = Descriptor {
                vault,
                version,
                created_ms,
                owner: OwnerKey(public_key(owner)),
                owner_public,
                chunker: limits::CHUNKER_KEYED_GEAR,
                features_to_read: features.0,
                features_to_write: features.1,
                recipients,
                domains,
                certificates: certificates.into_iter().map(certify).collect(),
            };
            (owner, descriptor)
        },
    )
}

fn certificate(
    owner: u8,
    vault: VaultId,
    agent: AgentKey,
    domain: DomainId,
    items: impl IntoIterator<Item = ItemName>,
    retired: bool,
) -> Certificate {
    let items: Vec<ItemName> = items.into_iter().collect();
    let signature = sign(owner, limits::SIGN_CERTIFICATE, &Certificate::signed_bytes(vault, agent, domain, &items));
    Certificate { agent, domain, items, retired, signature }
}

proptest! {
    #[test]
    fn a_descriptor_comes_back_as_it_went_in((owner, descriptor) in descriptor(), places in places()) {
        let bytes = descriptor.encode(&sign(owner, limits::SIGN_DESCRIPTOR, &descriptor.encode_body()));
        descriptor.check().unwrap();
        prop_assert_eq!(&Descriptor::open(&bytes, None).unwrap(), &descriptor);
        prop_assert!(Descriptor::open(&bytes, Some(&descriptor.owner)).is_ok());
        let other = OwnerKey(public_key(owner.wrapping_add(1)));
        prop_assert!(Descriptor::open(&bytes, Some(&other)).is_err(), "another owner is pinned");
        assert_every_change_is_noticed(&bytes, &places, |bytes| Descriptor::open(bytes, None).ok());
    }

    #[test]
    fn a_record_comes_back_as_it_went_in(record in record(), places in places()) {
        let bytes = record.encode();
        let parsed = SignedRecord::parse(&bytes).unwrap();
        prop_assert_eq!(parsed.id(), record.id());
        prop_assert_eq!(&parsed, &record);
        assert_every_change_is_noticed(&bytes, &places, |bytes| SignedRecord::parse(bytes).ok());
    }

    #[test]
    fn a_journal_entry_comes_back_as_it_went_in(
        ids in (any::<[u8; 16]>(), any::<u64>(), any::<u64>()), time_ms: i64, payload in payload(), places in places()
    ) {
        let (domain, number, incarnation) = (DomainId(ids.0), JournalNumber(ids.1), Incarnation(ids.2));
        let entry = JournalEntry { domain, number, incarnation, time_ms, payload };
        let bytes = entry.encode();
        prop_assert_eq!(&JournalEntry::parse(&bytes).unwrap(), &entry);
        assert_every_change_is_noticed(&bytes, &places, |bytes| JournalEntry::parse(bytes).ok());
    }

    #[test]
    fn a_wrap_comes_back_as_it_went_in(wrap in wrap(), places in places()) {
        let bytes = wrap.encode();
        prop_assert_eq!(&Wrap::parse(&bytes).unwrap(), &wrap);
        prop_assert!(bytes.len() <= limits::WRAP_BYTES_MAX);
        let associated = Wrap::associated_data(wrap.vault, &wrap.method);
        prop_assert_eq!(&associated[limits::AAD_WRAP.len()..], &bytes[..bytes.len() - 12 - 48 - 32]);
        assert_every_change_is_noticed(&bytes, &places, |bytes| Wrap::parse(bytes).ok());
    }

    #[test]
    fn a_claim_comes_back_as_it_went_in(domain: [u8; 16], incarnation: u64, nonce: [u8; 16], time_ms: i64, places in places()) {
        let claim = Claim { domain: DomainId(domain), incarnation: Incarnation(incarnation), nonce: ClaimNonce(nonce), time_ms };
        let bytes = claim.encode();
        prop_assert_eq!(Claim::parse(&bytes).unwrap(), claim);
        assert_every_change_is_noticed(&bytes, &places, |bytes| Claim::parse(bytes).ok());
    }

    #[test]
    fn a_key_object_comes_back_as_it_went_in(domain: [u8; 16], seed: u8, places in places()) {
        let sealing = limits::SEALING_AES256_GCM_SIV;
        let object = KeyObject { domain: DomainId(domain), sealing, encapsulation: vec![seed; limits::KEM_ENCAPSULATION_BYTES] };
        let bytes = object.encode();
        prop_assert_eq!(&KeyObject::parse(&bytes).unwrap(), &object);
        let id = KeyObject::id(&bytes);
        assert_every_change_is_noticed(&bytes, &places, |bytes| (KeyObject::id(bytes) == id).then_some(()));
    }

    #[test]
    fn a_footer_comes_back_as_it_went_in(footer in samples::footer(), damage in vec((any::<Index>(), any::<u8>()), 40)) {
        let bytes = footer.encode();
        prop_assert_eq!(&Footer::parse(&bytes).unwrap(), &footer);
        for (place, byte) in damage {
            let mut broken = bytes.clone();
            broken[place.index(bytes.len())] = byte;
            if let Ok(parsed) = Footer::parse(&broken) {
                prop_assert_eq!(parsed.encode(), broken);
            }
            prop_assert!(Footer::parse(&bytes[..place.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn a_trailer_comes_back_as_it_went_in(hash: [u8; 32], footer_length in 0u32..=24 << 20) {
        let trailer = Trailer { footer_hash: FooterHash(hash), footer_length };
        prop_assert_eq!(Trailer::parse(&trailer.encode()).unwrap(), trailer);
    }

    #[test]
    fn an_opened_blob_has_one_encoding_only(bytes in vec(any::<u8>(), 0..60), codec in 0u8..2, length in 0u32..60) {
        let mut framed = vec![codec];
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(&bytes);
        if let Ok(inner) = Inner::parse(&framed) {
            prop_assert_eq!(&inner.encode(), &framed);
            prop_assert_eq!(inner.codec == Codec::Zstd, codec == 1);
        }
    }

    #[test]
    fn names_of_objects_name_what_they_were_made_of(domain: [u8; 16], id: [u8; 32], name: [u8; 16], number: u64) {
        let domain = DomainId(domain);
        prop_assert_eq!(names::parse_pack(&names::pack(domain, PackName(name))).unwrap(), PackName(name));
        prop_assert_eq!(names::parse_key(&names::key(domain, KeyId(id), 'a')).unwrap(), KeyId(id));
        prop_assert_eq!(names::parse_number(&names::journal(domain, JournalNumber(number))).unwrap(), number);
        prop_assert_eq!(names::parse_number(&names::claim(domain, Incarnation(number))).unwrap(), number);
        prop_assert_eq!(names::parse_descriptor(&names::descriptor(number, 'b')).unwrap(), number);
        for prefix in [names::packs(domain), names::keys(domain), names::claims(domain), names::journal_entries(domain)] {
            prop_assert!(prefix.starts_with(&domain.to_string()) && prefix.ends_with('/'));
        }
    }
}

/// The descriptor of owner 1 with nothing in it.
fn plain_descriptor() -> Descriptor {
    Descriptor {
        vault: VaultId([1; 16]),
        version: 1,
        created_ms: 0,
        owner: OwnerKey(public_key(1)),
        owner_public: vec![0; limits::KEM_PUBLIC_BYTES],
        chunker: limits::CHUNKER_KEYED_GEAR,
        features_to_read: vec![],
        features_to_write: vec![],
        recipients: vec![],
        domains: vec![],
        certificates: vec![],
    }
}

#[test]
fn an_agent_may_sign_only_what_the_owner_certified() {
    let (vault, domain, agent) = (VaultId([1; 16]), DomainId([2; 16]), AgentKey(public_key(9)));
    let web = ItemName::new("web").unwrap();
    let with = |certificates: Vec<Certificate>| Descriptor { certificates, ..plain_descriptor() };
    let body = RecordBody {
        vault,
        domain,
        item: web.clone(),
        kind: RecordKind::Point,
        sequence: Sequence(1),
        previous: None,
        root: BlobId([3; 32]),
        key: KeyId([4; 32]),
        agent_time_ms: 0,
        metadata_nonce: [0; 12],
        metadata: vec![],
    };
    let record = SignedRecord { body: body.clone(), agent, signature: sign(9, limits::SIGN_RECORD, &body.encode()) };
    let certify = |domain, items: &[ItemName], retired| certificate(1, vault, agent, domain, items.to_vec(), retired);
    assert!(with(vec![certify(domain, &[], false)]).authorise(&record, false).is_ok());
    assert!(with(vec![certify(domain, &[web], false)]).authorise(&record, false).is_ok());
    assert!(with(vec![]).authorise(&record, true).is_err());
    assert!(with(vec![certify(DomainId([9; 16]), &[], false)]).authorise(&record, true).is_err());
    assert!(with(vec![certify(domain, &[ItemName::new("db").unwrap()], false)]).authorise(&record, true).is_err());
    let retired = with(vec![certify(domain, &[], true)]);
    assert!(retired.authorise(&record, false).is_err());
    assert!(retired.authorise(&record, true).is_ok());
    let mut elsewhere = record;
    elsewhere.body.vault = VaultId([8; 16]);
    assert!(with(vec![certify(domain, &[], false)]).authorise(&elsewhere, false).is_err());
}

#[test]
fn a_certificate_that_the_owner_did_not_sign_spoils_the_descriptor() {
    let vault = VaultId([1; 16]);
    let mut forged = certificate(2, vault, AgentKey([5; 32]), DomainId([2; 16]), [], false);
    forged.signature = Signature([0; 64]);
    let descriptor = Descriptor { certificates: vec![forged], ..plain_descriptor() };
    let bytes = descriptor.encode(&sign(1, limits::SIGN_DESCRIPTOR, &descriptor.encode_body()));
    assert!(Descriptor::open(&bytes, None).is_err());
}

#[test]
fn an_unknown_feature_is_a_clear_refusal() {
    let descriptor = |read: &[&str], write: &[&str]| Descriptor {
        features_to_read: read.iter().map(ToString::to_string).collect(),
        features_to_write: write.iter().map(ToString::to_string).collect(),
        ..plain_descriptor()
    };
    assert!(descriptor(&[], &[]).check_features(true).is_ok());
    assert!(descriptor(&["shamir"], &[]).check_features(false).is_err());
    assert!(descriptor(&[], &["shamir"]).check_features(false).is_ok());
    assert!(descriptor(&[], &["shamir"]).check_features(true).is_err());
}

#[test]
fn a_text_that_could_not_be_read_again_is_found_before_it_is_signed() {
    let recipient = |name: &str| Recipient { name: name.to_owned(), public: vec![0; limits::KEM_PUBLIC_BYTES] };
    let descriptor = |name: &str| Descriptor { recipients: vec![recipient(name)], ..plain_descriptor() };
    assert!(descriptor("safe").check().is_ok());
    assert!(descriptor("line\nbreak").check().is_err());
    assert!(descriptor(&"long".repeat(100)).check().is_err());
}

#[test]
fn a_wrap_with_parameters_out_of_bounds_is_refused() {
    let wrap = |memory_kib, passes, lanes| Wrap {
        vault: VaultId([1; 16]),
        method: Method::Passphrase { salt: [2; 16], argon2: Argon2Parameters { memory_kib, passes, lanes } },
        nonce: [3; 12],
        sealed: [4; 48],
    };
    assert!(Wrap::parse(&wrap(64 << 10, 3, 1).encode()).is_ok());
    for (memory, passes, lanes) in
        [(1024, 3, 1), (2 << 20, 3, 1), (64 << 10, 1, 1), (64 << 10, 17, 1), (64 << 10, 3, 0), (64 << 10, 3, 9)]
    {
        assert!(Wrap::parse(&wrap(memory, passes, lanes).encode()).is_err(), "{memory} {passes} {lanes}");
    }
}

#[test]
fn the_longest_deletion_list_can_be_read_again() {
    let names = (0..limits::DELETION_NAMES_MAX).map(|_| "n".repeat(limits::OBJECT_NAME_BYTES_MAX)).collect();
    let entry = JournalEntry {
        domain: DomainId([1; 16]),
        number: JournalNumber(1),
        incarnation: Incarnation(1),
        time_ms: 0,
        payload: Payload::Deletion { names },
    };
    assert_eq!(JournalEntry::parse(&entry.encode()).unwrap(), entry);
}
