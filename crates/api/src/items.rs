//! Items that the service protects, as JSON: what is in them, by which policy, and how they are doing.

use crate::jobs::JobState;
use crate::policies::PolicyName;
use format::{DomainId, ItemName, JobId, PointId};
use policy::{ImpactSettings, PolicySettings};
use serde::{Deserialize, Serialize};

/// What belongs to a file set. Paths are absolute and in UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FileScope {
    /// What is backed up, with everything below it.
    pub paths: Vec<String>,
    /// What is left out: lines with the meaning of a .gitignore file in '/'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
    /// What excludes leave out and is in it all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
    /// Other mounted file systems are left out.
    #[serde(default)]
    pub one_file_system: bool,
    /// Directories with a CACHEDIR.TAG are left out.
    #[serde(default)]
    pub exclude_caches: bool,
    /// What has the nodump flag is left out.
    #[serde(default)]
    pub exclude_nodump: bool,
}

/// Sets what an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemRequest {
    /// What is in it.
    pub files: FileScope,
    /// Its policy. None: it is backed up on demand, and its points never expire by themselves.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub policy: Option<PolicyName>,
    /// It may be given a policy that protects less than the one that it has, or none, or have less in it.
    #[serde(default)]
    pub weaken: bool,
}

/// An item, and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemBody {
    /// Its domain.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub domain: DomainId,
    /// Its name.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub item: ItemName,
    /// What is in it.
    pub files: FileScope,
    /// Its policy.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub policy: Option<PolicyName>,
    /// Since when it has had this policy, in milliseconds since 1970.
    pub since_ms: i64,
    /// When its newest whole point was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_ms: Option<i64>,
    /// Since when its newest whole point is older than the policy's objective allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_since_ms: Option<i64>,
    /// When its next scheduled run is due. None where nobody would run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<i64>,
    /// The owner has retired all agents of its domain: it is backed up no more, and overdue all the same.
    #[serde(default)]
    pub agent_retired: bool,
    /// Its newest job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_job: Option<LastJob>,
    /// So many points would expire, more than the policy lets expire before a person has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewBody>,
}

/// An item's newest job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastJob {
    /// The job.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// Its state.
    pub state: JobState,
}

/// Points that expire only after a person has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReviewBody {
    /// How many would expire.
    pub expiring: u64,
    /// Of how many.
    pub points: u64,
}

/// All items that are protected, sorted by domain and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemList {
    /// The items.
    pub items: Vec<ItemBody>,
}

/// What made a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PointOrigin {
    /// Nobody has told, or nobody knows any more: for retention a schedule, so that nothing is deleted early.
    #[default]
    Unknown,
    /// A schedule.
    Scheduled,
    /// Somebody who asked for it.
    OnDemand,
}

impl PointOrigin {
    /// Every origin, with its word.
    pub const ALL: [(Self, &str); 3] =
        [(Self::Unknown, "unknown"), (Self::Scheduled, "scheduled"), (Self::OnDemand, "on_demand")];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(origin, _)| *origin == self).map_or("", |(_, word)| *word)
    }
}

/// How much of its item is in a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// Nobody has told, or nobody knows any more: for retention all of it, so that nothing is deleted early.
    #[default]
    Unknown,
    /// All of it.
    Clean,
    /// All but what its warnings name.
    Warnings,
    /// A whole part is missing.
    Incomplete,
}

impl Completeness {
    /// Every one, with its word.
    pub const ALL: [(Self, &str); 4] =
        [(Self::Unknown, "unknown"), (Self::Clean, "clean"), (Self::Warnings, "warnings"), (Self::Incomplete, "incomplete")];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(completeness, _)| *completeness == self).map_or("", |(_, word)| *word)
    }
}

/// A point of an item, with what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemPoint {
    /// The point.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
    /// Its place in the item's chain.
    pub sequence: u64,
    /// Its place in the calendar: when its session was opened, in milliseconds since 1970.
    pub place_ms: i64,
    /// When the vault received it.
    pub received_ms: i64,
    /// What made it.
    pub origin: PointOrigin,
    /// How much is in it.
    pub completeness: Completeness,
    /// When it was soft-deleted: it is purged at `purged_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_ms: Option<i64>,
    /// When it will be purged, if it is soft-deleted and the item has a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged_ms: Option<i64>,
    /// When it expires. None: not as long as `reason` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Why it is kept, for people.
    pub reason: String,
}

/// All points of an item, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemPointList {
    /// The points.
    pub points: Vec<ItemPoint>,
    /// What the vault's clock shows, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What an agent protects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Protection {
    /// Greater with every change.
    pub revision: u64,
    /// The items of the agent's domain, sorted by name.
    pub items: Vec<ProtectedItem>,
}

/// An item as its agent needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProtectedItem {
    /// Its name.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub item: ItemName,
    /// What is in it.
    pub files: FileScope,
    /// What its policy says. None: on demand only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub policy: Option<PolicySettings>,
    /// What its policy says of the impact on the machine: beside the policy, because agents that know no impact refuse policies with what they
    /// do not know. None: nothing, or it stands in the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub impact: Option<ImpactSettings>,
    /// Since when it has had this policy: slots before were not missed.
    pub since_ms: i64,
    /// The slot of its last completed scheduled run, as far as the service knows: for an agent that has lost its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_slot_ms: Option<i64>,
}

impl ProtectedItem {
    /// Its policy, whole.
    #[must_use]
    pub fn settings(&self) -> Option<PolicySettings> {
        let policy = self.policy.clone()?;
        let impact = self.impact.clone().unwrap_or_else(|| policy.impact.clone());
        Some(PolicySettings { impact, ..policy })
    }
}
