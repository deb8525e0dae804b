//! Compresses and seals blobs, and collects them into packs.

use super::packs::FullPack;
use super::{Blob, Levels, Stages};
use crate::error::{EngineError, Result};
use crossbeam_channel::{Receiver, Sender};
use seal::BlobSealer;

pub(super) fn run(stages: &Stages, sealing: &Receiver<Blob>, full: &Sender<FullPack>, levels: Levels) -> Result<()> {
    let mut sealer = BlobSealer::new(levels.together);
    let key = &stages.inputs.key;
    while let Ok(Blob { kind, id, links, alone, plaintext, room, passage }) = sealing.recv() {
        stages.inputs.stop.check()?;
        let level = if alone { levels.alone } else { levels.together };
        sealer.set_level(level).map_err(EngineError::seal("seal a blob"))?;
        let sealed = sealer.seal(key, kind, id, plaintext.as_slice()).map_err(EngineError::seal("seal a blob"))?;
        drop(plaintext);
        drop(room);
        let closed = stages.packs.add(kind, id, links, sealed, &stages.flow)?;
        drop(passage);
        if let Some(pack) = closed {
            full.send(pack).map_err(|_| EngineError::Internal("the stages of the backup ended early"))?;
        }
    }
    Ok(())
}
