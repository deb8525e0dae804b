//! Subdirectories of one directory that still have to be walked: a queue that spills to a temporary file.

use super::roots::Scope;
use super::spill::Spill;
use std::io;

/// Bytes that are kept in memory before they are written to the file.
const MEMORY_BYTES: usize = 1 << 20;
/// Bytes that are read at once; more than the longest record.
const READ_BYTES: usize = 128 << 10;

/// A subdirectory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Child {
    /// Its name.
    pub(super) name: Vec<u8>,
    /// What of it belongs to the file set.
    pub(super) scope: Scope,
}

/// First in, first out.
#[derive(Debug, Default)]
pub(super) struct ChildQueue {
    /// What is taken next, from `at`.
    front: Vec<u8>,
    at: usize,
    /// What was put last.
    back: Vec<u8>,
    /// What stands between the two.
    middle: Option<(Spill, u64)>,
}

impl ChildQueue {
    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.at == self.front.len() && self.back.is_empty() && self.unread() == 0
    }

    /// Puts a subdirectory at the end.
    pub(super) fn push(&mut self, child: &Child) {
        self.back.extend_from_slice(&(child.name.len() as u16).to_le_bytes());
        self.back.extend_from_slice(&child.scope.to_bytes());
        self.back.extend_from_slice(&child.name);
        if self.back.len() >= MEMORY_BYTES {
            // Where the disk takes no more, memory has to.
            let _ = self.spill();
        }
    }

    /// Takes the first one.
    pub(super) fn pop(&mut self) -> io::Result<Option<Child>> {
        if let Some(child) = self.take() {
            return Ok(Some(child));
        }
        self.front.drain(..self.at);
        self.at = 0;
        match &mut self.middle {
            Some((spill, read)) if *read < spill.length() => {
                let more = spill.read(*read, spill.length(), READ_BYTES)?;
                *read += more.len() as u64;
                self.front.extend_from_slice(&more);
            }
            _ => {
                self.middle = None;
                self.front = std::mem::take(&mut self.back);
            }
        }
        Ok(self.take())
    }

    fn unread(&self) -> u64 {
        self.middle.as_ref().map_or(0, |(spill, read)| spill.length() - read)
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.middle.is_none() {
            self.middle = Some((Spill::new()?, 0));
        }
        if let Some((spill, _)) = &mut self.middle {
            spill.append(&self.back)?;
            self.back.clear();
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Child> {
        let record = &self.front[self.at..];
        let (length, record) = record.split_first_chunk::<2>()?;
        let (scope, record) = record.split_first_chunk::<{ Scope::BYTES }>()?;
        let name = record.get(..usize::from(u16::from_le_bytes(*length)))?;
        self.at += 2 + Scope::BYTES + name.len();
        Some(Child { name: name.to_vec(), scope: Scope::from_bytes(*scope) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_come_in_order_through_memory_and_file() {
        let child =
            |n: u32| Child { name: format!("{n}-{}", "x".repeat((n % 200) as usize)).into_bytes(), scope: Scope::whole() };
        let mut queue = ChildQueue::default();
        let mut taken = 0;
        for n in 0..60_000 {
            queue.push(&child(n));
            if n % 3 == 0 {
                assert_eq!(queue.pop().unwrap(), Some(child(taken)));
                taken += 1;
            }
        }
        assert!(queue.middle.is_some());
        while !queue.is_empty() {
            assert_eq!(queue.pop().unwrap(), Some(child(taken)));
            taken += 1;
        }
        assert_eq!(taken, 60_000);
        assert_eq!(queue.pop().unwrap(), None);
    }
}
