//! Claims of the threat model that sealing stands for: what a storage in an attacker's hands can swap for what.

use crate::fixture::{KEYS, OTHER_DOMAIN, domain, links, text};
use format::BlobId;
use format::blob::{BlobKind, Codec, Inner};
use format::key_object::KeyObject;
use seal::{BlobOpener, BlobSealer, DomainWriter, Kind, SealError};

struct Sealed {
    id: BlobId,
    bytes: Vec<u8>,
}

fn page(links: &[BlobId], plaintext: &[u8]) -> Sealed {
    let id = KEYS.writer.blob_id(BlobKind::Page, links, plaintext);
    Sealed { id, bytes: BlobSealer::new(1).seal(&KEYS.key, BlobKind::Page, id, plaintext).unwrap().to_vec() }
}

fn data(plaintext: &[u8]) -> Sealed {
    let id = KEYS.writer.blob_id(BlobKind::Data, &[], plaintext);
    Sealed { id, bytes: BlobSealer::new(1).seal(&KEYS.key, BlobKind::Data, id, plaintext).unwrap().to_vec() }
}

fn open(kind: BlobKind, id: BlobId, links: &[BlobId], bytes: &[u8]) -> seal::Result<Vec<u8>> {
    BlobOpener::new().open(&KEYS.key, &KEYS.writer, kind, id, links, bytes).map(<[u8]>::to_vec)
}

#[test]
fn a_blob_in_the_place_of_another_is_refused() {
    let (one, two) = (data(&text(500)), data(&text(501)));
    assert_eq!(open(BlobKind::Data, one.id, &[], &one.bytes).unwrap(), text(500));
    assert!(matches!(open(BlobKind::Data, one.id, &[], &two.bytes), Err(SealError::BlobDoesNotOpen(..))));
    assert!(matches!(open(BlobKind::Data, two.id, &[], &one.bytes), Err(SealError::BlobDoesNotOpen(..))));
}

