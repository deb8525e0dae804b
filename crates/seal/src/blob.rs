//! Blobs: probe, compression, padding, sealing, and the way back.
//!
//! A sealer and an opener hold the contexts of zstd and the buffers that they work in; there is one a thread.

use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::data_key::DataKey;
use crate::domain::DomainWriter;
use crate::error::{Result, SealError};
use crate::secret::equal;
use format::blob::{BlobKind, Codec, Inner, check_links, padme};
use format::codec::within;
use format::{BlobId, limits};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

/// Plaintexts below this are stored: a zstd frame of them would not be smaller once padded.
const COMPRESS_FROM: usize = 32;
/// Plaintexts below this are compressed without a probe, which would read nearly as much as the compressor.
const PROBE_FROM: usize = 32 << 10;
/// Bytes of one sample of the probe.
const SAMPLE_BYTES: usize = 2 << 10;
/// Least number of samples; they are spread evenly.
const SAMPLES_MIN: usize = 4;
/// One sample for so many bytes of plaintext.
const SAMPLE_EVERY: usize = 32 << 10;
/// Level of the probe: zstd's fast side.
const PROBE_LEVEL: i32 = -1;
/// Larger buffers are not kept once a smaller one does.
const BUFFER_KEPT_BYTES_MAX: usize = 4 << 20;

/// Compresses, pads and seals blobs.
pub struct BlobSealer {
    compressor: Compressor<'static>,
    probe: Compressor<'static>,
    samples: Vec<u8>,
    compressed: Vec<u8>,
    sealed: Vec<u8>,
}

impl BlobSealer {
    /// A sealer that compresses with this level of zstd.
    #[must_use]
    pub fn new(level: i32) -> Self {
        let compressor = |level| Compressor::new(level).expect("zstd makes a context at any level, it clamps them");
        let (samples, compressed, sealed) = Default::default();
        Self { compressor: compressor(level), probe: compressor(PROBE_LEVEL), samples, compressed, sealed }
    }

    /// Compresses with this level of zstd from now on.
    pub fn set_level(&mut self, level: i32) -> Result<()> {
        self.compressor.set_compression_level(level).map_err(|_| SealError::Internal("zstd took no level"))
    }

    /// Seals a plaintext whose id is known: nonce ‖ ciphertext ‖ tag. They stand in the sealer's buffer until it seals again.
    pub fn seal(&mut self, key: &DataKey, kind: BlobKind, id: BlobId, plaintext: &[u8]) -> Result<&[u8]> {
        within("plaintext of a blob", plaintext.len(), limits::BLOB_PLAINTEXT_MAX)?;
        let (codec, payload) =
            if self.compress(plaintext)? { (Codec::Zstd, self.compressed.as_slice()) } else { (Codec::Stored, plaintext) };
        let padded = padme(limits::INNER_HEADER + payload.len());
        let sealed = &mut self.sealed;
        make_room(sealed, NONCE_BYTES + padded + TAG_BYTES);
        sealed.extend_from_slice(&[0; NONCE_BYTES]);
        sealed.extend_from_slice(&Inner::header(codec, plaintext.len(), payload.len()));
        sealed.extend_from_slice(payload);
        sealed.resize(NONCE_BYTES + padded, 0);
        key.seal_in_place(kind, id, sealed)?;
        Ok(sealed)
    }

    /// Compresses into `self.compressed`; whether that is worth it.
    fn compress(&mut self, plaintext: &[u8]) -> Result<bool> {
        if plaintext.len() < COMPRESS_FROM || !self.looks_compressible(plaintext)? {
            return Ok(false);
        }
        compress_into(&mut self.compressor, plaintext, &mut self.compressed)?;
        let padded = |length| padme(limits::INNER_HEADER + length);
        Ok(gains(self.compressed.len(), plaintext.len()) && padded(self.compressed.len()) < padded(plaintext.len()))
    }

