//! Jobs as JSON: work that an agent or the service does, and what came of it.
//!
//! A job's id is made by whoever begins it, so that everything about it can be said twice. Its *fence* grows each time somebody
//! takes the job; what comes with an older one is refused, so that of two who believe that they do a job only the newer counts.

use crate::items::Completeness;
use crate::reports::CollectResult;
use crate::watch::ProgressBody;
use contract::CheckReport;
use format::{DomainId, ItemName, JobId, PointId};
use serde::{Deserialize, Serialize};

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// An agent makes a point of an item.
    Backup {
        /// The item.
        #[serde(with = "crate::text")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        item: ItemName,
        /// Every file is read again.
        #[serde(default)]
        reread: bool,
    },
    /// An agent restores a point.
    Restore(RestoreWork),
    /// The service soft-deletes the points of a domain that expired, and purges those that were soft-deleted long enough ago.
    Retention,
    /// The service frees what no point needs.
    Collection,
    /// The service reads storage and verifies it.
    Scrub {
        /// Every pack is read whole, and not its footer only.
        #[serde(default)]
        read_data: bool,
    },
}

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// A backup.
    Backup,
    /// A restore.
    Restore,
    /// Retention.
    Retention,
    /// A collection.
    Collection,
    /// A scrub.
    Scrub,
}

impl WorkKind {
    /// Every kind, with its word.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Backup, "backup"),
        (Self::Restore, "restore"),
        (Self::Retention, "retention"),
        (Self::Collection, "collection"),
        (Self::Scrub, "scrub"),
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| *word)
    }

    /// Whether an agent does it, and not the service.
    #[must_use]
    pub fn is_agents(self) -> bool {
        matches!(self, Self::Backup | Self::Restore)
    }
}

impl Work {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> WorkKind {
        match self {
            Self::Backup { .. } => WorkKind::Backup,
            Self::Restore(_) => WorkKind::Restore,
            Self::Retention => WorkKind::Retention,
            Self::Collection => WorkKind::Collection,
            Self::Scrub { .. } => WorkKind::Scrub,
        }
    }

    /// The item that it is about.
    #[must_use]
    pub fn item(&self) -> Option<&ItemName> {
        match self {
            Self::Backup { item, .. } => Some(item),
            Self::Restore(restore) => Some(&restore.item),
            _ => None,
        }
    }
}

/// What an agent is to restore, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RestoreWork {
    /// The item.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub item: ItemName,
    /// The point.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
    /// Only these paths and what is below them. None: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Leading directories that are taken off.
    #[serde(default)]
    pub strip: u32,
    /// The directory. None: one of the job's own in the agent's staging directory. Any other has to be allowed by the agent's own
    /// configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What becomes of files that are there.
    #[serde(default)]
    pub overwrite: Overwriting,
}

/// What becomes of files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overwriting {
    /// They are named and left.
    #[default]
    Fail,
    /// They are left.
    Never,
    /// Those that are older are replaced.
    Older,
    /// They are replaced.
    Always,
    /// They are changed where they differ.
    InPlace,
}

/// What a job was begun by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum JobOrigin {
    /// A schedule.
    Schedule {
        /// The slot, in milliseconds since 1970.
        slot_ms: i64,
        /// How many slots before it were missed and are caught up by the same run.
        #[serde(default)]
        missed: u64,
    },
    /// Somebody who asked for it.
    Person,
    /// The service, as one of its duties.
    Service,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Nobody has taken it yet.
    Waiting,
    /// Somebody does it.
    Running,
    /// It is done, and nothing was wrong.
    Succeeded,
    /// It is done, with warnings.
    Warnings,
    /// It failed.
    Failed,
    /// Somebody wanted it to stop, or its window closed.
    Cancelled,
    /// Whoever did it went away.
    Interrupted,
}

