//! A backup: a file set becomes a point.
//!
//! ```text
//! walk ─┐
//!       ├─ planner: leaves ─┬─ unchanged: the base's page ────────────────┐
//! base ─┘                   └─ work → reading threads → [store] → leaf ───┴─ tree builder → root → record
//! ```
//! The walk is joined with the tree of the item's last point (the *base*) and cut into leaves by names alone, before
//! anything is read. What threads read of a leaf goes into the [`storing`] stages; the leaf's page is made when all its
//! blobs have ids. The tree builder takes leaves in order.
//!
//! **Nobody waits in a circle**: the planner waits for places for leaves and for the queue of work, reading threads wait for
//! room and never for each other or the planner, the tree builder waits for leaves only and puts pages without room. The
//! oldest leaf that is not finished is always either in the queue or being read, so places come free.

mod boundary;
mod checkpoint;
mod findings;
mod join;
mod leaf_job;
mod leaf_plan;
mod link_cache;
mod plan;
mod reading;
mod record;
mod session;
mod shared;
mod staying;
mod storing;
mod stream_builder;
mod tree_builder;

pub(crate) use reading::OWN_BLOBS_FROM;

pub use findings::{BackupEvent, BackupSink, FINDINGS_KEPT_MAX, Findings};

use crate::call::{Calls, on_thread_of};
use crate::cancel::Cancel;
use crate::cut::{Chunker, CutParameters};
use crate::error::{EngineError, Result, printable};
use crate::gate::ReadGate;
use crate::point::{PointDetails, Remembered, verify_point};
use crate::progress::Progress;
use crate::read::{BlobReader, FILES_PART, KeyRing, LeafStream, PageReader, ReadKeys, Unopened, files_part, is_damage};
use crate::source::{Changes, TreeSource, Warning, WarningKind};
use crate::stop::Stop;
use boundary::Boundaries;
use checkpoint::Checkpoints;
use contract::{Committed, Domain, ItemHead, OpenSession};
use crossbeam_channel::{bounded, unbounded};
use findings::Notices;
use format::descriptor::Descriptor;
use format::page::{Manifest, Page, Part, Shape};
use format::record::RecordKind;
use format::{BlobId, ItemName, Sequence};
use join::{Base, Damaged};
use link_cache::LinkCache;
use plan::Planner;
use record::Recorder;
use seal::{AgentSigner, DataKey, DomainWriter};
use session::Session;
use shared::{Shared, Totals};
use staying::Staying;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storing::{Inputs, Levels, Store, StoringOptions};
use system::Crew;
use tree_builder::{TreeBuilder, TreeTotals};

/// Packs that are stored at once.
const STORES: usize = 2;
/// Reading threads that also read files with blobs of their own: each has a buffer of a few MiB.
const LARGE_READERS: usize = 4;

/// Levels of zstd where none is wanted. Reading small files takes most of the time that they take, so that little is left for them.
const LEVEL_TOGETHER: i32 = 1;
const LEVEL_ALONE: i32 = 3;

/// The keys of a backup.
#[derive(Clone)]
pub struct BackupKeys {
    /// Adds to the domain.
    pub writer: DomainWriter,
    /// Signs the record.
    pub signer: Arc<AgentSigner>,
    /// Reads the item's last point; without it everything is read anew.
    pub read: Option<ReadKeys>,
}

/// How a backup is done.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// The item.
    pub item: ItemName,
    /// The machine's name.
    pub host: String,
    /// The paths, as given, for the point's details.
    pub paths: Vec<Vec<u8>>,
    /// Those of them that the source does not have, each with the reason: without them the point is incomplete.
    pub missing: BTreeMap<Vec<u8>, String>,
    /// Program and version, for the point's details.
    pub program: String,
    /// Level of zstd. None: one that small files, which run together, gain most by for their time, and a higher one for what fills pieces
    /// of its own.
    pub level: Option<i32>,
    /// Threads that read.
    pub readers: usize,
    /// Threads that compress and seal.
    pub sealers: usize,
    /// Bytes of content in memory on their way from reading to sealing.
    pub room_bytes: usize,
    /// Bytes at which a pack is full.
    pub pack_bytes: usize,
    /// A checkpoint is made after so long.
    pub checkpoint_after: Duration,
    /// A checkpoint is made after so many bytes read.
    pub checkpoint_bytes: u64,
    /// What is remembered of the item.
    pub remembered: Option<Remembered>,
    /// Read everything anew, whatever the last point has.
    pub ignore_base: bool,
    /// Walk everything, whatever the source knows of its changes.
    pub walk_everything: bool,
    /// When and how often the source is read; may be changed while it is.
    pub gate: ReadGate,
    /// The threads that do it; may be put elsewhere while they do.
    pub crew: Crew,
}