    /// Looks at samples: bytes that are unevenly frequent compress; evenly frequent ones are compressed fast, and what does not
    /// shrink there is taken for incompressible as a whole.
    fn looks_compressible(&mut self, plaintext: &[u8]) -> Result<bool> {
        if plaintext.len() < PROBE_FROM {
            return Ok(true);
        }
        let count = (plaintext.len() / SAMPLE_EVERY).max(SAMPLES_MIN);
        let stride = (plaintext.len() - SAMPLE_BYTES) / (count - 1);
        self.samples.clear();
        for sample in 0..count {
            self.samples.extend_from_slice(&plaintext[sample * stride..][..SAMPLE_BYTES]);
        }
        if is_uneven(&self.samples) {
            return Ok(true);
        }
        compress_into(&mut self.probe, &self.samples, &mut self.compressed)?;
        Ok(gains(self.compressed.len(), self.samples.len()))
    }
}

/// Whether two bytes are equal by a quarter more often than in noise: a collision entropy below 7.7 bits a byte.
fn is_uneven(samples: &[u8]) -> bool {
    let mut counts = [0u64; 256];
    samples.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let pairs: u64 = counts.iter().map(|count| count * count).sum();
    let total = samples.len() as u64;
    pairs > (total * total / 256 + total) / 4 * 5
}

/// At least two percent.
fn gains(compressed: usize, plain: usize) -> bool {
    compressed + plain / 50 < plain
}

fn compress_into(compressor: &mut Compressor<'static>, plaintext: &[u8], compressed: &mut Vec<u8>) -> Result<()> {
    make_room(compressed, zstd_safe::compress_bound(plaintext.len()));
    compressor.compress_to_buffer(plaintext, compressed).map_err(|_| SealError::Internal("zstd did not compress a blob"))?;
    Ok(())
}

/// Empties a buffer and makes room for so many bytes.
fn make_room(buffer: &mut Vec<u8>, bytes: usize) {
    if buffer.capacity() > BUFFER_KEPT_BYTES_MAX && bytes <= BUFFER_KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
    buffer.clear();
    buffer.reserve_exact(bytes);
}

/// Opens blobs and verifies that they are what their ids say.
pub struct BlobOpener {
    decompressor: Decompressor<'static>,
    sealed: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Default for BlobOpener {
    fn default() -> Self {
        Self::new()
    }
}

impl BlobOpener {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let decompressor = Decompressor::new().expect("zstd makes a context without a dictionary");
        Self { decompressor, sealed: Vec::new(), plaintext: Vec::new() }
    }

    /// Opens a sealed blob and answers its plaintext, whose id was computed anew with `links` and found to be `id`. It stands in
    /// the opener's buffer until it opens another one.
    pub fn open(
        &mut self,
        key: &DataKey,
        writer: &DomainWriter,
        kind: BlobKind,
        id: BlobId,
        links: &[BlobId],
        sealed: &[u8],
    ) -> Result<&[u8]> {
        check_links(kind, links)?;
        within("sealed bytes of a blob", sealed.len(), limits::BLOB_SEALED_MAX)?;
        if key.domain() != writer.domain() {
            return Err(SealError::Invalid("the data key and the id key belong to different domains"));
        }
        make_room(&mut self.sealed, sealed.len());
        self.sealed.extend_from_slice(sealed);
        let inner = Inner::parse(key.open_in_place(kind, id, &mut self.sealed)?)?;
        let plaintext = match inner.codec {
            Codec::Zstd => decompress(&mut self.decompressor, inner.payload, inner.plaintext_length, &mut self.plaintext)
                .ok_or(SealError::BlobDoesNotDecompress(id))?,
            Codec::Stored => inner.payload,
        };
        if !equal(writer.blob_id(kind, links, plaintext).as_bytes(), id.as_bytes()) {
            return Err(SealError::BlobIsAnother(id));
        }
        Ok(plaintext)
    }
}

/// One zstd frame of exactly `length` bytes; no room is made for more.
fn decompress<'a>(
    decompressor: &mut Decompressor<'static>,
    payload: &[u8],
    length: usize,
    plaintext: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    if zstd_safe::find_frame_compressed_size(payload).ok()? != payload.len() {
        return None;
    }
    make_room(plaintext, length);
    let written = decompressor.decompress_to_buffer(payload, plaintext).ok()?;
    (written == length).then_some(plaintext.as_slice())
}
