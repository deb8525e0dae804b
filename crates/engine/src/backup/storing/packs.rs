//! Packs: filled, closed when full, and stored while the next one fills.
//!
//! Sealed blobs are collected one behind the other in one large buffer and put into the order of their ids when the pack
//! is closed, in another one. There are [`COLLECTING`] buffers of the first kind: a sealing thread that finds none free waits
//! for a storing thread, which waits for the vault only. Of the second kind each storing thread uses one at a time; the vault
//! may keep it for longer.

use super::Stages;
use super::flow::{Flow, Passage};
use crate::error::{EngineError, Result};
use bytes::Bytes;
use crossbeam_channel::Receiver;
use format::blob::{BlobKind, check_links};
use format::pack::{self, Checksum, Footer, FooterEntry, HEADER_BYTES};
use format::{BlobId, DomainId, PackName, limits};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Names that are asked for at once.
const NAMES_TOGETHER: u32 = 8;
/// Most blobs of a pack: below the limit of the format, so that what comes in between does no harm.
const BLOBS_MAX: usize = limits::PACK_ENTRIES_MAX / 2;
/// Data packs that are being filled or are full.
const COLLECTING: usize = 2;

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
    collecting: Arc<Spare>,
    ordering: Arc<Spare>,
}

impl OpenPacks {
    pub(super) fn new(domain: DomainId, full_at: usize, stores: usize) -> Self {
        let (data, pages, names) = Default::default();
        let bytes = full_at + limits::BLOB_PLAINTEXT_MAX / 8;
        let (collecting, ordering) = (Spare::new(COLLECTING, bytes), Spare::new(stores, bytes));
        Self { domain, full_at, data, pages, names, collecting, ordering }
    }

    /// Wakes those who wait for a buffer, after the backup failed.
    pub(super) fn stop(&self) {
        self.collecting.stop();
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
            let lent = self.collecting.take()?;
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
        inputs.calls.wait("store a pack", put)?;
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
    let mut pack = packs.ordering.take_or_make();
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

/// A fixed number of large buffers.
struct Spare {
    free: Mutex<Free>,
    changed: Condvar,
}

struct Free {
    buffers: Vec<Vec<u8>>,
    /// Most buffers that are kept.
    kept: usize,
    /// Buffers that were not made yet, and their capacity.
    left: usize,
    bytes: usize,
    stopped: bool,
}

impl Spare {
    fn new(buffers: usize, bytes: usize) -> Arc<Self> {
        let free = Free { buffers: Vec::new(), kept: buffers.max(1), left: buffers.max(1), bytes, stopped: false };
        Arc::new(Self { free: Mutex::new(free), changed: Condvar::new() })
    }

    /// An empty buffer, a new one if need be.
    fn take_or_make(self: &Arc<Self>) -> Lent {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = free.buffers.pop().unwrap_or_else(|| Vec::with_capacity(free.bytes));
        Lent { bytes, from: self.clone() }
    }

    /// An empty buffer; waits for one.
    fn take(self: &Arc<Self>) -> Result<Lent> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if free.stopped {
                return Err(EngineError::Cancelled);
            }
            if let Some(bytes) = free.buffers.pop() {
                return Ok(Lent { bytes, from: self.clone() });
            }
            if free.left > 0 {
                free.left -= 1;
                return Ok(Lent { bytes: Vec::with_capacity(free.bytes), from: self.clone() });
            }
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.changed.notify_all();
    }
}

/// A large buffer; it goes back when it is dropped.
struct Lent {
    bytes: Vec<u8>,
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
        let mut free = self.from.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.buffers.len() < free.kept {
            free.buffers.push(bytes);
            self.from.changed.notify_one();
        }
    }
}
