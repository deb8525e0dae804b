//! Owner, domain and agent keys: what follows from what, and what is refused.

use crate::fixture::{DOMAIN, KEYS, OTHER_DOMAIN, VAULT, domain, flips, links, noise, owner};
use format::blob::BlobKind;
use format::descriptor::{Descriptor, DomainEntry};
use format::key_object::KeyObject;
use format::record::{RecordBody, RecordKind, SignedRecord};
use format::{BlobId, FormatError, ItemName, Sequence, limits};
use seal::{AgentSigner, DomainSecret, DomainWriter, Kind, LocalKey, OwnerSeed};

fn descriptor(seed: &OwnerSeed) -> Descriptor {
    Descriptor {
        vault: VAULT,
        version: 1,
        created_ms: 0,
        owner: seed.owner_key(),
        owner_public: seed.public(),
        chunker: limits::CHUNKER_KEYED_GEAR,
        features_to_read: vec![],
        features_to_write: vec![],
        recipients: vec![],
        domains: vec![],
        certificates: vec![],
    }
}

fn entry(secret: &DomainSecret, owner_public: &[u8]) -> DomainEntry {
    let wrapped_secret = secret.wrap_to_owner(owner_public, DOMAIN).unwrap();
    DomainEntry { id: DOMAIN, name: "machine".into(), created_ms: 0, public: secret.public(), wrapped_secret }
}

fn body() -> RecordBody {
    RecordBody {
        vault: VAULT,
        domain: DOMAIN,
        item: ItemName::new("home").unwrap(),
        kind: RecordKind::Point,
        sequence: Sequence(1),
        previous: None,
        root: BlobId([1; 32]),
        key: KEYS.key.id(),
        agent_time_ms: 5,
        metadata_nonce: [0; 12],
        metadata: vec![],
    }
}

#[test]
fn a_descriptor_that_the_owner_signed_opens_with_its_certificates() {
    let seed = owner();
    let mut descriptor = descriptor(&seed);
    let agent = seed.agent_signer(DOMAIN);
    let items = [ItemName::new("home").unwrap()];
    descriptor.domains.push(entry(&KEYS.secret, &seed.public()));
    descriptor.certificates.push(seed.certify(VAULT, agent.key(), DOMAIN, &items));
    let signed = seed.sign_descriptor(&descriptor);
    let opened = Descriptor::open(&signed, Some(&seed.owner_key())).unwrap();
    assert_eq!(opened, descriptor);
    opened.authorise(&agent.sign(body()), false).unwrap();
    assert!(opened.authorise(&AgentSigner::generate().sign(body()), false).is_err());
    for flipped in flips(&signed).step_by(13) {
        assert!(Descriptor::open(&flipped, Some(&seed.owner_key())).is_err());
    }
    let stranger = OwnerSeed::generate();
    assert!(Descriptor::open(&signed, Some(&stranger.owner_key())).is_err());
    assert!(Descriptor::open(&stranger.sign_descriptor(&descriptor), None).is_err());
}

#[test]
fn a_seed_commits_to_the_descriptor_of_its_vault_only() {
    let seed = owner();
    let descriptor = descriptor(&seed);
    assert!(seed.commits_to(&descriptor));
    seed.check(&descriptor).unwrap();
    let stranger = OwnerSeed::generate();
    assert!(!stranger.commits_to(&descriptor));
    assert_eq!(stranger.check(&descriptor).unwrap_err().kind(), Kind::WrongKey);
    // each of the two public keys counts
    assert!(!seed.commits_to(&Descriptor { owner: stranger.owner_key(), ..descriptor.clone() }));
    assert!(!seed.commits_to(&Descriptor { owner_public: stranger.public(), ..descriptor.clone() }));
    assert!(!seed.commits_to(&Descriptor { owner_public: vec![], ..descriptor }));
}

#[test]
fn a_certificate_covers_what_it_says_and_nothing_else() {
    let seed = owner();
    let agent = AgentSigner::generate();
    let certificate = seed.certify(VAULT, agent.key(), DOMAIN, &[]);
    let refused = |change: &dyn Fn(&mut Descriptor)| {
        let mut descriptor = descriptor(&seed);
        descriptor.certificates.push(certificate.clone());
        change(&mut descriptor);
        Descriptor::open(&seed.sign_descriptor(&descriptor), None).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|descriptor| descriptor.certificates[0].domain = OTHER_DOMAIN));
    assert!(refused(&|descriptor| descriptor.certificates[0].agent = AgentSigner::generate().key()));
    assert!(refused(&|descriptor| descriptor.certificates[0].items = vec![ItemName::new("other").unwrap()]));
    assert!(refused(&|descriptor| descriptor.vault.0[0] ^= 1));
}

