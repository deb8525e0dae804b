//! The ledger's rows. Field names are the columns' names.

use bytes::Bytes;
use format::blob::BlobKind;
use format::record::RecordKind;
use format::{
    AgentKey, BlobId, ClaimNonce, DomainId, FooterHash, Incarnation, ItemName, JournalNumber, KeyId, PackName, PointId, Sequence,
    SessionId,
};

/// A domain and its counters. Key: domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// The domain.
    pub domain: DomainId,
    /// This database's incarnation.
    pub incarnation: Incarnation,
    /// The nonce of its claim.
    pub nonce: ClaimNonce,
    /// Whether claim and opening are durable and everything before the opening was read.
    pub ready: bool,
    /// Number of the next journal entry.
    pub next_number: JournalNumber,
    /// Number of the next pack to be registered.
    pub next_pack: u64,
    /// Number of the next session.
    pub next_session: u64,
    /// Id of the next index segment.
    pub next_segment: u64,
    /// The newest generation whose marking began.
    pub marking: u64,
    /// The newest generation that was condemned.
    pub generation: u64,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// Writes a point.
    Write,
    /// Reads a point, which it pins.
    Read,
    /// Collects.
    Collect,
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Takes packs.
    Open,
    /// Takes no more packs and no longer expires.
    Committing,
    /// Its point is committed.
    Committed,
    /// Over without a point.
    Expired,
}

/// A session. Key: domain, id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The domain.
    pub domain: DomainId,
    /// Its id.
    pub id: SessionId,
    /// Order of opening.
    pub number: u64,
    /// What it is for.
    pub kind: SessionKind,
    /// State.
    pub state: SessionState,
    /// The item that it writes.
    pub item: Option<ItemName>,
    /// The agent that will sign.
    pub agent: Option<AgentKey>,
    /// The newest generation when it opened: what that and earlier ones condemned counts as absent.
    pub generation: u64,
    /// The point that it pins: base of a write session, object of a read session.
    pub pinned: Option<PointId>,
    /// Its data key, once its key object is durable.
    pub key: Option<KeyId>,
    /// When it opened, in milliseconds since 1970 by the authority's clock.
    pub opened_ms: i64,
    /// When its lease ends, in milliseconds since 1970 by the authority's clock; none where an advisory lock tells its life.
    pub lease_until_ms: Option<i64>,
    /// The point that it committed or is committing.
    pub point: Option<PointId>,
}

/// Where a pack is in its life. Condemned is said of copies, not of packs: [`CondemnedRow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackState {
    /// Its name was given out; an object may or may not be there.
    Issued,
    /// Durable, checked; page packs only: not yet proven.
    Registered,
    /// Every link of its visible blobs resolves.
    Proven,
    /// On a deletion list; gone for everybody.
    Deleting,
}

/// A pack. Key: domain, name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// The domain.
    pub domain: DomainId,
    /// Its name.
    pub name: PackName,
    /// Order of registration; a rewritten pack inherits it. 0 while only issued.
    pub number: u64,
    /// Kind of its blobs; none while only issued.
    pub kind: Option<BlobKind>,
    /// State.
    pub state: PackState,
    /// The session that wrote it; none for packs that a rebuild found.
    pub session: Option<SessionId>,
    /// Length of the object in bytes.
    pub length: u64,
    /// Blobs in it.
    pub entries: u32,
    /// Hash of its footer.
    pub footer_hash: FooterHash,
    /// Found by a rebuild: its number says nothing, so none of its copies is given up for another.
    pub recovered: bool,
    /// Collections that saw it while its session had ended without a point and nothing referenced it.
    pub sightings: u8,
    /// Its frame (header, footer, trailer) in storage is known to be damaged.
    pub frame_damaged: bool,
    /// The index segment that covers it.
    pub segment: Option<u64>,
    /// The encoded footer, until a segment covers it.
    pub footer: Option<Bytes>,
}

/// Copies in one pack that one generation condemned. Key: domain, pack, generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondemnedRow {
    /// The domain.
    pub domain: DomainId,
    /// The pack.
    pub pack: PackName,
    /// The generation; [`CondemnedRow::UNPROVEN`] for pages of an open session that no root reaches yet.
    pub generation: u64,
    /// Places in the footer, ascending.
    pub places: Vec<u32>,
}

impl CondemnedRow {
    /// Generation of pages that a checkpoint's proof did not reach: seen by nobody but their session until that ends.
    pub const UNPROVEN: u64 = i64::MAX as u64;
}

/// Who says that a copy is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DamageSource {
    /// Its checksum was found wrong here, or its bytes are gone.
    Verified,
    /// An agent could not open it. Nothing is ever deleted because of that.
    Reported,
    /// Storage could not read it, or its key. That may pass: nothing is deleted because of it, and a check that can read the copy
    /// takes it back.
    Unreadable,
}

/// A damaged copy. Key: domain, pack, place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageRow {
    /// The domain.
    pub domain: DomainId,
    /// The pack.
    pub pack: PackName,
    /// Place in its footer.
    pub place: u32,
    /// The blob.
    pub blob: BlobId,
    /// Who says so.
    pub source: DamageSource,
}

/// Where a point's row is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PointRowState {
    /// A root already; its record is not yet durable or not yet acknowledged.
    Pending,
    /// Committed.
    Committed,
    /// Soft-deleted.
    SoftDeleted,
    /// Purged; still a root for second marks of sessions that may rest on it.
    Purged,
    /// Its closure is not complete: named, never served. Nothing of it is deleted.
    SetAside,
}

/// A point or checkpoint. Key: domain, id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointRow {
    /// The domain.
    pub domain: DomainId,
    /// Its id.
    pub id: PointId,
    /// Point or checkpoint.
    pub kind: RecordKind,
    /// The item.
    pub item: ItemName,
    /// Place in the item's chain.
    pub sequence: Sequence,
    /// Root page.
    pub root: BlobId,
    /// State.
    pub state: PointRowState,
    /// Its record's place in the journal.
    pub number: JournalNumber,
    /// The session that wrote it.
    pub session: Option<SessionId>,
    /// The stamp's time, in milliseconds since 1970.
    pub time_ms: i64,
    /// When this repository received it, in milliseconds since 1970.
    pub received_ms: i64,
    /// The generation whose marking was the newest when it was purged.
    pub purged_at: Option<u64>,
    /// The signed record.
    pub record: Bytes,
}

/// End of an item's chain. Key: domain, item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// The domain.
    pub domain: DomainId,
    /// The item.
    pub item: ItemName,
    /// The newest point.
    pub point: PointId,
    /// Its place.
    pub sequence: Sequence,
}

/// How far a journal entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JournalState {
    /// To be put, or put and its consequences not yet drawn.
    Pending,
    /// Done.
    Done,
}

/// A journal entry. Key: domain, number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The domain.
    pub domain: DomainId,
    /// Its place.
    pub number: JournalNumber,
    /// State.
    pub state: JournalState,
    /// The object's bytes.
    pub bytes: Bytes,
}

/// An index segment of the current set. Key: domain, id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// The domain.
    pub domain: DomainId,
    /// Its id; its file is named by it.
    pub id: u64,
    /// Packs that it covers.
    pub packs: u64,
    /// Entries in it.
    pub entries: u64,
}
