//! Sorts more records than memory holds: sorted runs in a temporary file, merged.

use crate::error::{EngineError, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// Bytes of records that are sorted in memory.
const MEMORY_BYTES: usize = 16 << 20;
/// Bytes of a run that are read at once when runs are merged.
const READ_BYTES: usize = 128 << 10;

/// Collects records of `N` bytes; equal ones count once.
pub(crate) struct Sorter<const N: usize> {
    records: Vec<[u8; N]>,
    file: Option<File>,
    /// How many records each run in the file has.
    runs: Vec<u64>,
}

impl<const N: usize> Sorter<N> {
    pub(crate) fn new() -> Self {
        Self { records: Vec::new(), file: None, runs: Vec::new() }
    }

    pub(crate) fn push(&mut self, record: [u8; N]) -> Result<()> {
        self.records.push(record);
        if self.records.len() * N >= MEMORY_BYTES { self.spill() } else { Ok(()) }
    }

    fn sort(&mut self) {
        self.records.sort_unstable();
        self.records.dedup();
    }

    fn spill(&mut self) -> Result<()> {
        self.sort();
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile().map_err(EngineError::spill)?);
        }
        let file = self.file.as_mut().ok_or(EngineError::Internal("a temporary file is gone"))?;
        file.seek(SeekFrom::End(0)).map_err(EngineError::spill)?;
        file.write_all(self.records.as_flattened()).map_err(EngineError::spill)?;
        self.runs.push(self.records.len() as u64);
        self.records.clear();
        Ok(())
    }

    /// The records in order, each once.
    pub(crate) fn finish(mut self) -> Result<Sorted<N>> {
        self.sort();
        let mut sorted = Sorted { file: self.file, runs: Vec::new(), heap: BinaryHeap::new(), last: None };
        let mut start = 0;
        for records in self.runs {
            sorted.runs.push(Run { at: start, left: records, read: Vec::new().into_iter() });
            start += records * N as u64;
        }
        sorted.runs.push(Run { at: 0, left: 0, read: self.records.into_iter() });
        (0..sorted.runs.len()).try_for_each(|run| sorted.refill(run))?;
        Ok(sorted)
    }
}

struct Run<const N: usize> {
    /// Where its next records stand in the file, and how many there are.
    at: u64,
    left: u64,
    read: std::vec::IntoIter<[u8; N]>,
}

/// Records in order.
pub(crate) struct Sorted<const N: usize> {
    file: Option<File>,
    runs: Vec<Run<N>>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
    last: Option<[u8; N]>,
}

impl<const N: usize> Sorted<N> {
    /// Puts the next record of a run into the heap.
    fn refill(&mut self, number: usize) -> Result<()> {
        let run = &mut self.runs[number];
        if run.read.as_slice().is_empty() && run.left > 0 {
            let count = run.left.min((READ_BYTES / N).max(1) as u64);
            let mut records = vec![[0; N]; count as usize];
            let file = self.file.as_ref().ok_or(EngineError::Internal("a temporary file is gone"))?;
            file.read_exact_at(records.as_flattened_mut(), run.at).map_err(EngineError::spill)?;
            run.at += count * N as u64;
            run.left -= count;
            run.read = records.into_iter();
        }
        if let Some(record) = run.read.next() {
            self.heap.push(Reverse((record, number)));
        }
        Ok(())
    }
}

impl<const N: usize> Iterator for Sorted<N> {
    type Item = Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Reverse((record, run)) = self.heap.pop()?;
            if let Err(error) = self.refill(run) {
                self.heap.clear();
                return Some(Err(error));
            }
            if self.last.replace(record) != Some(record) {
                return Some(Ok(record));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_over_the_budget_come_out_sorted_and_once() {
        let mut sorter = Sorter::<64>::new();
        let count = 3 * MEMORY_BYTES as u64 / 64 + 17;
        for number in 0..count {
            // a permutation, with every tenth record twice
            let number = number * 7919 % count;
            let mut record = [0; 64];
            record[..8].copy_from_slice(&number.to_be_bytes());
            sorter.push(record).unwrap();
            if number.is_multiple_of(10) {
                sorter.push(record).unwrap();
            }
        }
        assert!(sorter.runs.len() >= 3);
        let mut expected = 0;
        for record in sorter.finish().unwrap() {
            assert_eq!(record.unwrap()[..8], u64::to_be_bytes(expected));
            expected += 1;
        }
        assert_eq!(expected, count);
    }
}
