//! Packs: filled, closed when full, and stored while the next one fills.
//!
//! Sealed blobs are collected one behind the other in one large buffer and put into the order of their ids when the pack
//! is closed, in another one, which the vault may keep for a while. A sealing thread that finds no buffer to collect in waits for
//! a storing thread, which waits for the vault only.

use super::Stages;
use super::flow::{Flow, Passage};
use crate::error::{EngineError, Result};
use bytes::Bytes;
use crossbeam_channel::Receiver;
use format::blob::{BlobKind, check_links};
use format::pack::{self, Checksum, Footer, FooterEntry, HEADER_BYTES};
use format::{BlobId, DomainId, PackName, limits};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Names that are asked for at once.
const NAMES_TOGETHER: u32 = 8;
/// Most blobs of a pack: below the limit of the format, so that what comes in between does no harm.
const BLOBS_MAX: usize = limits::PACK_ENTRIES_MAX / 2;
/// Large buffers in use from which on no second one is begun to be filled.
const IN_USE_MAX: usize = 3;
/// Data packs that are being filled or are full.
const COLLECTING_MAX: usize = 2;

/// A blob in a pack that is being filled.
struct Collected {
    id: BlobId,
    links: Vec<BlobId>,
    checksum: Checksum,
    offset: usize,
    length: usize,
}

#[derive(Default)]
struct Filling {
    blobs: Vec<Collected>,
    /// Where the bytes of data packs are.
    lent: Option<Lent>,
    /// Where the bytes of page packs are: most are short.
    own: Vec<u8>,
    /// Bytes of links: they go into the footer.
    link_bytes: usize,
}

impl Filling {
    fn bytes(&mut self) -> &mut Vec<u8> {
        self.lent.as_mut().map_or(&mut self.own, |lent| &mut lent.bytes)
    }
}

/// A pack that is full, or that is closed because the backup ends.
pub(crate) struct FullPack {
    kind: BlobKind,
    filling: Filling,
    /// Held until the vault has it.
    passage: Passage,
}

/// The packs that are being filled: one for data, one for pages.
pub(crate) struct OpenPacks {
    domain: DomainId,
    full_at: usize,
    data: Mutex<Filling>,
    pages: Mutex<Filling>,
    names: Mutex<Vec<PackName>>,
    /// Where data packs are collected, and where packs are put into order.
    large: Arc<Spare>,
}

impl OpenPacks {
    pub(super) fn new(domain: DomainId, full_at: usize) -> Self {
        let (data, pages, names) = Default::default();
        let large = Spare::new(full_at + limits::BLOB_PLAINTEXT_MAX / 8);
        Self { domain, full_at, data, pages, names, large }
    }

    /// Wakes those who wait for a buffer, after the backup failed.
    pub(super) fn stop(&self) {
        self.large.stop();
    }

    fn filling(&self, kind: BlobKind) -> &Mutex<Filling> {
        match kind {
            BlobKind::Data => &self.data,
            BlobKind::Page => &self.pages,
        }
    }

    /// Adds a blob; answers the pack if that fills it.
    pub(super) fn add(
        &self,
        kind: BlobKind,
        id: BlobId,
        links: Vec<BlobId>,
        sealed: &[u8],
        flow: &Arc<Flow>,
    ) -> Result<Option<FullPack>> {
        let checksum = Checksum::of(sealed);
        let mut filling = self.filling(kind).lock().unwrap_or_else(PoisonError::into_inner);
        if kind == BlobKind::Data && filling.lent.is_none() {
            // all sealing threads wait here until a pack was put into order
            let lent = self.large.take_to_collect()?;
            filling.lent = Some(lent);
        }
        let bytes = filling.bytes();
        let (offset, length) = (bytes.len(), sealed.len());
        bytes.extend_from_slice(sealed);
        let collected = bytes.len();
        filling.link_bytes += links.len() * BlobId::BYTES;
        filling.blobs.push(Collected { id, links, checksum, offset, length });
        let full = collected + filling.link_bytes >= self.full_at || filling.blobs.len() >= BLOBS_MAX;
        Ok(full.then(|| close(kind, &mut filling, flow)))
    }

    /// Closes both packs, if there is anything in them.
    pub(super) fn close_all(&self, flow: &Arc<Flow>) -> Vec<FullPack> {
        let mut closed = Vec::new();
        for kind in [BlobKind::Data, BlobKind::Page] {
            let mut filling = self.filling(kind).lock().unwrap_or_else(PoisonError::into_inner);
            if !filling.blobs.is_empty() {
                closed.push(close(kind, &mut filling, flow));
            }
        }
        closed
    }
}

fn close(kind: BlobKind, filling: &mut Filling, flow: &Arc<Flow>) -> FullPack {
    FullPack { kind, filling: std::mem::take(filling), passage: flow.enter_pack() }
}

