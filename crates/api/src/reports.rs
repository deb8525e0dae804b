//! Numbers of a domain, collections and checks as JSON.

use contract::{CheckOptions, CheckReport, CollectOptions, CollectReport, DamagedCopy, DamagedPack, DomainStatus, SetAside};
use format::{BlobId, DomainId, Incarnation, JournalNumber, PackName, PointId};
use serde::{Deserialize, Serialize};

/// How to collect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CollectRequest {
    /// Rewrite a pack when at least this share of its bytes, in percent, is dead.
    pub repack_dead_percent: u8,
}

impl From<CollectRequest> for CollectOptions {
    fn from(request: CollectRequest) -> Self {
        Self { repack_dead_percent: request.repack_dead_percent }
    }
}

/// What a collection did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CollectResult {
    /// Pages that were marked.
    pub pages_marked: u64,
    /// Copies newly condemned.
    pub copies_condemned: u64,
    /// Sessions older than the condemnation that are still open.
    pub waiting_for_sessions: u64,
    /// Bytes of packs that interrupted backups left, spared by this collection: a later one frees what no backup has taken up.
    #[serde(default)]
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

impl From<CollectReport> for CollectResult {
    fn from(report: CollectReport) -> Self {
        let CollectReport {
            pages_marked,
            copies_condemned,
            waiting_for_sessions,
            bytes_spared,
            packs_deleted,
            packs_rewritten,
            bytes_deleted,
            bytes_rewritten,
        } = report;
        Self {
            pages_marked,
            copies_condemned,
            waiting_for_sessions,
            bytes_spared,
            packs_deleted,
            packs_rewritten,
            bytes_deleted,
            bytes_rewritten,
        }
    }
}

impl From<CollectResult> for CollectReport {
    fn from(result: CollectResult) -> Self {
        Self {
            pages_marked: result.pages_marked,
            copies_condemned: result.copies_condemned,
            waiting_for_sessions: result.waiting_for_sessions,
            bytes_spared: result.bytes_spared,
            packs_deleted: result.packs_deleted,
            packs_rewritten: result.packs_rewritten,
            bytes_deleted: result.bytes_deleted,
            bytes_rewritten: result.bytes_rewritten,
        }
    }
}

/// What to check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// Read every pack whole; otherwise footers only.
    pub read_data: bool,
    /// Packs of which the caller has opened blobs just before. One of which all were opened, and of which no damage is known, is not
    /// read a second time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 65536))]
    pub opened: Vec<OpenedPack>,
}

/// A pack of which blobs were opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenedPack {
    /// The pack.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub pack: PackName,
    /// How many different ones.
    pub blobs: u32,
}

impl From<CheckRequest> for CheckOptions {
    fn from(request: CheckRequest) -> Self {
        let opened = request.opened.into_iter().map(|opened| (opened.pack, opened.blobs));
        Self { read_data: request.read_data, opened: opened.collect() }
    }
}

impl From<CheckOptions> for CheckRequest {
    fn from(options: CheckOptions) -> Self {
        let opened = options.opened.into_iter().map(|(pack, blobs)| OpenedPack { pack, blobs });
        Self { read_data: options.read_data, opened: opened.collect() }
    }
}

/// A copy of a blob that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DamagedBlob {
    /// The pack.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub pack: PackName,
    /// The blob.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub blob: BlobId,
    /// Whether another copy is sound.
    pub other_copy: bool,
}

/// A pack of which more than a blob is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DamagedPackBody {
    /// The pack.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub pack: PackName,
    /// What is wrong.
    pub what: String,
}

/// Another damaged or missing object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DamagedObject {
    /// Its name.
    pub object: String,
    /// What is wrong.
    pub what: String,
}

/// A record that is not served as whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordSetAside {
    /// The point.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub point: Option<PointId>,
    /// Its journal number.
    pub number: u64,
    /// Why.
    pub why: String,
}

