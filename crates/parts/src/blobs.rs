//! What every byte of content goes through.

use crate::samples::{noise, text};
use crate::{Amount, Part};
use engine::cut::{Chunker, CutParameters};
use format::blob::BlobKind;
use format::{BlobId, DomainId};
use seal::{BlobOpener, BlobSealer, DataKey, DomainSecret, DomainWriter};

/// About the mean size of a blob.
const BLOB_BYTES: usize = 512 << 10;
const BLOBS: usize = 8;
/// The level of a backup that is not told another.
const LEVEL: i32 = 1;

fn writer() -> DomainWriter {
    DomainSecret::from_bytes(&[7; 64]).writer(DomainId([1; 16]))
}

fn plaintexts() -> Vec<Vec<u8>> {
    (0..BLOBS).map(|seed| text(seed as u64, BLOB_BYTES)).collect()
}

fn amount() -> Amount {
    Amount::Bytes((BLOBS * BLOB_BYTES) as u64)
}

pub(crate) fn cut() -> Part {
    let chunker = Chunker::new(&writer().chunking_key(), CutParameters::default()).expect("the default sizes hold");
    let content = [noise(1, 6 << 20), vec![0; 2 << 20], text(2, 8 << 20)].concat();
    let amount = Amount::Bytes(content.len() as u64);
    Part::new("cut", amount, move || {
        chunker.pieces(&content).map(|piece| piece.length as u64).fold(0, |sum, length| sum * 3 + length)
    })
}

pub(crate) fn hash() -> Part {
    let (writer, plaintexts) = (writer(), plaintexts());
    Part::new("hash", amount(), move || {
        plaintexts.iter().map(|plaintext| folded(&writer.blob_id(BlobKind::Data, &[], plaintext))).fold(0, u64::wrapping_add)
    })
}

/// A key of its own for each run of the program: nothing here depends on which.
fn session_key(writer: &DomainWriter) -> DataKey {
    writer.new_session_key().expect("a session key can be made").1
}

pub(crate) fn seal() -> Part {
    let (writer, plaintexts) = (writer(), plaintexts());
    let key = session_key(&writer);
    let ids: Vec<BlobId> = plaintexts.iter().map(|plaintext| writer.blob_id(BlobKind::Data, &[], plaintext)).collect();
    let mut sealer = BlobSealer::new(LEVEL);
    Part::new("seal", amount(), move || {
        let mut sealed_bytes = 0;
        for (plaintext, id) in plaintexts.iter().zip(&ids) {
            sealed_bytes += sealer.seal(&key, BlobKind::Data, *id, plaintext).expect("a blob can be sealed").len() as u64;
        }
        sealed_bytes
    })
}

pub(crate) fn open() -> Part {
    let (writer, plaintexts) = (writer(), plaintexts());
    let key = session_key(&writer);
    let mut sealer = BlobSealer::new(LEVEL);
    let seal = |plaintext: &Vec<u8>| {
        let id = writer.blob_id(BlobKind::Data, &[], plaintext);
        (id, sealer.seal(&key, BlobKind::Data, id, plaintext).expect("a blob can be sealed").to_vec())
    };
    let blobs: Vec<(BlobId, Vec<u8>)> = plaintexts.iter().map(seal).collect();
    let mut opener = BlobOpener::new();
    Part::new("open", amount(), move || {
        let mut bytes = 0;
        for (id, sealed) in &blobs {
            bytes += opener.open(&key, &writer, BlobKind::Data, *id, &[], sealed).expect("a blob opens").len() as u64;
        }
        bytes
    })
}

/// An id as a number.
pub(crate) fn folded(id: &BlobId) -> u64 {
    id.0.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(257).wrapping_add(u64::from(*byte)))
}
