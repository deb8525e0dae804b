//! Sessions as JSON.

use crate::points::{ItemEnd, Point};
use bytes::Bytes;
use contract::Committed;
use format::{AgentKey, ItemName, JournalNumber, KeyId, PackName, PointId, SessionId};
use serde::{Deserialize, Serialize};

/// Opens a session to write a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The item that will get a point.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub item: ItemName,
    /// Public key of the agent that will sign it.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub agent: AgentKey,
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionStarted {
    /// The session.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub session: SessionId,
    /// It ends unless its lease is renewed within so many seconds.
    pub lease_seconds: u64,
    /// End of the item's chain, which the next point continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<ItemEnd>,
    /// The point to compare with, pinned until the session ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Point>,
    /// Ids of blobs of which no undamaged copy is known: 32 bytes each, in base64.
    #[serde(with = "crate::text::base64")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub damaged: Bytes,
}

/// A session's key object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyStored {
    /// Its id.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub key: KeyId,
}

/// Asks for names of packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PackNamesRequest {
    /// How many.
    pub count: u32,
}

/// Names of packs, never used before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackNames {
    /// The names.
    #[serde(with = "crate::text::list")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub packs: Vec<PackName>,
}

/// A point or checkpoint that is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommittedPoint {
    /// Its id.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
    /// Place of its record in the journal.
    pub number: u64,
    /// The authority's stamp, in milliseconds since 1970.
    pub time_ms: i64,
}

impl From<Committed> for CommittedPoint {
    fn from(committed: Committed) -> Self {
        Self { point: committed.point, number: committed.number.0, time_ms: committed.time_ms }
    }
}

impl From<CommittedPoint> for Committed {
    fn from(committed: CommittedPoint) -> Self {
        Self { point: committed.point, number: JournalNumber(committed.number), time_ms: committed.time_ms }
    }
}

/// Opens a read session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReaderRequest {
    /// The point that it pins.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub point: PointId,
}

/// A read session that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReaderOpened {
    /// The session.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub session: SessionId,
    /// It ends unless its lease is renewed within so many seconds.
    pub lease_seconds: u64,
}
