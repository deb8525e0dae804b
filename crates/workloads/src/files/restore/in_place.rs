//! A regular file that is changed where it differs, instead of being replaced.
//!
//! What is the same is not written. From the first change on the file is its owner's alone and has another modification time than the one
//! that is restored, until it is done: an interruption leaves a mixture that nobody takes for done. Who has a file open goes on seeing it.
//! So files are replaced, not changed, if they have further names (whoever has those did not ask for it), if they are programs or
//! libraries, which processes run, and if somebody may have them open who is not to see what is restored, or could change it: where owner,
//! group or ACL are others than those that are restored, where the mode lets others do more, and where the restored file lends rights.

use super::attributes::{SET_ID, apply, shown};
use super::directories::OpenDirectory;
use super::file::end_within;
use super::target::Policy;
use super::unfinished::look;
use crate::platform::{self, ACL_ACCESS, Named, Stat};
use engine::source::Segment;
use engine::target::{Shortfall, TargetFile};
use format::page::{Attribute, Metadata, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is compared, and written if it differs.
const BLOCK_BYTES: u64 = 4096;
/// So much of what is there is on its way from the disk while it is compared.
const AHEAD_BYTES: u64 = 8 << 20;
/// What is compared at once.
const COMPARE_BYTES: usize = 256 << 10;
/// The attribute that lends root's rights.
const CAPABILITY: &[u8] = b"security.capability";
/// What programs and libraries begin with.
const ELF: [u8; 4] = *b"\x7fELF";

/// What all files that are changed in place share.
#[derive(Default)]
pub(super) struct Changes {
    /// Bytes that were to be written and were the same.
    kept: AtomicU64,
    /// Files that are being changed, by file system and inode: two entries may lead to one, and must not both change it.
    open: Mutex<HashSet<(u64, u64)>>,
}

impl Changes {
    pub(super) fn bytes_kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    fn open(&self) -> MutexGuard<'_, HashSet<(u64, u64)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open file beneath the destination, with content from before.
pub(super) struct ChangedFile {
    file: OwnedFd,
    parent: Arc<OpenDirectory>,
    name: Vec<u8>,
    inode: (u64, u64),
    policy: Arc<Policy>,
    modified: Timestamp,
    size: u64,
    state: Mutex<State>,
    /// Up to where the kernel was asked for what is there.
    asked: AtomicU64,
    changes: Arc<Changes>,
}

struct State {
    is_begun: bool,
    /// Ranges that are as they shall be, none touching another: ends by starts.
    done: BTreeMap<u64, u64>,
}

impl ChangedFile {
    /// The file of this name, if it is one to be changed.
    pub(super) fn open(
        parent: Arc<OpenDirectory>,
        name: &[u8],
        policy: &Arc<Policy>,
        (metadata, attributes): (&Metadata, &[Attribute]),
        changes: &Arc<Changes>,
    ) -> io::Result<Option<Self>> {
        let Some(file) = platform::open_to_change(parent.as_fd(), name)? else { return Ok(None) };
        let stat = platform::stat_open(file.as_fd())?;
        let inode = (stat.file_system, stat.inode);
        if !may_be_changed(&file, &stat, policy, metadata, attributes) || !changes.open().insert(inode) {
            return Ok(None);
        }
        let state = Mutex::new(State { is_begun: false, done: BTreeMap::new() });
        let (policy, changes, modified, size) = (policy.clone(), changes.clone(), metadata.modified, metadata.size);
        let (name, asked) = (name.to_vec(), AtomicU64::new(0));
        Ok(Some(Self { file, parent, name, inode, policy, modified, size, state, asked, changes }))
    }

    /// Makes it its owner's alone, and known as unfinished.
    fn begin(&self) -> io::Result<()> {
        let mut state = self.state();
        if !state.is_begun {
            let unfinished = Timestamp { seconds: i64::from(self.modified.seconds == 0), nanoseconds: 0 };
            platform::set_times(self.named(), unfinished)?;
            platform::set_mode(self.named(), 0o600)?;
            platform::remove_attribute(self.named(), ACL_ACCESS)?;
            state.is_begun = true;
        }
        Ok(())
    }

    fn named(&self) -> Named<'_> {
        Named::Open(self.file.as_fd())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what differs of a piece; answers how much of it was the same.
    fn change(&self, bytes: &[u8], offset: u64) -> io::Result<u64> {
        let mut there = vec![0; bytes.len().min(COMPARE_BYTES)];
        let mut same = bytes.len();
        let mut at = 0;
        while at < bytes.len() {
            // so that parts end where blocks do
            let from = offset + at as u64;
            let length = (COMPARE_BYTES - (from % BLOCK_BYTES) as usize).min(bytes.len() - at);
            let bytes = &bytes[at..at + length];
            // what cannot be read is written
            let read = platform::read_at(self.file.as_fd(), &mut there[..length], from).unwrap_or(0);
            for part in differing(bytes, &there[..read], from) {
                self.begin()?;
                platform::write_at(&self.file, &bytes[part.clone()], from + part.start as u64)?;
                same -= part.len();
            }
            at += length;
        }
        Ok(same as u64)
    }

    /// Makes zeros of a range, a hole where that can be, if it has anything else.
    fn clear(&self, range: Range<u64>) -> io::Result<()> {
        let mut there = vec![0; COMPARE_BYTES];
        let mut at = range.start;
        while at < range.end {
            let Some(segment) = platform::segment(self.file.as_fd(), at)? else { break };
            let (Segment::Data { offset, length } | Segment::Hole { offset, length }) = segment;
            let end = offset.saturating_add(length).min(range.end);
            if matches!(segment, Segment::Hole { .. }) {
                at = end;
                continue;
            }
            let end = end.min(at + COMPARE_BYTES as u64);
            let there = &mut there[..(end - at) as usize];
            let read = platform::read_at(self.file.as_fd(), there, at)?;
            if there[..read].iter().any(|byte| *byte != 0) {
                self.begin()?;
                if !platform::make_hole(self.file.as_fd(), at..end)? {
                    there.fill(0);
                    platform::write_at(&self.file, there, at)?;
                }
            }
            at = end;
        }
        Ok(())
    }

    /// Whether it has all that belongs to it already, and nothing else.
    fn is_done(&self, stat: &Stat, metadata: &Metadata, attributes: &[Attribute]) -> bool {
        let (there, unreadable) = platform::read_open_attributes(self.file.as_fd());
        !self.state().is_begun
            && unreadable.is_none()
            && there == attributes
            && (stat.user, stat.group) == self.policy.local_owner(metadata)
            && (stat.mode, stat.modified) == (metadata.mode, metadata.modified)
    }

    /// Removes attributes that the entry does not have.
    fn strip(&self, attributes: &[Attribute]) -> Vec<Shortfall> {
        let (there, unreadable) = platform::read_open_attributes(self.file.as_fd());
        let mut shortfalls: Vec<Shortfall> =
            unreadable.into_iter().map(|why| Shortfall { what: "attributes".to_owned(), why }).collect();
        for own in there.iter().filter(|own| !attributes.iter().any(|attribute| attribute.name == own.name)) {
            match platform::remove_attribute(self.named(), &own.name) {
                // labels of a security module are the machine's
                Err(error) if !own.name.starts_with(b"security.") || own.name == CAPABILITY => {
                    shortfalls.push(Shortfall { what: shown(own), why: format!("it cannot be removed: {error}") });
                }
                _ => {}
            }
        }
        shortfalls
    }
}

impl Drop for ChangedFile {
    fn drop(&mut self) {
        self.changes.open().remove(&self.inode);
    }
}

impl TargetFile for ChangedFile {
    fn read_before(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64);
        let (asked, ahead) = (self.asked.load(Ordering::Relaxed), end.saturating_add(AHEAD_BYTES).min(self.size));
        if end > asked || ahead >= asked + AHEAD_BYTES / 2 {
            platform::will_need(self.file.as_fd(), asked.max(offset)..ahead.max(offset));
            self.asked.store(ahead, Ordering::Relaxed);
        }
        platform::read_at(self.file.as_fd(), buffer, offset)
    }

    fn keep(&self, range: &Range<u64>) {
        add(&mut self.state().done, range);
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = end_within(self.size, offset, bytes.len() as u64)?;
        let same = self.change(bytes, offset)?;
        self.changes.kept.fetch_add(same, Ordering::Relaxed);
        add(&mut self.state().done, &(offset..end));
        Ok(())
    }

    fn finish(&self, metadata: &Metadata, attributes: &[Attribute]) -> io::Result<Vec<Shortfall>> {
        let stat = platform::stat_open(self.file.as_fd())?;
        if stat.size != self.size {
            self.begin()?;
            platform::truncate(&self.file, self.size)?;
        }
        let holes = gaps(&self.state().done, self.size);
        holes.into_iter().try_for_each(|hole| self.clear(hole))?;
        let mut shortfalls = Vec::new();
        if !self.is_done(&stat, metadata, attributes) {
            self.begin()?;
            shortfalls = self.strip(attributes);
            shortfalls.extend(apply(self.named(), true, &self.policy, metadata, attributes));
        }
        let named = look(self.parent.as_fd(), &self.name)?;
        match named.is_some_and(|stat| (stat.file_system, stat.inode, stat.names) == (self.inode.0, self.inode.1, 1)) {
            true => Ok(shortfalls),
            false => Err(io::Error::other("somebody put something else in its place, or gave it a further name")),
        }
    }
}

/// Whether nobody sees or does more by having it open than the restored file lets them.
fn may_be_changed(file: &OwnedFd, stat: &Stat, policy: &Policy, metadata: &Metadata, attributes: &[Attribute]) -> bool {
    let (user, group) = policy.local_owner(metadata);
    let keeps_owner = match policy.owners {
        true => (stat.user, stat.group) == (user, group),
        false => platform::is_own(stat),
    };
    let (there, _) = platform::read_open_attributes(file.as_fd());
    let of = |attributes: &[Attribute], name: &[u8]| attributes.iter().find(|each| each.name == name).cloned();
    let keeps_acl = of(&there, ACL_ACCESS).is_none_or(|acl| of(attributes, ACL_ACCESS) == Some(acl));
    let lends_rights = metadata.mode & SET_ID != 0 || of(attributes, CAPABILITY).is_some();
    let mut begin = [0; ELF.len()];
    let is_program =
        (stat.mode | metadata.mode) & 0o111 != 0 || platform::read_at(file.as_fd(), &mut begin, 0).is_ok_and(|_| begin == ELF);
    let is_open_to_more = stat.mode & 0o077 & !metadata.mode != 0;
    stat.is_file() && stat.names == 1 && keeps_owner && keeps_acl && !lends_rights && !is_program && !is_open_to_more
}

/// Which parts of the bytes are others than those that are there, in blocks of the file.
fn differing(bytes: &[u8], there: &[u8], offset: u64) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let block_end = (offset + at as u64) / BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES;
        let end = ((block_end - offset) as usize).min(bytes.len());
        if there.get(at..end) != Some(&bytes[at..end]) {
            match parts.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => parts.push(at..end),
            }
        }
        at = end;
    }
    parts
}