#[test]
fn a_page_with_other_links_is_refused() {
    let page = page(&links(3), &text(500));
    assert_eq!(open(BlobKind::Page, page.id, &links(3), &page.bytes).unwrap(), text(500));
    let mut replaced = links(3);
    replaced[2] = BlobId([9; 32]);
    for other in [links(2), links(4), vec![], replaced] {
        assert_eq!(open(BlobKind::Page, page.id, &other, &page.bytes).unwrap_err(), SealError::BlobIsAnother(page.id));
    }
    let swapped = vec![links(3)[1], links(3)[0], links(3)[2]];
    assert_eq!(open(BlobKind::Page, page.id, &swapped, &page.bytes).unwrap_err().kind(), Kind::Corrupt);
    let doubled = vec![links(3)[0], links(3)[0], links(3)[1], links(3)[2]];
    assert_eq!(open(BlobKind::Page, page.id, &doubled, &page.bytes).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_page_whose_links_are_not_in_order_is_refused_even_if_its_id_is_right() {
    let (one, two) = (links(2)[0], links(2)[1]);
    for links in [vec![two, one], vec![one, one]] {
        let page = page(&links, &text(500));
        assert_eq!(open(BlobKind::Page, page.id, &links, &page.bytes).unwrap_err().kind(), Kind::Corrupt);
    }
    let id = KEYS.writer.blob_id(BlobKind::Data, &links(1), b"data");
    let bytes = BlobSealer::new(1).seal(&KEYS.key, BlobKind::Data, id, b"data").unwrap().to_vec();
    assert_eq!(open(BlobKind::Data, id, &links(1), &bytes).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn links_cannot_be_moved_into_the_content_of_a_page() {
    // the number of links is hashed before them: links ‖ content has one reading only
    let link = BlobId([7; 32]);
    let moved = [link.as_bytes().as_slice(), b"content"].concat();
    let with_link = KEYS.writer.blob_id(BlobKind::Page, &[link], b"content");
    assert_ne!(with_link, KEYS.writer.blob_id(BlobKind::Page, &[], &moved));
}

#[test]
fn a_blob_of_another_kind_is_refused() {
    let page = page(&[], &text(500));
    let data = data(&text(500));
    assert_ne!(page.id, data.id);
    assert!(matches!(open(BlobKind::Data, page.id, &[], &page.bytes), Err(SealError::BlobDoesNotOpen(..))));
    assert!(matches!(open(BlobKind::Page, data.id, &[], &data.bytes), Err(SealError::BlobDoesNotOpen(..))));
    // data has no links, whatever a footer says
    assert_eq!(open(BlobKind::Data, data.id, &links(1), &data.bytes).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_blob_of_another_domain_is_refused() {
    let other = domain(OTHER_DOMAIN);
    let plaintext = text(500);
    let ours = data(&plaintext);
    assert_ne!(ours.id, other.writer.blob_id(BlobKind::Data, &[], &plaintext));
    let open = |key, writer| BlobOpener::new().open(key, writer, BlobKind::Data, ours.id, &[], &ours.bytes).map(<[u8]>::to_vec);
    assert!(open(&KEYS.key, &KEYS.writer).is_ok());
    assert!(open(&other.key, &other.writer).is_err());
    assert_eq!(open(&KEYS.key, &other.writer).unwrap_err().kind(), Kind::Invalid);
    // the same secret under another domain's number seals under other keys
    let mut moved = KeyObject::parse(&KEYS.key_object).unwrap();
    moved.domain = OTHER_DOMAIN;
    let key = KEYS.secret.data_key(&moved.encode()).unwrap();
    assert!(open(&key, &KEYS.secret.writer(OTHER_DOMAIN)).is_err());
}

#[test]
fn a_blob_under_another_key_is_refused() {
    let ours = data(&text(500));
    let (_, other) = KEYS.writer.new_session_key().unwrap();
    let opened = BlobOpener::new().open(&other, &KEYS.writer, BlobKind::Data, ours.id, &[], &ours.bytes).map(<[u8]>::to_vec);
    assert_eq!(opened.unwrap_err(), SealError::BlobDoesNotOpen(ours.id, other.id()));
}

#[test]
fn a_blob_of_another_codec_or_with_a_hidden_tail_is_refused() {
    let plaintext = text(500);
    let id = KEYS.writer.blob_id(BlobKind::Data, &[], &plaintext);
    let stored = Inner { codec: Codec::Stored, plaintext_length: 500, payload: &plaintext }.encode();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut inner = stored.clone();
        change(&mut inner);
        open(BlobKind::Data, id, &[], &KEYS.key.seal(BlobKind::Data, id, inner).unwrap()).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|inner| inner[0] = 2));
    assert!(refused(&|inner| *inner.last_mut().unwrap() = 1));
    assert!(refused(&|inner| inner.push(0)));
    assert!(refused(&|inner| inner.truncate(100)));
}

#[test]
fn garbage_that_a_stolen_writer_seals_under_a_known_id_is_refused() {
    // it holds the id key and makes session keys, so it can seal anything: the id tells
    let thief = DomainWriter::from_bytes(&KEYS.writer.to_bytes()).unwrap();
    let (object, key) = thief.new_session_key().unwrap();
    let good = data(&text(500));
    let garbage = BlobSealer::new(1).seal(&key, BlobKind::Data, good.id, b"garbage").unwrap().to_vec();
    let reader = KEYS.secret.data_key(&object).unwrap();
    let opened = BlobOpener::new().open(&reader, &KEYS.writer, BlobKind::Data, good.id, &[], &garbage).map(<[u8]>::to_vec);
    assert_eq!(opened.unwrap_err(), SealError::BlobIsAnother(good.id));
}

#[test]
fn a_stolen_writer_reads_no_session_but_its_own() {
    // that the secret is not in what it holds is tested in the domain's module
    let thief = DomainWriter::from_bytes(&KEYS.writer.to_bytes()).unwrap();
    let (_, key) = thief.new_session_key().unwrap();
    let old = data(&text(500));
    let opened = BlobOpener::new().open(&key, &thief, BlobKind::Data, old.id, &[], &old.bytes).map(<[u8]>::to_vec);
    assert!(matches!(opened, Err(SealError::BlobDoesNotOpen(..))));
}