impl JobState {
    /// Every state, with its word.
    pub const ALL: [(Self, &str); 7] = [
        (Self::Waiting, "waiting"),
        (Self::Running, "running"),
        (Self::Succeeded, "succeeded"),
        (Self::Warnings, "warnings"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Interrupted, "interrupted"),
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| *word)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// Whether what it was to do is done.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Warnings)
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its id.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// Its domain.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub domain: DomainId,
    /// What it does.
    pub work: Work,
    /// By what it was begun.
    pub origin: JobOrigin,
    /// How far it is.
    pub state: JobState,
    /// How often it was taken.
    pub fence: u64,
    /// Which try of its slot it is, from 1.
    pub attempt: u32,
    /// Somebody wants it to stop.
    pub cancelling: bool,
    /// When the service learnt of it, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// How far its work is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressBody>,
    /// Warnings, also those that were not kept.
    pub warnings_count: u64,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<JobProblem>,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobProblem {
    /// What was being done, to what, and why it failed.
    pub message: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobResult {
    /// A point.
    Backup(BackupResult),
    /// A restore's receipt.
    Restore(RestoreReceipt),
    /// What retention did.
    Retention(RetentionResult),
    /// What a collection freed.
    Collection(CollectResult),
    /// What a scrub found.
    Scrub(ScrubResult),
}

/// The point that a job has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PointMade {
    /// The point.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
}

/// A point that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupResult {
    /// The point.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
    /// Its place in the item's chain.
    pub sequence: u64,
    /// How much of the item is in it.
    pub completeness: Completeness,
    /// Files in it.
    pub files: u64,
    /// Directories in it.
    pub directories: u64,
    /// Everything else in it.
    pub others: u64,
    /// Bytes of content in it.
    pub bytes: u64,
    /// Entries that were read.
    pub entries_read: u64,
    /// Entries that were taken over.
    pub entries_unchanged: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Bytes that were stored.
    pub bytes_stored: u64,
    /// What was left out on purpose.
    pub left_out_count: u64,
}

/// A restore's receipt: what, from where, to where, and how it compares with the point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestoreReceipt {
    /// The point.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
    /// Where it was restored to.
    pub to: String,
    /// Files that were restored.
    pub files: u64,
    /// Directories that were.
    pub directories: u64,
    /// Everything else that was.
    pub others: u64,
    /// Files that were left as they were, as it was asked for.
    pub skipped: u64,
    /// Bytes of content that were written.
    pub bytes_written: u64,
    /// Blobs that were verified on the way.
    pub blobs_verified: u64,
    /// Bytes in them.
    pub bytes_verified: u64,
    /// Paths that are not there as the point has them; the job's warnings name them.
    pub differences_count: u64,
    /// How long it took.
    pub milliseconds: u64,
}

/// What retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionResult {
    /// Items that were looked at.
    pub items: u64,
    /// Points that were soft-deleted.
    pub expired: u64,
    /// Points that were purged.
    pub purged: u64,
    /// Items of which nothing expires until a person has looked.
    pub reviews: u64,
}

/// What a scrub found. The domain's check names it all: `POST …/checks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScrubResult {
    /// Whether nothing is wrong that was not mended.
    pub sound: bool,
    /// Packs that were looked at.
    pub packs: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Points whose closure was walked.
    pub points: u64,
    /// Objects that were mended from another copy.
    pub mended: u64,
    /// Damaged copies of blobs.
    pub damaged_copies: u64,
    /// Damaged or missing packs and other objects.
    pub damaged_objects: u64,
    /// Blobs that a point needs and of which there is no sound copy.
    pub missing: u64,
}

impl From<&CheckReport> for ScrubResult {
    fn from(report: &CheckReport) -> Self {
        let count = |list: usize| list as u64;
        Self {
            sound: report.is_sound(),
            packs: report.packs,
            bytes_read: report.bytes_read,
            points: report.points,
            mended: count(report.mended.len()),
            damaged_copies: count(report.damaged_copies.len()),
            damaged_objects: count(report.damaged_packs.len() + report.damaged_objects.len() + report.set_aside.len()),
            missing: count(report.missing.len()),
        }
    }
}

/// Asks for a job. The same request again is answered with the same job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// An id for it, 16 random bytes.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// What it is to do.
    pub work: Work,
}

/// Jobs, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// When, by the clock of whoever wrote it, in milliseconds since 1970.
    pub time_ms: i64,
    /// What.
    pub text: String,
}

/// Something about a path that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobWarning {
    /// The path, with what is not UTF-8 replaced.
    pub path: String,
    /// The path in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// What kind of warning.
    pub kind: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What a job said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobLog {
    /// Its log, oldest first; of a long one the beginning.
    pub lines: Vec<LogLine>,
    /// Its first warnings.
    pub warnings: Vec<JobWarning>,
    /// How many there were.
    pub warnings_count: u64,
}