#[test]
fn a_record_is_refused_with_any_bit_changed() {
    let agent = AgentSigner::generate();
    let signed = agent.sign(body()).encode();
    assert_eq!(SignedRecord::parse(&signed).unwrap().body, body());
    for flipped in flips(&signed) {
        assert!(SignedRecord::parse(&flipped).is_err());
    }
    let again = AgentSigner::from_bytes(*agent.to_bytes());
    assert_eq!(again.sign(body()).encode(), signed);
}

#[test]
fn the_owners_agent_key_is_the_same_each_time_and_another_for_each_domain() {
    assert_eq!(owner().agent_signer(DOMAIN).key(), owner().agent_signer(DOMAIN).key());
    assert_ne!(owner().agent_signer(DOMAIN).key(), owner().agent_signer(OTHER_DOMAIN).key());
    assert_ne!(owner().agent_signer(DOMAIN).key().0, owner().owner_key().0);
}

#[test]
fn a_domain_secret_comes_back_to_its_owner_only() {
    let seed = owner();
    let entry = entry(&KEYS.secret, &seed.public());
    assert!(entry.wrapped_secret.len() <= limits::WRAP_BYTES_MAX);
    let opened = seed.domain_secret(&entry).unwrap();
    assert_eq!(opened.public(), KEYS.secret.public());
    assert_eq!(opened.writer(DOMAIN).to_bytes(), KEYS.writer.to_bytes());
    assert_eq!(OwnerSeed::generate().domain_secret(&entry).unwrap_err().kind(), Kind::WrongKey);
    for wrapped_secret in flips(&entry.wrapped_secret).step_by(3) {
        assert!(seed.domain_secret(&DomainEntry { wrapped_secret, ..entry.clone() }).is_err());
    }
    for length in [0, 1, 1120, 1211, 1213] {
        let wrapped_secret = entry.wrapped_secret.iter().copied().cycle().take(length).collect();
        assert_eq!(seed.domain_secret(&DomainEntry { wrapped_secret, ..entry.clone() }).unwrap_err().kind(), Kind::Corrupt);
    }
}

