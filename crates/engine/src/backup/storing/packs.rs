//! Packs: filled, closed when full, and stored while the next one fills.

use super::Stages;
use super::flow::{Flow, Passage};
use crate::error::{EngineError, Result};
use bytes::Bytes;
use crossbeam_channel::Receiver;
use format::blob::BlobKind;
use format::pack::{self, SealedBlob};
use format::{BlobId, DomainId, PackName, limits};
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are asked for at once.
const NAMES_TOGETHER: u32 = 8;
/// Most blobs of a pack: below the limit of the format, so that what comes in between does no harm.
const BLOBS_MAX: usize = limits::PACK_ENTRIES_MAX / 2;

/// A pack that is full, or that is closed because the backup ends.
pub(crate) struct FullPack {
    kind: BlobKind,
    blobs: Vec<SealedBlob>,
    /// Held until the vault has it.
    passage: Passage,
}

#[derive(Default)]
struct Filling {
    blobs: Vec<SealedBlob>,
    bytes: usize,
}

/// The packs that are being filled: one for data, one for pages.
pub(crate) struct OpenPacks {
    domain: DomainId,
    full_at: usize,
    data: Mutex<Filling>,
    pages: Mutex<Filling>,
    names: Mutex<Vec<PackName>>,
}

impl OpenPacks {
    pub(super) fn new(domain: DomainId, full_at: usize) -> Self {
        Self { domain, full_at, data: Mutex::default(), pages: Mutex::default(), names: Mutex::default() }
    }

    fn filling(&self, kind: BlobKind) -> &Mutex<Filling> {
        match kind {
            BlobKind::Data => &self.data,
            BlobKind::Page => &self.pages,
        }
    }

    /// Adds a blob; answers the pack if that fills it.
    pub(super) fn add(&self, kind: BlobKind, blob: SealedBlob, flow: &Arc<Flow>) -> Option<FullPack> {
        let mut filling = self.filling(kind).lock().unwrap_or_else(PoisonError::into_inner);
        filling.bytes += blob.bytes.len() + blob.links.len() * BlobId::BYTES;
        filling.blobs.push(blob);
        let full = filling.bytes >= self.full_at || filling.blobs.len() >= BLOBS_MAX;
        full.then(|| close(kind, &mut filling, flow))
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
    let Filling { mut blobs, .. } = std::mem::take(filling);
    // an id that was forgotten and sent again may stand here twice: once is enough
    blobs.sort_unstable_by_key(|blob| blob.id);
    blobs.dedup_by_key(|blob| blob.id);
    FullPack { kind, blobs, passage: flow.enter_pack() }
}

/// Stores packs until there are no more.
pub(super) fn run(stages: &Stages, full: &Receiver<FullPack>) -> Result<()> {
    while let Ok(FullPack { kind, blobs, passage }) = full.recv() {
        stages.inputs.stop.check()?;
        let name = name(stages)?;
        let pack = pack::assemble(stages.packs.domain, name, kind, blobs).map_err(EngineError::format("make a pack"))?;
        let length = pack.len() as u64;
        let inputs = &stages.inputs;
        let put = inputs.calls.domain.put_pack(inputs.session, name, Bytes::from(pack));
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
