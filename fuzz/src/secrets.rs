//! What only the keyed side reads: the recovery kit, the write-only key file, and what an opened blob or record holds.

use crate::with_checksum;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::PointDetails;
use format::BlobId;
use format::blob::BlobKind;
use seal::{AgentKeys, BlobOpener, DataKey, DomainSecret, DomainWriter, EnrolmentToken, print_kit, read_kit};
use secrecy::ExposeSecret;
use std::cell::RefCell;
use std::sync::LazyLock;

/// A recovery kit as somebody typed it.
pub fn kit(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok((vault, seed)) = read_kit(text) {
        let printed = print_kit(&seed, vault);
        let (again, seed_again) = read_kit(printed.expose_secret()).expect("what was printed can be read");
        assert_eq!((again, seed_again.owner_key()), (vault, seed.owner_key()));
    }
}

/// A write-only key file.
pub fn write_only_key(data: &[u8]) {
    let _ = DomainWriter::from_bytes(data);
    let Some(bytes) = with_checksum(data) else { return };
    if let Ok(writer) = DomainWriter::from_bytes(&bytes) {
        assert_eq!(writer.to_bytes().as_slice(), bytes);
        let _ = writer.new_session_key();
    }
}

/// An agent key file.
pub fn agent_key(data: &[u8]) {
    let _ = AgentKeys::from_bytes(data);
    let Some(bytes) = with_checksum(data) else { return };
    if let Ok(keys) = AgentKeys::from_bytes(&bytes) {
        assert_eq!(keys.to_bytes().as_slice(), bytes);
    }
}

/// An enrolment token: text, or the bytes that it would stand for.
pub fn enrolment_token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = EnrolmentToken::from_text(text);
    }
    let Some(bytes) = with_checksum(data) else { return };
    let _ = EnrolmentToken::from_text(&format!("hfe1_{}", URL_SAFE_NO_PAD.encode(bytes)));
}

struct Keys {
    writer: DomainWriter,
    key: DataKey,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let writer = DomainSecret::generate().writer(format::DomainId([1; 16]));
    let (_, key) = writer.new_session_key().expect("a generated public key is one");
    Keys { writer, key }
});

thread_local! {
    static OPENER: RefCell<BlobOpener> = RefCell::new(BlobOpener::new());
}

/// What a holder of the keys sealed, well or badly: it opens to the plaintext that has its id, or not at all.
pub fn opened_blob(data: &[u8]) {
    let (keys, id) = (&*KEYS, BlobId([7; 32]));
    let sealed = keys.key.seal(BlobKind::Data, id, data.to_vec()).expect("the input is short");
    let opened = OPENER
        .with_borrow_mut(|opener| opener.open(&keys.key, &keys.writer, BlobKind::Data, id, &[], &sealed).map(<[u8]>::to_vec));
    assert!(opened.is_err(), "no plaintext has this id");
}

/// The opened metadata of a record. Later programs may write more behind what is read; earlier ones wrote no paths that were not
/// read, which stands for none.
pub fn details(data: &[u8]) {
    if let Ok(details) = PointDetails::decode(data) {
        let encoded = details.encode();
        assert!(data.starts_with(&encoded) || encoded.strip_suffix(&[0]) == Some(data));
    }
}