/// Adds a range to those that are done; none of them overlap.
fn add(done: &mut BTreeMap<u64, u64>, range: &Range<u64>) {
    if range.is_empty() {
        return;
    }
    let mut whole = range.clone();
    if let Some(end) = done.remove(&whole.end) {
        whole.end = end;
    }
    match done.range_mut(..whole.start).next_back() {
        Some((_, end)) if *end == whole.start => *end = whole.end,
        _ => drop(done.insert(whole.start, whole.end)),
    }
}

/// What is between the ranges that are done.
fn gaps(done: &BTreeMap<u64, u64>, size: u64) -> Vec<Range<u64>> {
    let starts = done.keys().copied().chain([size]);
    let ends = [0].into_iter().chain(done.values().copied());
    ends.zip(starts).map(|(end, start)| end..start).filter(|gap| !gap.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together_in_any_order_and_what_is_between_them_is_known() {
        let mut done = BTreeMap::new();
        for range in [4..6, 0..2, 8..9, 2..4, 12..12, 9..10] {
            add(&mut done, &range);
        }
        assert_eq!(done, BTreeMap::from([(0, 6), (8, 10)]));
        assert_eq!(gaps(&done, 12), [6..8, 10..12]);
        assert_eq!(gaps(&BTreeMap::new(), 3), vec![0..3]);
        assert_eq!(gaps(&BTreeMap::from([(0, 3)]), 3), Vec::<Range<u64>>::new());
    }

    #[test]
    fn what_differs_is_found_by_blocks_of_the_file() {
        let bytes = vec![1; 10_000];
        let mut there = bytes.clone();
        assert_eq!(differing(&bytes, &there, 5000), Vec::<Range<usize>>::new());
        there[0] = 2;
        there[9_999] = 2;
        // the file's blocks begin at 4096, 8192, 12288
        assert_eq!(differing(&bytes, &there, 5000), [0..3192, 7288..10_000]);
        assert_eq!(differing(&bytes, &there[..4000], 5000), vec![0..10_000]);
        assert_eq!(differing(&bytes, &[], 0), vec![0..10_000]);
    }
}