impl BackupOptions {
    fn levels(&self) -> Levels {
        match self.level {
            Some(level) => Levels { alone: level, together: level },
            None => Levels { alone: LEVEL_ALONE, together: LEVEL_TOGETHER },
        }
    }

    /// The usual way.
    #[must_use]
    pub fn new(item: ItemName) -> Self {
        Self {
            item,
            host: String::new(),
            paths: Vec::new(),
            missing: BTreeMap::new(),
            program: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
            level: None,
            readers: 16,
            sealers: std::thread::available_parallelism().map_or(2, usize::from),
            room_bytes: 8 << 20,
            pack_bytes: 8 << 20,
            checkpoint_after: Duration::from_secs(600),
            checkpoint_bytes: 64 << 30,
            remembered: None,
            ignore_base: false,
            walk_everything: false,
            gate: ReadGate::default(),
            crew: Crew::default(),
        }
    }
}

/// A backup to be done.
#[derive(Clone)]
pub struct BackupRequest {
    /// Where the point goes.
    pub domain: Arc<dyn Domain>,
    /// The vault's descriptor, verified.
    pub descriptor: Arc<Descriptor>,
    /// Keys.
    pub keys: BackupKeys,
    /// What is protected.
    pub source: Arc<dyn TreeSource>,
    /// How.
    pub options: BackupOptions,
    /// Told about events.
    pub sink: BackupSink,
    /// Counted while it runs.
    pub progress: Progress,
    /// Stops it.
    pub cancel: Cancel,
}

/// What a backup did.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// The point.
    pub point: Committed,
    /// Its place in the item's chain.
    pub sequence: Sequence,
    /// What the point says about itself.
    pub details: PointDetails,
    /// Whether only what the source told to have changed was walked.
    pub only_changes: bool,
    /// Why everything was walked after a walk of changes had begun, where that was so.
    pub changes_unknown: Option<&'static str>,
    /// Entries that were taken over from the last point.
    pub entries_unchanged: u64,
    /// Entries that were read.
    pub entries_read: u64,
    /// Bytes of content that were read.
    pub bytes_read: u64,
    /// Bytes of packs that were stored.
    pub bytes_stored: u64,
    /// Warnings and what was left out.
    pub findings: Findings,
    /// What to remember of the item.
    pub remembered: Remembered,
}

/// Backs a file set up. Must be called within a multi-threaded runtime.
pub async fn run(request: BackupRequest) -> Result<BackupReport> {
    let crew = request.options.crew.clone();
    on_thread_of(crew, "backup", move |runtime| {
        let mut again = request.clone();
        match Backup::start(request, runtime.clone())?.run() {
            Err(EngineError::ChangesUnknown(why)) => {
                tracing::warn!(why, "what the source knows of its changes is no use: everything is walked");
                again.options.walk_everything = true;
                (again.sink)(&BackupEvent::Anew);
                let report = Backup::start(again, runtime)?.run()?;
                Ok(BackupReport { changes_unknown: Some(why), ..report })
            }
            outcome => outcome,
        }
    })
    .await
}

/// What a backup starts from.
struct Start {
    /// The item's last point.
    base: Base,
    /// What of it cannot be opened, as far as that is known yet.
    unopened: Arc<Unopened>,
    /// What has changed since, where that is known.
    changes: Option<SinceLast>,
}

/// What has changed since the last point.
struct SinceLast {
    changes: Arc<dyn Changes>,
    /// What was left out of that point: only part of it is seen again.
    left_out: u64,
}

/// A running backup.
struct Backup {
    request: BackupRequest,
    calls: Calls,
    session: Session,
    recorder: Arc<Recorder>,
    key: DataKey,
    notices: Arc<Notices>,
    totals: Arc<Totals>,
    stop: Arc<Stop>,
}

impl Backup {
    fn start(request: BackupRequest, runtime: tokio::runtime::Handle) -> Result<Self> {
        request.cancel.check()?;
        let calls = Calls::new(request.domain.clone(), runtime);
        let (keys, options) = (&request.keys, &request.options);
        let agent = keys.signer.key();
        let session = Session::open(&calls, OpenSession { item: options.item.clone(), agent })?;
        compare_with_remembered(&request, session.opened.head)?;
        let (object, key) = keys.writer.new_session_key().map_err(EngineError::seal("make a session key"))?;
        let stored = calls.wait("store the session's key", calls.domain.put_key(session.id(), object.into()))?;
        if stored != key.id() {
            return Err(EngineError::Internal("the vault stored another key than it was given"));
        }
        let notices = Arc::new(Notices::new(&options.paths, &options.missing, request.sink.clone(), request.progress.clone()));
        let recorder = Arc::new(Recorder::new(&request, key.clone()));
        let stop = Stop::new(request.cancel.clone());
        let totals = Arc::default();
        Ok(Self { request, calls, session, recorder, key, notices, totals, stop })
    }