/// What a check without keys found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Soundness {
    /// Packs looked at.
    pub packs: u64,
    /// Blobs in them.
    pub blobs: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Points whose closure was walked.
    pub points: u64,
    /// Damaged copies of blobs.
    pub damaged_copies: Vec<DamagedBlob>,
    /// Damaged or missing packs and footers.
    pub damaged_packs: Vec<DamagedPackBody>,
    /// Blobs that a point needs and of which there is no sound copy.
    #[serde(with = "crate::text::list")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub missing: Vec<BlobId>,
    /// Other damaged or missing objects.
    pub damaged_objects: Vec<DamagedObject>,
    /// Objects that were damaged and could be mended.
    pub mended: Vec<String>,
    /// Records that are not served as whole.
    pub set_aside: Vec<RecordSetAside>,
}

impl From<CheckReport> for Soundness {
    fn from(report: CheckReport) -> Self {
        let copy = |copy: DamagedCopy| DamagedBlob { pack: copy.pack, blob: copy.blob, other_copy: copy.other_copy };
        let pack = |pack: DamagedPack| DamagedPackBody { pack: pack.pack, what: pack.what };
        let aside = |aside: SetAside| RecordSetAside { point: aside.point, number: aside.number.0, why: aside.why };
        let object = |(object, what)| DamagedObject { object, what };
        Self {
            packs: report.packs,
            blobs: report.blobs,
            bytes_read: report.bytes_read,
            points: report.points,
            damaged_copies: report.damaged_copies.into_iter().map(copy).collect(),
            damaged_packs: report.damaged_packs.into_iter().map(pack).collect(),
            missing: report.missing,
            damaged_objects: report.damaged_objects.into_iter().map(object).collect(),
            mended: report.mended,
            set_aside: report.set_aside.into_iter().map(aside).collect(),
        }
    }
}

impl From<Soundness> for CheckReport {
    fn from(body: Soundness) -> Self {
        let copy = |copy: DamagedBlob| DamagedCopy { pack: copy.pack, blob: copy.blob, other_copy: copy.other_copy };
        let pack = |pack: DamagedPackBody| DamagedPack { pack: pack.pack, what: pack.what };
        let aside = |aside: RecordSetAside| SetAside { point: aside.point, number: JournalNumber(aside.number), why: aside.why };
        Self {
            packs: body.packs,
            blobs: body.blobs,
            bytes_read: body.bytes_read,
            points: body.points,
            damaged_copies: body.damaged_copies.into_iter().map(copy).collect(),
            damaged_packs: body.damaged_packs.into_iter().map(pack).collect(),
            missing: body.missing,
            damaged_objects: body.damaged_objects.into_iter().map(|object| (object.object, object.what)).collect(),
            mended: body.mended,
            set_aside: body.set_aside.into_iter().map(aside).collect(),
        }
    }
}

/// A domain's numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Standing {
    /// The domain.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub domain: DomainId,
    /// Incarnation of its authority.
    pub incarnation: u64,
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

impl From<DomainStatus> for Standing {
    fn from(status: DomainStatus) -> Self {
        Self {
            domain: status.domain,
            incarnation: status.incarnation.0,
            points: status.points,
            points_deleted: status.points_deleted,
            items: status.items,
            packs: status.packs,
            pack_bytes: status.pack_bytes,
            blobs: status.blobs,
            copies_condemned: status.copies_condemned,
            copies_damaged: status.copies_damaged,
            sessions_open: status.sessions_open,
            packs_unmerged: status.packs_unmerged,
            segments: status.segments,
        }
    }
}

impl From<Standing> for DomainStatus {
    fn from(body: Standing) -> Self {
        Self {
            domain: body.domain,
            incarnation: Incarnation(body.incarnation),
            points: body.points,
            points_deleted: body.points_deleted,
            items: body.items,
            packs: body.packs,
            pack_bytes: body.pack_bytes,
            blobs: body.blobs,
            copies_condemned: body.copies_condemned,
            copies_damaged: body.copies_damaged,
            sessions_open: body.sessions_open,
            packs_unmerged: body.packs_unmerged,
            segments: body.segments,
        }
    }
}
