//! The way of a blob from its plaintext into a pack in the vault.
//!
//! ```text
//! put → hash → [ask] → asking threads: missing? → [seal] → sealing threads: zstd, AEAD → packs → [full] → storing threads
//! ```
//! **No thread here waits for one that waits for it.** *Room* (bytes of plaintext) is taken before a blob is read and given
//! back when it is sealed; whoever waits for room holds none that is not on its way through the stages below. The queues
//! `ask` and `seal` have no bound of their own, since room bounds what is in them. A sealing thread waits only for a
//! storing thread, a storing thread only for the vault.

mod asking;
mod flow;
mod packs;
mod sealing;

pub(crate) use flow::{Flow, Room};

use crate::call::Calls;
use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::read::Unopened;
use crate::stop::Stop;
use crossbeam_channel::{Sender, bounded, unbounded};
use flow::Passage;
use format::blob::BlobKind;
use format::page::Page;
use format::{BlobId, SessionId};
use packs::{FullPack, OpenPacks};
use seal::{DataKey, DomainWriter};
use std::sync::Arc;
use std::thread::JoinHandle;
use system::{Buffer, Buffers};

/// A blob on its way.
pub(crate) struct Blob {
    kind: BlobKind,
    id: BlobId,
    links: Vec<BlobId>,
    /// Whether it is a piece of one file.
    alone: bool,
    plaintext: Buffer,
    /// Held until the plaintext is gone.
    room: Option<Room>,
    /// Held until the sealed bytes are in a pack.
    passage: Passage,
}

/// Levels of zstd.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels {
    /// Of pieces of one file.
    pub(crate) alone: i32,
    /// Of small files that run together, and of pages.
    pub(crate) together: i32,
}

/// How much goes on at once.
#[derive(Debug, Clone)]
pub(crate) struct StoringOptions {
    /// Bytes of plaintext on their way.
    pub(crate) room_bytes: usize,
    /// Sealing threads.
    pub(crate) sealers: usize,
    /// Levels of zstd.
    pub(crate) levels: Levels,
    /// Packs stored at once.
    pub(crate) stores: usize,
    /// Bytes at which a pack is full.
    pub(crate) pack_bytes: usize,
}

/// What the stages work with.
pub(crate) struct Inputs {
    pub(crate) calls: Calls,
    pub(crate) session: SessionId,
    pub(crate) writer: DomainWriter,
    pub(crate) key: DataKey,
    /// Blobs that the base needs and that cannot be read there.
    pub(crate) unopened: Arc<Unopened>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) progress: Progress,
}

/// What all stages share.
pub(crate) struct Stages {
    inputs: Inputs,
    flow: Arc<Flow>,
    packs: OpenPacks,
    asked: asking::Asked,
    buffers: Arc<Buffers>,
}

/// Puts blobs on their way. Clones put them on the same way; when the last one is gone, it ends.
#[derive(Clone)]
pub(crate) struct Store {
    stages: Arc<Stages>,
    ask: Sender<Blob>,
    full: Sender<FullPack>,
}

