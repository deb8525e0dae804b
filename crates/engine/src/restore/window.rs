//! Pieces of files that are fetched together: each pack is read once for them.

use super::file_job::{FileJob, Writing};
use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::read::{BlobReader, ENDED_EARLY, Fetched, PackRead, group_by_pack, is_damage};
use crate::stop::Stop;
use crossbeam_channel::{Receiver, Sender};
use format::BlobId;
use format::blob::BlobKind;
use seal::BlobOpener;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Most pieces of a window, whatever their length.
const PIECES_MAX: usize = 16_384;

/// Where some bytes of a blob belong.
pub(crate) struct Piece {
    pub(crate) file: Arc<FileJob>,
    /// Where in the file.
    pub(crate) at: u64,
    /// Where in the blob.
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// Pieces by the blob that they are part of.
#[derive(Default)]
pub(crate) struct Window {
    blobs: HashMap<BlobId, Vec<Piece>>,
    bytes: u64,
    pieces: usize,
}

impl Window {
    pub(crate) fn push(&mut self, blob: BlobId, piece: Piece) {
        self.bytes += u64::from(piece.length);
        self.pieces += 1;
        self.blobs.entry(blob).or_default().push(piece);
    }

    pub(crate) fn is_full(&self, bytes_max: u64) -> bool {
        self.bytes >= bytes_max || self.pieces >= PIECES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }
}

/// What is read for a window: blobs and their pieces.
pub(crate) type Purpose = (BlobId, Vec<Piece>);

/// Looks the blobs of windows up and groups them by pack, each of which is read once for a window.
pub(crate) fn locate(
    blobs: &BlobReader,
    stop: &Stop,
    windows: &Receiver<Window>,
    reads: &Sender<PackRead<Purpose>>,
    fetched: &Sender<Fetched<Purpose>>,
) -> Result<()> {
    for window in windows.iter() {
        stop.check()?;
        let (ids, pieces): (Vec<BlobId>, Vec<Vec<Piece>>) = window.blobs.into_iter().unzip();
        let copies = blobs.locate(&ids)?;
        let mut found = Vec::with_capacity(ids.len());
        for ((id, pieces), copies) in ids.into_iter().zip(pieces).zip(copies) {
            match copies.first() {
                Some(at) => found.push((*at, (id, pieces))),
                None => fetched.send(Fetched { purpose: (id, pieces), sealed: None }).map_err(|_| ENDED_EARLY)?,
            }
        }
        for read in group_by_pack(found) {
            stop.check()?;
            reads.send(read).map_err(|_| ENDED_EARLY)?;
        }
    }
    Ok(())
}

/// Opens blobs and writes their pieces.
pub(crate) fn write(
    blobs: &BlobReader,
    writing: &Writing,
    stop: &Stop,
    progress: &Progress,
    fetched: &Receiver<Fetched<Purpose>>,
) -> Result<()> {
    let mut opener = BlobOpener::new();
    for Fetched { purpose: (id, pieces), sealed } in fetched.iter() {
        stop.check()?;
        let first = sealed.and_then(|(at, sealed)| blobs.open_data(&mut opener, id, &at, &sealed).ok());
        let opened = match first {
            Some(plaintext) => Ok(Cow::Borrowed(plaintext)),
            None => blobs.read_alone(&mut opener, BlobKind::Data, id).map(|(_, plaintext)| Cow::Owned(plaintext)),
        };
        match opened {
            Ok(plaintext) => {
                writing.tally.blobs_verified.add(1);
                writing.tally.bytes_verified.add(plaintext.len() as u64);
                for piece in pieces {
                    let range = piece.offset as usize..piece.offset as usize + piece.length as usize;
                    progress.bytes_done.add(u64::from(piece.length));
                    match plaintext.get(range) {
                        Some(bytes) => piece.file.write(writing, bytes, piece.at)?,
                        None => piece.file.damage(writing, &EngineError::Damaged { what: "data blob", id })?,
                    }
                }
            }
            Err(error) if is_damage(&error) => {
                pieces.iter().try_for_each(|piece| piece.file.damage(writing, &error))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