    fn run(self) -> Result<BackupReport> {
        let Start { base, unopened, changes } = self.base()?;
        let left_out = changes.as_ref().map(|since| since.left_out);
        let options = &self.request.options;
        let storing_options = StoringOptions {
            room_bytes: options.room_bytes,
            sealers: options.sealers,
            levels: options.levels(),
            stores: STORES,
            pack_bytes: options.pack_bytes,
        };
        let inputs = Inputs {
            calls: self.calls.clone(),
            session: self.session.id(),
            writer: self.request.keys.writer.clone(),
            key: self.key.clone(),
            unopened,
            stop: self.stop.clone(),
            progress: self.request.progress.clone(),
        };
        let (store, threads) = storing::start(inputs, &storing_options);
        let filled = self.fill(&store, base, changes).map_err(|error| self.stop.fail(error));
        drop(store);
        threads.join();
        self.stop.outcome()?;
        match filled {
            Ok((manifest, totals)) => self.commit(manifest, totals, left_out),
            Err(()) => Err(EngineError::Internal("the backup failed without an error")),
        }
    }

    /// The base, joined with which the walk tells what is new.
    fn base(&self) -> Result<Start> {
        let (opened, request) = (&self.session.opened, &self.request);
        let writer = request.keys.writer.clone();
        let (Some(info), Some(keys), false) = (&opened.base, &request.keys.read, request.options.ignore_base) else {
            let base = Base::new(LeafStream::empty(), Damaged::new(&[], None), writer);
            return Ok(Start { base, unopened: Arc::default(), changes: None });
        };
        let point = verify_point(&request.descriptor, request.domain.id(), info)?;
        if point.body.item != request.options.item {
            return Err(EngineError::Untrusted("the last point of the item belongs to another item"));
        }
        let ring = KeyRing::new(self.calls.clone(), keys.clone());
        let mut changes = None;
        match ring.get(point.key()).and_then(|key| point.details(&key)) {
            Ok(details) => {
                let comparable = self.compare_scope(&details) && !details.is_incomplete() && opened.damaged.is_empty();
                if comparable && !request.options.walk_everything {
                    let since = |changes| SinceLast { changes, left_out: details.left_out };
                    changes = request.source.changes(info.id).map(since);
                }
            }
            Err(error) => tracing::warn!(%error, "the details of the last point cannot be read"),
        }
        let blobs = Arc::new(BlobReader::new(self.calls.clone(), opened.session, ring));
        let unopened = blobs.unopened.clone();
        let pages = Arc::new(PageReader::new(blobs));
        let damaged = Damaged::new(&opened.damaged, Some(pages.clone()));
        let leaves = match files_part(&pages, point.root()) {
            Ok(Part { root: Some(root), entries, bytes, .. }) => {
                request.progress.entries_expected.set(entries);
                request.progress.bytes_expected.set(bytes);
                LeafStream::start(pages, root, LeafStream::everything())
            }
            Ok(Part { root: None, .. }) => LeafStream::empty(),
            Err(error) if is_damage(&error) => {
                changes = None;
                let kind = WarningKind::BaseUnreadable;
                self.notices.warn(Warning { path: Vec::new(), kind, detail: error.to_string() });
                LeafStream::empty()
            }
            Err(error) => return Err(error),
        };
        let base = Base::new(leaves, damaged, writer);
        let base = if changes.is_some() { base.needed_whole() } else { base };
        Ok(Start { base, unopened, changes })
    }

    /// Whether the last point was made of the same paths.
    fn compare_scope(&self, last: &PointDetails) -> bool {
        let now = PointDetails::default().with_paths(&self.request.options.paths);
        let same = (&now.paths, now.paths_left_out) == (&last.paths, last.paths_left_out);
        if !same {
            let list = |paths: &[Vec<u8>]| paths.iter().map(|path| printable(path)).collect::<Vec<_>>().join(", ");
            let detail = format!("the last point was made of: {}", list(&last.paths));
            self.notices.warn(Warning { path: Vec::new(), kind: WarningKind::ScopeChanged, detail });
        }
        same
    }

    /// Brings all that the point needs into the vault; answers the manifest.
    fn fill(&self, store: &Store, base: Base, changes: Option<SinceLast>) -> Result<(BlobId, TreeTotals)> {
        let (root, totals) = self.build(store, base, changes)?;
        let manifest = store.put_page_ahead(manifest(root, totals)?)?;
        store.drain()?;
        Ok((manifest, totals))
    }

