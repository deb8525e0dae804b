//! Content-defined chunking: where content is cut into data blobs.
//!
//! The gear hash of a position is `Σ table[byte i before it] << i` modulo 2^64, so that it depends on the 64 bytes in front of
//! the position and on nothing else. The table has 256 entries of 64 bits, little-endian, from keyed BLAKE3 (the domain's
//! chunking key, empty message, extended output). Content is cut by these rules, in this order:
//!
//! 1. **Zero runs.** A longest stretch of zero bytes that is at least `min` long is cut out: a cut where it starts, a cut
//!    every `max` bytes within, a cut where it ends. Such pieces are marked, so that they cost neither hashing nor storage.
//! 2. **Gear.** A position at least `min` and less than `average` bytes behind the last cut is a cut where its hash is below
//!    2^64 / (4 · average); from `average` on, where it is below 4 · 2^64 / average (normalised chunking, level 2, of FastCDC:
//!    Xia et al., 2016).
//! 3. **Maximum.** A position `max` bytes behind the last cut is a cut.
//!
//! Why this is deterministic: where zero runs start and end depends on the content alone, not on cuts before them (the cut at
//! a run's start is taken wherever the gear would have cut behind it), and the gear looks at 64 bytes that lie within the
//! chunk. Why it resynchronises: after a change, the next zero run cuts the same as before, and between runs the first common
//! gear cut makes all later ones common. Without a rule of their own zero runs would be cut at `min` or at `max`, as the key
//! will have it, with their first and last chunk depending on what stands around them.
//!
//! The table is as secret as the key. What cut sizes say about it all the same stands in the threat model.

mod gear;
#[cfg(test)]
mod tests;
mod zeros;

use format::FormatError;
use format::codec::within;
use format::limits;
use gear::GearTable;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that a gear hash depends on.
const WINDOW: usize = 64;

/// Sizes of chunks in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutParameters {
    /// Least bytes of a chunk, but for those at a zero run's edge and at the end. Also the least length of a zero run.
    pub min: usize,
    /// About the mean.
    pub average: usize,
    /// Most bytes of a chunk.
    pub max: usize,
}

impl Default for CutParameters {
    fn default() -> Self {
        Self { min: 128 << 10, average: 512 << 10, max: 2 << 20 }
    }
}

/// One piece of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes, at least 1 and at most `max`.
    pub length: usize,
    /// Whether it is part of a zero run.
    pub zeros: bool,
}

/// Cuts content of one domain. Clones share the table.
#[derive(Clone)]
pub struct Chunker {
    table: Arc<GearTable>,
    parameters: CutParameters,
}

impl Chunker {
    /// A chunker with a domain's chunking key. Refuses a `min` below 64, sizes that are not in order, and a `max` above what a
    /// blob holds.
    pub fn new(key: &[u8; 32], parameters: CutParameters) -> Result<Self, FormatError> {
        let CutParameters { min, average, max } = parameters;
        within("bytes of a chunk", max, limits::BLOB_PLAINTEXT_MAX)?;
        if min < WINDOW || average < min || max < average {
            return Err(FormatError::Invalid("chunk sizes are not in order, or the least is below 64 bytes"));
        }
        Ok(Self { table: Arc::new(GearTable::new(key)), parameters })
    }

    /// Starts to cut a new content.
    #[must_use]
    pub fn start(&self) -> Cutter<'_> {
        Cutter { chunker: self, in_zeros: false, searched: 0 }
    }

    /// Bytes in which [`Cutter::next`] finds a piece in any case: more than the largest one, because a zero run shows itself
    /// only by its length.
    #[must_use]
    pub fn lookahead(&self) -> usize {
        self.parameters.max + self.parameters.min
    }

    /// The sizes.
    #[must_use]
    pub fn parameters(&self) -> CutParameters {
        self.parameters
    }

    /// The pieces of a content that is there as a whole.
    pub fn pieces<'a>(&'a self, content: &'a [u8]) -> impl Iterator<Item = Piece> + 'a {
        let mut cutter = self.start();
        let mut rest = content;
        std::iter::from_fn(move || {
            let piece = cutter.next(rest, true)?;
            rest = &rest[piece.length..];
            Some(piece)
        })
    }

    /// The first place in a range where the gear cuts the data piece that starts with `bytes`.
    fn gear_cut(&self, bytes: &[u8], range: Range<usize>) -> Option<usize> {
        let CutParameters { min, average, .. } = self.parameters;
        let strict = u64::MAX / (4 * average as u64);
        let loose = 4 * (u64::MAX / average as u64);
        let scan = |from: usize, to: usize, below| {
            if from < to { gear::scan(&self.table, bytes, from, to, below) } else { None }
        };
        scan(range.start.max(min), range.end.min(average), strict).or_else(|| scan(range.start.max(average), range.end, loose))
    }
}

/// Cuts one content, piece after piece.
pub struct Cutter<'a> {
    chunker: &'a Chunker,
    in_zeros: bool,
    /// So many bytes of the piece that comes next hold neither a cut nor the start of a zero run.
    searched: usize,
}

impl Cutter<'_> {
    /// The piece at the start of `bytes`, which start where the piece before ended. `last` says that the content ends with
    /// them. `None` where more bytes have to be seen (never more than [`Chunker::lookahead`]), and at the end; the next call
    /// comes with the same bytes and more behind them.
    pub fn next(&mut self, bytes: &[u8], last: bool) -> Option<Piece> {
        if bytes.is_empty() {
            return None;
        }
        let CutParameters { min, max, .. } = self.chunker.parameters;
        let whole = last || bytes.len() >= self.chunker.lookahead();
        if !self.in_zeros {
            let next_run = zeros::first_run(&bytes[self.searched..], min, max - self.searched).map(|run| run + self.searched);
            if next_run != Some(0) {
                let length = self.data_piece(bytes, next_run, whole)?;
                self.searched = 0;
                return Some(Piece { length, zeros: false });
            }
        }
        let zeros = zeros::leading(&bytes[..bytes.len().min(max)]);
        if !whole && zeros == bytes.len() && zeros < max {
            return None;
        }
        self.in_zeros = zeros == max;
        if zeros == 0 {
            // the run ended with the piece before
            return self.next(bytes, last);
        }
        Some(Piece { length: zeros, zeros: true })
    }

    /// Length of the data piece at the start of `bytes`, which start no zero run.
    fn data_piece(&mut self, bytes: &[u8], next_run: Option<usize>, whole: bool) -> Option<usize> {
        let max = self.chunker.parameters.max;
        // zeros at the end of what is there may belong to a run that is not seen yet
        let seen = if whole { bytes.len() } else { bytes.len() - zeros::trailing(bytes) };
        let end = next_run.unwrap_or(max).min(max);
        let known = end.min(seen);
        if let Some(cut) = self.chunker.gear_cut(bytes, self.searched..known) {
            return Some(cut);
        }
        if known == end || whole {
            return Some(known);
        }
        self.searched = known;
        None
    }
}
