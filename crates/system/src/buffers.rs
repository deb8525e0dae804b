//! Large buffers that are used again: memory that was touched once is neither cleared nor fetched anew, which costs as much as
//! filling it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers have multiples of this.
const STEP_BYTES: usize = 128 << 10;
/// Shorter ones are made as they are needed.
const BYTES_MIN: usize = 64 << 10;

/// Bytes that are all initialised, of which the first ones are filled. Dropped, it is used again.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    /// Where it goes back to, and how many bytes it counts there.
    home: Option<(Arc<Buffers>, usize)>,
}

impl Buffer {
    /// A full buffer.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { filled: bytes.len(), bytes, home: None }
    }

    /// The filled bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// How many bytes are filled.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no byte is filled.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Room for so many bytes behind the filled ones; what is put there counts after [`Buffer::advance`].
    pub fn spare(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.filled + bytes;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    /// Counts bytes as filled.
    pub fn advance(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    /// Fills it from behind with a copy.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.spare(bytes.len()).copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Forgets what was filled behind a place.
    pub fn truncate(&mut self, filled: usize) {
        self.filled = self.filled.min(filled);
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some((home, lent)) = self.home.take() {
            home.pool().give_back(std::mem::take(&mut self.bytes), lent, home.bytes_max);
        }
    }
}

/// Buffers that are lent and those that are free, together of no more bytes than the limit; while more are lent, none is free.
#[derive(Debug)]
pub struct Buffers {
    bytes_max: usize,
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    free: Vec<Vec<u8>>,
    /// Of all, lent or free.
    bytes: usize,
}

impl Buffers {
    /// No buffer yet; free ones are kept within this limit.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, pool: Mutex::default() })
    }

    /// An empty buffer for this many bytes.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Buffer {
        if bytes < BYTES_MIN {
            return Buffer { bytes: vec![0; bytes], filled: 0, home: None };
        }
        let length = bytes.next_multiple_of(STEP_BYTES);
        let free = self.pool().take(length, self.bytes_max);
        let bytes = free.unwrap_or_else(|| vec![0; length]);
        Buffer { filled: 0, home: Some((self.clone(), bytes.len())), bytes }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// A free buffer that is long enough and not out of all proportion; without one the room for a new one is made and counted.
    fn take(&mut self, length: usize, bytes_max: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (length..=length * 4).contains(&buffer.len());
        let best = (0..self.free.len()).filter(|at| fits(&self.free[*at])).min_by_key(|at| self.free[*at].len());
        if let Some(at) = best {
            return Some(self.free.swap_remove(at));
        }
        self.bytes += length;
        while self.bytes > bytes_max
            && let Some(other) = self.free.pop()
        {
            self.bytes -= other.len();
        }
        None
    }

    fn give_back(&mut self, bytes: Vec<u8>, lent: usize, bytes_max: usize) {
        if self.bytes <= bytes_max && bytes.len() == lent {
            self.free.push(bytes);
        } else {
            self.bytes -= lent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 8 * STEP_BYTES;

    /// Bytes of all, and how many are free.
    fn of(buffers: &Buffers) -> (usize, usize) {
        let pool = buffers.pool();
        (pool.bytes, pool.free.len())
    }

    #[test]
    fn a_buffer_is_used_again_and_never_shows_what_was_in_it() {
        let buffers = Buffers::new(MAX);
        let mut buffer = buffers.take(200 << 10);
        buffer.extend(&[7; 1000]);
        buffer.truncate(10);
        assert_eq!(buffer.as_slice(), [7; 10]);
        let place = buffer.bytes.as_ptr();
        drop(buffer);
        let buffer = buffers.take(180 << 10);
        assert_eq!(buffer.bytes.as_ptr(), place);
        assert!(buffer.is_empty());
    }

    #[test]
    fn all_buffers_together_stay_below_the_limit_unless_more_are_lent() {
        let buffers = Buffers::new(MAX);
        let all = |count: usize, bytes| (0..count).map(|_| buffers.take(bytes)).collect::<Vec<_>>();
        drop(all(8, STEP_BYTES));
        assert_eq!(buffers.pool().free.len(), 8);
        let mut large = all(3, 4 * STEP_BYTES);
        assert_eq!(of(&buffers), (12 * STEP_BYTES, 0));
        large.pop();
        assert_eq!(of(&buffers), (MAX, 0), "more were lent than the limit is");
        drop(large);
        assert_eq!(of(&buffers), (MAX, 2));
        let fitting = buffers.take(STEP_BYTES);
        assert_eq!(of(&buffers), (MAX, 1), "four times as long does");
        drop(fitting);
        let longer = buffers.take(5 * STEP_BYTES);
        assert_eq!(of(&buffers), (5 * STEP_BYTES, 0), "others make room for one that is longer");
        drop(longer);
    }

    #[test]
    fn a_buffer_that_grew_is_not_kept_and_not_counted_any_more() {
        let buffers = Buffers::new(MAX);
        let mut buffer = buffers.take(STEP_BYTES);
        buffer.spare(2 * STEP_BYTES);
        drop(buffer);
        assert_eq!(of(&buffers), (0, 0));
    }
}