/// Stores packs until there are no more.
pub(super) fn run(stages: &Stages, full: &Receiver<FullPack>) -> Result<()> {
    let inputs = &stages.inputs;
    while let Ok(FullPack { kind, filling, passage }) = full.recv() {
        inputs.stop.check()?;
        let name = name(stages)?;
        let pack = assemble(stages, name, kind, filling)?;
        let length = pack.bytes.len() as u64;
        let put = inputs.calls.domain.put_pack(inputs.session, name, Bytes::from_owner(pack));
        inputs.calls.wait_unless_stopped("store a pack", &inputs.stop, put)?;
        inputs.progress.bytes_stored.add(length);
        drop(passage);
    }
    Ok(())
}

fn name(stages: &Stages) -> Result<PackName> {
    let mut names = stages.packs.names.lock().unwrap_or_else(PoisonError::into_inner);
    if names.is_empty() {
        let inputs = &stages.inputs;
        *names = inputs.calls.wait("get names for packs", inputs.calls.domain.issue_packs(inputs.session, NAMES_TOGETHER))?;
    }
    names.pop().ok_or(EngineError::Internal("the vault issued no names for packs"))
}

fn assemble(stages: &Stages, name: PackName, kind: BlobKind, mut filling: Filling) -> Result<Lent> {
    let mut blobs = std::mem::take(&mut filling.blobs);
    // an id that was forgotten and sent again may stand here twice: once is enough
    blobs.sort_unstable_by_key(|blob| blob.id);
    blobs.dedup_by_key(|blob| blob.id);
    let (packs, key) = (&stages.packs, stages.inputs.key.id());
    let collected = filling.bytes();
    let mut pack = packs.large.take_to_order();
    pack.bytes.reserve_exact(HEADER_BYTES + collected.len() + blobs.len() * 80 + 4096);
    pack.bytes.extend_from_slice(&pack::header(name, kind));
    let mut entries = Vec::with_capacity(blobs.len());
    for Collected { id, links, checksum, offset, length } in blobs {
        check_links(kind, &links).map_err(EngineError::format("make a pack"))?;
        let at = pack.bytes.len() as u32;
        entries.push(FooterEntry { id, key: 0, offset: at, length: length as u32, checksum, links });
        pack.bytes.extend_from_slice(&collected[offset..offset + length]);
    }
    drop(filling);
    pack::close(&mut pack.bytes, &Footer { domain: packs.domain, name, kind, keys: vec![key], entries });
    Ok(pack)
}

/// Large buffers that are used again.
struct Spare {
    /// Capacity of a new one.
    bytes: usize,
    state: Mutex<SpareState>,
    changed: Condvar,
}

#[derive(Default)]
struct SpareState {
    free: Vec<Vec<u8>>,
    collecting: usize,
    ordering: usize,
    stopped: bool,
}

impl SpareState {
    /// A first one to collect in there always is: whatever is kept elsewhere, the backup goes on.
    fn may_collect(&self) -> bool {
        self.collecting == 0 || (self.collecting < COLLECTING_MAX && self.collecting + self.ordering < IN_USE_MAX)
    }
}

impl Spare {
    fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes, state: Mutex::default(), changed: Condvar::new() })
    }

    /// An empty buffer to collect blobs in; waits until there may be one more.
    fn take_to_collect(self: &Arc<Self>) -> Result<Lent> {
        let mut state = self.lock();
        while !state.stopped && !state.may_collect() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return Err(EngineError::Cancelled);
        }
        state.collecting += 1;
        Ok(self.lend(&mut state, true))
    }

    /// An empty buffer to put a pack into order in.
    fn take_to_order(self: &Arc<Self>) -> Lent {
        let mut state = self.lock();
        state.ordering += 1;
        self.lend(&mut state, false)
    }

    fn lend(self: &Arc<Self>, state: &mut SpareState, collects: bool) -> Lent {
        let bytes = state.free.pop().unwrap_or_else(|| Vec::with_capacity(self.bytes));
        Lent { bytes, collects, from: self.clone() }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, SpareState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A large buffer; it goes back when it is dropped.
struct Lent {
    bytes: Vec<u8>,
    collects: bool,
    from: Arc<Spare>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut state = self.from.lock();
        let count = if self.collects { &mut state.collecting } else { &mut state.ordering };
        *count -= 1;
        if state.free.len() + state.collecting + state.ordering < IN_USE_MAX {
            state.free.push(bytes);
        }
        self.from.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_buffer_is_filled_only_while_few_are_in_use_and_a_first_one_always() {
        let spare = Spare::new(10);
        let first = spare.take_to_collect().unwrap();
        let (one, two) = (spare.take_to_order(), spare.take_to_order());
        assert!(!spare.lock().may_collect());
        drop(first);
        let first = spare.take_to_collect().unwrap();
        drop((one, two));
        let second = spare.take_to_collect().unwrap();
        assert!(!spare.lock().may_collect(), "two are enough");
        drop((first, second));
        assert_eq!(spare.lock().free.len(), IN_USE_MAX);
        spare.stop();
        assert!(spare.take_to_collect().is_err());
    }
}
