//! Memory for reading and writing past the page cache, where addresses, places and lengths are multiples of a block.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses, places and lengths are multiples of this: as large as the blocks of any disk.
pub const BLOCK_BYTES: usize = 4096;

/// Memory that begins at a multiple of [`BLOCK_BYTES`], all of it initialised. Dropped, it is used again.
#[derive(Debug)]
pub struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    home: Arc<AlignedPool>,
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.home.length]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.home.length]
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        let mut kept = self.home.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < self.home.kept_max {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Aligned memory of one length, some of which is kept while it is not used.
#[derive(Debug)]
pub struct AlignedPool {
    length: usize,
    kept_max: usize,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl AlignedPool {
    /// Nothing yet; of what is given back so many are kept.
    pub fn new(length: usize, kept_max: usize) -> Arc<Self> {
        Arc::new(Self { length, kept_max, kept: Mutex::default() })
    }

    /// Memory of this pool's length, with whatever is in it.
    pub fn take(self: &Arc<Self>) -> Aligned {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = kept.unwrap_or_else(|| vec![0; self.length + BLOCK_BYTES]);
        let address = bytes.as_ptr().addr();
        Aligned { start: address.next_multiple_of(BLOCK_BYTES) - address, bytes, home: self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_begins_at_a_block_has_its_length_and_is_used_again() {
        let pool = AlignedPool::new(3 * BLOCK_BYTES, 1);
        let (mut first, second) = (pool.take(), pool.take());
        for memory in [&first, &second] {
            assert_eq!((memory.as_ptr().addr() % BLOCK_BYTES, memory.len()), (0, 3 * BLOCK_BYTES));
        }
        first[0] = 7;
        drop((first, second));
        let again = pool.take();
        assert_eq!(again[0], 7, "the first one was kept, and no more");
        assert_eq!(pool.kept.lock().unwrap().len(), 0);
    }
}
