//! Buffers that are used again: memory that was touched once is neither cleared nor fetched anew.

use std::sync::{Mutex, PoisonError};

/// Sizes in which buffers are kept, in KiB.
const SIZES_KIB: [usize; 4] = [256, 512, 1024, 2048];
/// Shorter ones are made as they are needed.
const BYTES_MIN: usize = 64 << 10;
/// Buffers that are kept of each size.
const KEPT: usize = 12;

/// Bytes that are all initialised, of which the first ones are filled.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// A full buffer.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { filled: bytes.len(), bytes }
    }

    /// The filled bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Room for so many bytes behind the filled ones; what is put there counts after [`Buffer::advance`].
    pub(crate) fn spare(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.filled + bytes;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    /// Counts bytes as filled.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    /// Fills it from behind with a copy.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.spare(bytes.len()).copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Forgets what was filled behind a place.
    pub(crate) fn truncate(&mut self, filled: usize) {
        self.filled = self.filled.min(filled);
    }
}

/// Buffers that are free.
#[derive(Default)]
pub(crate) struct Buffers([Mutex<Vec<Vec<u8>>>; SIZES_KIB.len()]);

impl Buffers {
    /// An empty buffer for this many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Buffer {
        let size = SIZES_KIB.iter().position(|size| bytes <= size << 10);
        let (Some(size), true) = (size, bytes >= BYTES_MIN) else { return Buffer { bytes: vec![0; bytes], filled: 0 } };
        let kept = self.0[size].lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: kept.unwrap_or_else(|| vec![0; SIZES_KIB[size] << 10]), filled: 0 }
    }

    /// Keeps a buffer for further use, if it is one of ours and there are not enough.
    pub(crate) fn give_back(&self, buffer: Buffer) {
        if let Some(size) = SIZES_KIB.iter().position(|size| buffer.bytes.len() == size << 10) {
            let mut kept = self.0[size].lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(buffer.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_never_shows_what_was_in_it() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(200 << 10);
        buffer.extend(&[7; 1000]);
        buffer.truncate(10);
        assert_eq!(buffer.as_slice(), [7; 10]);
        let place = buffer.bytes.as_ptr();
        buffers.give_back(buffer);
        let buffer = buffers.take(150 << 10);
        assert_eq!(buffer.bytes.as_ptr(), place);
        assert!(buffer.is_empty());
    }
}