    /// Builds the tree; answers its root.
    fn build(&self, store: &Store, base: Base, changes: Option<SinceLast>) -> Result<(Option<BlobId>, TreeTotals)> {
        let keys = &self.request.keys;
        let chunker = Chunker::new(&keys.writer.chunking_key(), CutParameters::default());
        let (results, done_leaves) = unbounded();
        let BackupOptions { readers, gate, .. } = &self.request.options;
        let shared = Arc::new(Shared {
            store: store.clone(),
            writer: keys.writer.clone(),
            chunker: chunker.map_err(EngineError::format("set the chunker up"))?,
            notices: self.notices.clone(),
            progress: self.request.progress.clone(),
            totals: self.totals.clone(),
            stop: self.stop.clone(),
            gate: gate.clone(),
            open_ahead: reading::open_ahead(self.request.source.open_files_max(), *readers),
            links: LinkCache::default(),
            results,
        });
        let boundaries = Boundaries::new(keys.writer.page_boundary_key());
        let walk = match &changes {
            Some(SinceLast { changes, .. }) => changes.walk(),
            None => self.request.source.walk(),
        };
        let walk = walk.map_err(EngineError::source("walk the source"))?;
        let staying = changes.map(|since| Staying::new(since.changes));
        let (queue, readers) = reading::start(&shared, *readers, LARGE_READERS);
        let checkpoints = Checkpoints::new(self, store.clone());
        let builder = TreeBuilder::new(store.clone(), boundaries.clone());
        let (sender, built) = bounded(1);
        let tree = self.stop.spawn("tree", move || {
            // the receiver waits until this thread has ended
            checkpoints.build(builder, &done_leaves).map(|builder| drop(sender.send(builder)))
        });
        let planned = Planner::new(shared, boundaries, base, staying, queue).run(walk).map_err(|error| self.stop.fail(error));
        // a panic of a thread has stopped everything already
        readers.into_iter().chain([tree]).for_each(|thread| drop(thread.join()));
        self.stop.check()?;
        let (Ok(leaves), Ok(builder)) = (planned, built.recv()) else {
            return Err(EngineError::Internal("the tree of the backup ended early"));
        };
        builder.finish(leaves)
    }

    fn commit(self, manifest: BlobId, tree: TreeTotals, left_out_before: Option<u64>) -> Result<BackupReport> {
        if let Some(why) = self.notices.nothing_read() {
            // An empty point would pass for the newest state of what is there, and was only not to be read.
            return Err(EngineError::NothingRead(std::io::Error::other(why)));
        }
        let mut findings = self.notices.findings();
        findings.left_out_count = left_out_before.unwrap_or(0).max(findings.left_out_count);
        let (incomplete, warnings) = (findings.is_incomplete(), findings.warnings_count());
        self.notices.tell(&BackupEvent::Committing { incomplete, warnings });
        let details = self.recorder.details(&self.totals, tree, &findings);
        self.request.cancel.check()?;
        let recorder = &self.recorder;
        let mut sequence = Sequence::default();
        let sign = |head| {
            // It may be another one by now.
            compare_with_remembered(&self.request, head)?;
            let record = recorder.record(RecordKind::Point, head, manifest, &details)?;
            sequence = record.body.sequence;
            Ok(record.encode().into())
        };
        let point = self.session.commit(sign)?;
        let item = self.request.options.item.clone();
        let descriptor_version = self.request.descriptor.version;
        Ok(BackupReport {
            point,
            sequence,
            details,
            only_changes: left_out_before.is_some(),
            changes_unknown: None,
            entries_unchanged: self.totals.entries_unchanged.get(),
            entries_read: self.totals.entries_read.get(),
            bytes_read: self.request.progress.bytes_read.get(),
            bytes_stored: self.request.progress.bytes_stored.get(),
            findings,
            remembered: Remembered { item, point: point.point, sequence, descriptor_version },
        })
    }
}

/// A vault that shows less than was seen before gets no point: it would make the older state the one that is remembered.
fn compare_with_remembered(request: &BackupRequest, head: Option<ItemHead>) -> Result<()> {
    match &request.options.remembered {
        Some(seen) => seen.check(head, request.descriptor.version).map_err(EngineError::SetBack),
        None => Ok(()),
    }
}

/// The manifest of a point with one tree.
fn manifest(root: Option<BlobId>, totals: TreeTotals) -> Result<Page> {
    let TreeTotals { entries, bytes } = totals;
    let part = Part { name: FILES_PART.to_owned(), shape: Shape::Tree, root, entries, bytes };
    Manifest { parts: vec![part] }.encode().map_err(EngineError::format("make the manifest"))
}
