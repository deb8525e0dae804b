//! Asks the vault which blobs it lacks, many at a time, and passes these on.

use super::{Blob, Stages};
use crate::error::{EngineError, Result};
use crossbeam_channel::{Receiver, Sender};
use format::BlobId;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Two, so that a far vault is asked again while it answers.
pub(super) const THREADS: usize = 2;
/// Most blobs that one call asks for. Nobody lingers for more: what comes while a call is under way goes with the next.
const TOGETHER: usize = 512;
/// Ids that are remembered in each of two generations.
const REMEMBERED: usize = 200_000;

/// Ids that were asked for in this session: the vault has their blobs, or they are on their way. Bounded: an old one that is
/// forgotten is asked for again, and the vault knows it by then.
#[derive(Default)]
pub(crate) struct Asked(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashSet<BlobId>,
    old: HashSet<BlobId>,
}

impl Asked {
    /// Notes an id; whether it is new.
    fn note(&self, id: BlobId) -> bool {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.old.contains(&id) || !generations.young.insert(id) {
            return false;
        }
        if generations.young.len() >= REMEMBERED {
            generations.old = std::mem::take(&mut generations.young);
        }
        true
    }
}

pub(super) fn run(stages: &Stages, asking: &Receiver<Blob>, seal: &Sender<Blob>) -> Result<()> {
    let inputs = &stages.inputs;
    while let Ok(first) = asking.recv() {
        let mut blobs = vec![first];
        blobs.extend(asking.try_iter().take(TOGETHER - 1));
        // before the vault is asked: whoever comes with the same blob meanwhile needs not send it
        blobs.retain(|blob| stages.asked.note(blob.id));
        if blobs.is_empty() {
            continue;
        }
        inputs.stop.check()?;
        let ids: Vec<BlobId> = blobs.iter().map(|blob| blob.id).collect();
        let missing = inputs.calls.wait("ask what the vault lacks", inputs.calls.domain.missing(inputs.session, &ids))?;
        if missing.len() != ids.len() {
            return Err(EngineError::Internal("the vault answered for another number of blobs"));
        }
        for (blob, missing) in blobs.into_iter().zip(missing) {
            // The vault does not know yet what this session itself found damaged.
            if missing || inputs.unopened.contains(&blob.id) {
                seal.send(blob).map_err(|_| EngineError::Internal("the stages of the backup ended early"))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_asked_for_once_while_it_is_remembered() {
        let asked = Asked::default();
        assert!(asked.note(BlobId([1; 32])));
        assert!(!asked.note(BlobId([1; 32])));
        for number in 0..REMEMBERED as u64 {
            let mut id = [2; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            asked.note(BlobId(id));
        }
        assert!(!asked.note(BlobId([1; 32])), "it is in the older generation");
    }
}
