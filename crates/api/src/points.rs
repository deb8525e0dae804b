//! Points as JSON.

use crate::items::{Completeness, PointOrigin};
use bytes::Bytes;
use contract::{ItemHead, PointInfo, PointState};
use format::{ItemName, JobId, PointId, Sequence};
use serde::{Deserialize, Serialize};

/// Where a point is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PointStanding {
    /// Listed.
    Committed,
    /// Kept until it is purged.
    SoftDeleted,
}

/// A point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Point {
    /// Its id.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: PointId,
    /// The item.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub item: ItemName,
    /// Place in the item's chain.
    pub sequence: u64,
    /// State.
    pub state: PointStanding,
    /// Stamp of the authority, in milliseconds since 1970.
    pub time_ms: i64,
    /// When this repository received it, in milliseconds since 1970.
    pub received_ms: i64,
    /// The signed record, in base64.
    #[serde(with = "crate::text::base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub record: Bytes,
}

impl From<PointInfo> for Point {
    fn from(info: PointInfo) -> Self {
        let state = match info.state {
            PointState::Committed => PointStanding::Committed,
            PointState::SoftDeleted => PointStanding::SoftDeleted,
        };
        Self {
            id: info.id,
            item: info.item,
            sequence: info.sequence.0,
            state,
            time_ms: info.time_ms,
            received_ms: info.received_ms,
            record: info.record,
        }
    }
}

impl From<Point> for PointInfo {
    fn from(point: Point) -> Self {
        let state = match point.state {
            PointStanding::Committed => PointState::Committed,
            PointStanding::SoftDeleted => PointState::SoftDeleted,
        };
        Self {
            id: point.id,
            item: point.item,
            sequence: Sequence(point.sequence),
            state,
            time_ms: point.time_ms,
            received_ms: point.received_ms,
            record: point.record,
        }
    }
}

/// A page of points, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PointList {
    /// The points.
    pub points: Vec<Point>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// Where an item's chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemEnd {
    /// The newest point, purged or not.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
    /// Its place.
    pub sequence: u64,
}

impl From<ItemHead> for ItemEnd {
    fn from(head: ItemHead) -> Self {
        Self { point: head.point, sequence: head.sequence.0 }
    }
}

impl From<ItemEnd> for ItemHead {
    fn from(end: ItemEnd) -> Self {
        Self { point: end.point, sequence: Sequence(end.sequence) }
    }
}

/// Points that something shall be done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PointIds {
    /// Their ids.
    #[serde(with = "crate::text::list")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub points: Vec<PointId>,
}

/// What is told of a point when it is committed: the query of that request. The first word counts, for ever; of a point of which
/// nothing is told nothing is deleted early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointTold {
    /// The job that makes it.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// What makes it.
    #[serde(default)]
    pub origin: PointOrigin,
    /// How much of its item is in it.
    #[serde(default)]
    pub completeness: Completeness,
}

impl PointTold {
    /// As it stands behind the question mark of an address; what is not known is not said.
    #[must_use]
    pub fn to_text(&self) -> String {
        let origin = (self.origin != PointOrigin::Unknown).then(|| format!("origin={}", self.origin.as_str()));
        let completeness =
            (self.completeness != Completeness::Unknown).then(|| format!("completeness={}", self.completeness.as_str()));
        let job = self.job.map(|job| format!("job={job}"));
        origin.into_iter().chain(completeness).chain(job).collect::<Vec<_>>().join("&")
    }
}
