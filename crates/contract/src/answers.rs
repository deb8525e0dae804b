//! Answers.

use bytes::Bytes;
use format::{BlobId, DomainId, Incarnation, ItemName, JournalNumber, KeyId, PackName, PointId, Sequence, SessionId};

/// Where a point is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PointState {
    /// Committed; listed.
    Committed,
    /// Soft-deleted: kept until purged, listed on demand.
    SoftDeleted,
}

/// A point as the vault knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointInfo {
    /// Its id: the hash of the record's body.
    pub id: PointId,
    /// The item.
    pub item: ItemName,
    /// Place in the item's chain.
    pub sequence: Sequence,
    /// State.
    pub state: PointState,
    /// Stamp of the authority that committed it first, in milliseconds since 1970.
    pub time_ms: i64,
    /// When this repository received it, in milliseconds since 1970.
    pub received_ms: i64,
    /// The signed record; its reader verifies it.
    pub record: Bytes,
}

/// Where an item's chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemHead {
    /// The newest point, purged or not.
    pub point: PointId,
    /// Its place.
    pub sequence: Sequence,
}

/// An open session.
#[derive(Debug, Clone)]
pub struct SessionOpened {
    /// The session.
    pub session: SessionId,
    /// End of the item's chain, which the next point continues.
    pub head: Option<ItemHead>,
    /// The item's newest restorable point, or a newer checkpoint: pinned until the session ends, to compare with.
    pub base: Option<PointInfo>,
    /// Blobs of which no undamaged copy is known: read anew what needs them.
    pub damaged: Vec<BlobId>,
}

/// A copy of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The pack.
    pub pack: PackName,
    /// Where its sealed bytes start.
    pub offset: u32,
    /// How many they are.
    pub length: u32,
    /// The key that it is sealed with.
    pub key: KeyId,
}

/// A committed point or checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its id.
    pub point: PointId,
    /// Place of its record in the journal.
    pub number: JournalNumber,
    /// The authority's stamp, in milliseconds since 1970.
    pub time_ms: i64,
}

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectReport {
    /// Pages that were marked.
    pub pages_marked: u64,
    /// Copies newly condemned.
    pub copies_condemned: u64,
    /// Whether sessions older than the condemnation are still open, so that nothing of it could be deleted yet.
    pub waiting_for_sessions: u64,
    /// Bytes of packs that interrupted backups left, spared by this collection so that such a backup can go on where it was: a later
    /// one frees what no backup has taken up.
    pub bytes_spared: u64,
    /// Packs deleted.
    pub packs_deleted: u64,
    /// Packs rewritten.
    pub packs_rewritten: u64,
    /// Bytes of objects deleted.
    pub bytes_deleted: u64,
    /// Bytes of objects written anew.
    pub bytes_rewritten: u64,
}

/// A copy of a blob that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedCopy {
    /// The pack.
    pub pack: PackName,
    /// The blob.
    pub blob: BlobId,
    /// Whether another copy is sound.
    pub other_copy: bool,
}

/// A pack of which more than a blob is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPack {
    /// The pack.
    pub pack: PackName,
    /// What is wrong.
    pub what: String,
}

/// A record that is not served as whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The point.
    pub point: Option<PointId>,
    /// Its journal number.
    pub number: JournalNumber,
    /// Why.
    pub why: String,
}

/// What a check without keys found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Packs looked at.
    pub packs: u64,
    /// Blobs in them.
    pub blobs: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Points whose closure was walked.
    pub points: u64,
    /// Damaged copies of blobs.
    pub damaged_copies: Vec<DamagedCopy>,
    /// Damaged or missing packs and footers.
    pub damaged_packs: Vec<DamagedPack>,
    /// Blobs that a point needs and of which there is no sound copy.
    pub missing: Vec<BlobId>,
    /// Other damaged or missing objects (journal, key objects, descriptor, claims), with what is wrong.
    pub damaged_objects: Vec<(String, String)>,
    /// Objects that were damaged and could be mended from another copy or from the database.
    pub mended: Vec<String>,
    /// Records that are not served as whole.
    pub set_aside: Vec<SetAside>,
}

impl CheckReport {
    /// Whether nothing is wrong that was not mended.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged_packs.is_empty()
            && self.missing.is_empty()
            && self.damaged_objects.is_empty()
            && self.set_aside.is_empty()
            && self.damaged_copies.iter().all(|copy| copy.other_copy)
    }
}

/// A domain's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainStatus {
    /// The domain.
    pub domain: DomainId,
    /// Incarnation of its authority.
    pub incarnation: Incarnation,
    /// Committed points.
    pub points: u64,
    /// Soft-deleted points.
    pub points_deleted: u64,
    /// Items with points.
    pub items: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes of packs.
    pub pack_bytes: u64,
    /// Blobs in them, copies counted apart.
    pub blobs: u64,
    /// Copies that are condemned.
    pub copies_condemned: u64,
    /// Copies known to be damaged.
    pub copies_damaged: u64,
    /// Sessions that are open.
    pub sessions_open: u64,
    /// Packs whose blobs are not yet in an index segment.
    pub packs_unmerged: u64,
    /// Index segments.
    pub segments: u64,
}