#[test]
fn a_domain_secret_is_bound_to_its_domain_and_public_key() {
    let seed = owner();
    let entry = entry(&KEYS.secret, &seed.public());
    let moved = DomainEntry { id: OTHER_DOMAIN, ..entry.clone() };
    assert_eq!(seed.domain_secret(&moved).unwrap_err().kind(), Kind::WrongKey);
    let other = DomainEntry { public: DomainSecret::generate().public(), ..entry };
    assert_eq!(seed.domain_secret(&other).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_key_object_carries_the_key_to_the_domain_and_to_nobody_else() {
    let opened = KEYS.secret.data_key(&KEYS.key_object).unwrap();
    assert_eq!((opened.id(), opened.domain()), (KEYS.key.id(), DOMAIN));
    assert_eq!(opened.id(), KeyObject::id(&KEYS.key_object));
    let (nonce, sealed) = KEYS.key.seal_metadata(b"aad", b"words");
    assert_eq!(opened.open_metadata(b"aad", nonce, &sealed).unwrap(), b"words");
    let stranger = DomainSecret::generate().data_key(&KEYS.key_object).unwrap();
    assert_eq!(stranger.open_metadata(b"aad", nonce, &sealed).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_changed_key_object_is_refused_or_opens_nothing() {
    let (nonce, sealed) = KEYS.key.seal_metadata(b"aad", b"words");
    for flipped in flips(&KEYS.key_object).step_by(3) {
        if let Ok(key) = KEYS.secret.data_key(&flipped) {
            assert_ne!(key.id(), KEYS.key.id());
            assert!(key.open_metadata(b"aad", nonce, &sealed).is_err());
        }
    }
}

#[test]
fn each_session_has_a_key_of_its_own() {
    let (object, key) = KEYS.writer.new_session_key().unwrap();
    assert_ne!(object, KEYS.key_object);
    let (nonce, sealed) = KEYS.key.seal_metadata(b"aad", b"words");
    assert!(key.open_metadata(b"aad", nonce, &sealed).is_err());
}

#[test]
fn metadata_of_a_record_is_bound_to_the_whole_record() {
    let associated = body().associated_data();
    let (nonce, sealed) = KEYS.key.seal_metadata(&associated, b"host and paths");
    assert_eq!(KEYS.key.open_metadata(&associated, nonce, &sealed).unwrap(), b"host and paths");
    for flipped in flips(&associated) {
        assert_eq!(KEYS.key.open_metadata(&flipped, nonce, &sealed).unwrap_err().kind(), Kind::Corrupt);
    }
    for flipped in flips(&sealed) {
        assert!(KEYS.key.open_metadata(&associated, nonce, &flipped).is_err());
    }
    for flipped in flips(&nonce) {
        assert!(KEYS.key.open_metadata(&associated, flipped.try_into().unwrap(), &sealed).is_err());
    }
    assert!(KEYS.key.open_metadata(&associated, nonce, &[]).is_err());
}

#[test]
fn a_write_only_key_file_comes_back_and_detects_damage() {
    let bytes = KEYS.writer.to_bytes();
    let writer = DomainWriter::from_bytes(&bytes).unwrap();
    assert_eq!(writer.domain(), DOMAIN);
    assert_eq!(writer.public(), KEYS.secret.public());
    assert_eq!(writer.chunking_key(), KEYS.writer.chunking_key());
    let (object, key) = writer.new_session_key().unwrap();
    assert_eq!(KEYS.secret.data_key(&object).unwrap().id(), key.id());
    for flipped in flips(&bytes) {
        assert!(DomainWriter::from_bytes(&flipped).is_err());
    }
    assert!(DomainWriter::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn a_public_key_that_is_none_is_refused() {
    let writer = DomainWriter::new(DOMAIN, [0; 32], vec![1; 7]);
    assert_eq!(writer.new_session_key().unwrap_err().kind(), Kind::Invalid);
    assert_eq!(KEYS.secret.wrap_to_owner(&[0xff; limits::KEM_PUBLIC_BYTES], DOMAIN).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_newer_sealing_version_is_refused_clearly() {
    let mut object = KEYS.key_object.clone();
    object[24] += 1;
    let error = KEYS.secret.data_key(&object).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(matches!(error, seal::SealError::Format(FormatError::Version { found: 2, .. })));
}

#[test]
fn keys_of_one_domain_differ_by_purpose_and_between_domains() {
    let other = domain(OTHER_DOMAIN);
    let (one, two) = (&KEYS.writer, &other.writer);
    assert_ne!(one.chunking_key(), one.page_boundary_key());
    assert_ne!(one.chunking_key(), two.chunking_key());
    assert_ne!(one.page_boundary_key(), two.page_boundary_key());
    assert_ne!(one.link_group(1, 2), two.link_group(1, 2));
    assert_ne!(one.link_group(1, 2), one.link_group(2, 1));
    assert_eq!(one.link_group(1, 2), one.clone().link_group(1, 2));
}

#[test]
fn the_local_cache_opens_under_its_key_and_name_only() {
    let key = LocalKey::generate();
    let sealed = key.seal(b"page 1", b"names");
    assert_eq!(LocalKey::from_bytes(*key.to_bytes()).open(b"page 1", &sealed).unwrap(), b"names");
    assert_eq!(key.open(b"page 2", &sealed).unwrap_err().kind(), Kind::Corrupt);
    assert!(LocalKey::generate().open(b"page 1", &sealed).is_err());
    for flipped in flips(&sealed) {
        assert!(key.open(b"page 1", &flipped).is_err());
    }
    assert!(key.open(b"page 1", &sealed[..11]).is_err());
    assert_ne!(key.seal(b"page 1", b"names"), sealed);
}

#[test]
fn an_id_is_the_keyed_hash_of_kind_links_and_plaintext_at_any_length() {
    let writer = DomainWriter::new(DOMAIN, [5; 32], vec![]);
    for count in [0, 1, 250] {
        for length in [0, 1, 1000, 8000, 16_378, 16_379, 16_380, 16_384, 20_000, 100_000] {
            let (links, plaintext) = (links(count), noise(length));
            let mut hashed = vec![2];
            hashed.extend_from_slice(&u32::from(count).to_le_bytes());
            links.iter().for_each(|link| hashed.extend_from_slice(link.as_bytes()));
            hashed.extend_from_slice(&plaintext);
            let id = writer.blob_id(BlobKind::Page, &links, &plaintext);
            assert_eq!(id.as_bytes(), blake3::keyed_hash(&[5; 32], &hashed).as_bytes());
        }
    }
    // links that fill the first group of chunks by themselves
    let links: Vec<BlobId> = (0..600u16).map(|place| BlobId(std::array::from_fn(|byte| place.to_be_bytes()[byte % 2]))).collect();
    let hashed = [&[2, 0x58, 2, 0, 0][..], &links.iter().flat_map(|link| link.0).collect::<Vec<u8>>(), b"end"].concat();
    assert_eq!(writer.blob_id(BlobKind::Page, &links, b"end").as_bytes(), blake3::keyed_hash(&[5; 32], &hashed).as_bytes());
}