/// The threads of the stages.
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// Waits for their end. Every [`Store`] must be gone, and [`Store::drain`] done if what was put is to last.
    pub(crate) fn join(self) {
        // a panic of a thread has stopped everything already
        self.0.into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// Starts the stages.
pub(crate) fn start(inputs: Inputs, options: &StoringOptions) -> (Store, Threads) {
    let flow = Flow::new(options.room_bytes);
    let stop = inputs.stop.clone();
    let (ask, asking) = unbounded();
    let (seal, sealing) = unbounded();
    let (full, storing) = bounded(0);
    let packs = OpenPacks::new(inputs.writer.domain(), options.pack_bytes);
    // Those that are lent are longer than what is in them. With room for these alone none would be left to be used again.
    let buffers = Buffers::new(options.room_bytes * 3 / 2);
    let stages = Arc::new(Stages { inputs, flow, packs, asked: asking::Asked::default(), buffers });
    // The stages hold `stop`: if it held them, nobody would ever let go of either, and a program that makes many backups would keep
    // the buffers of all.
    let waiting = Arc::downgrade(&stages);
    stop.on_stop(move || {
        if let Some(waiting) = waiting.upgrade() {
            waiting.flow.stop();
            waiting.packs.stop();
        }
    });
    let mut threads = Vec::new();
    for _ in 0..asking::THREADS {
        let (stages, asking, seal) = (stages.clone(), asking.clone(), seal.clone());
        threads.push(stop.spawn("ask", move || asking::run(&stages, &asking, &seal)));
    }
    for _ in 0..options.sealers.max(1) {
        let (stages, sealing, full, levels) = (stages.clone(), sealing.clone(), full.clone(), options.levels);
        threads.push(stop.spawn("seal", move || sealing::run(&stages, &sealing, &full, levels)));
    }
    for _ in 0..options.stores.max(1) {
        let (stages, storing) = (stages.clone(), storing.clone());
        threads.push(stop.spawn("store", move || packs::run(&stages, &storing)));
    }
    (Store { stages, ask, full }, Threads(threads))
}

impl Store {
    /// Room for this many bytes of plaintext; waits until there is some. Take it before they are read, hold no other.
    pub(crate) fn room(&self, bytes: usize) -> Result<Room> {
        self.stages.flow.room(bytes)
    }

    /// An empty buffer for this many bytes.
    pub(crate) fn buffer(&self, bytes: usize) -> Buffer {
        self.stages.buffers.take(bytes)
    }

    /// Puts a data blob on its way, in which there is more than one thing, and answers its id.
    pub(crate) fn put_together(&self, plaintext: Buffer, room: Room) -> Result<BlobId> {
        self.put(BlobKind::Data, Vec::new(), false, plaintext, Some(room), self.stages.flow.enter()?)
    }

    /// Puts a piece of one file on its way and answers its id.
    pub(crate) fn put_alone(&self, plaintext: Buffer, room: Room) -> Result<BlobId> {
        self.put(BlobKind::Data, Vec::new(), true, plaintext, Some(room), self.stages.flow.enter()?)
    }

    /// Puts a page on its way and answers its id.
    pub(crate) fn put_page(&self, page: Page) -> Result<BlobId> {
        let room = self.room(page.content.len())?;
        self.put(BlobKind::Page, page.links, false, Buffer::of(page.content), Some(room), self.stages.flow.enter()?)
    }

    /// Puts a page on its way even while the others are held back. It takes no room, since those who are held back may have
    /// it all: for the few pages of nodes only, by the one thread that builds the tree.
    pub(crate) fn put_page_ahead(&self, page: Page) -> Result<BlobId> {
        self.put(BlobKind::Page, page.links, false, Buffer::of(page.content), None, self.stages.flow.enter_ahead()?)
    }

    fn put(
        &self,
        kind: BlobKind,
        links: Vec<BlobId>,
        alone: bool,
        plaintext: Buffer,
        room: Option<Room>,
        passage: Passage,
    ) -> Result<BlobId> {
        let id = self.stages.inputs.writer.blob_id(kind, &links, plaintext.as_slice());
        let blob = Blob { kind, id, links, alone, plaintext, room, passage };
        self.ask.send(blob).map_err(|_| EngineError::Internal("the stages of the backup ended early"))?;
        Ok(id)
    }

    /// Makes everything durable that was put so far, by any thread: no more is let in, packs are closed and stored. Then
    /// `work` runs (it may put pages ahead and call [`Store::drain`]), then all go on.
    pub(crate) fn while_held<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.stages.flow.hold(true);
        let answer = self.drain().and_then(|()| work());
        self.stages.flow.hold(false);
        answer
    }

    /// Waits until what was put is in packs that the vault has.
    pub(crate) fn drain(&self) -> Result<()> {
        self.stages.flow.wait_for_passages()?;
        self.flush()?;
        self.stages.flow.wait_for_packs()
    }

    fn flush(&self) -> Result<()> {
        for pack in self.stages.packs.close_all(&self.stages.flow) {
            self.full.send(pack).map_err(|_| EngineError::Internal("the stages of the backup ended early"))?;
        }
        Ok(())
    }
}
