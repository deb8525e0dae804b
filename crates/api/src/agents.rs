//! Agents as the service sees them, and its clock.

use format::{AgentKey, DomainId};
use serde::{Deserialize, Serialize};

/// An agent that has spoken to the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentBody {
    /// Its domain.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub domain: DomainId,
    /// Its key.
    #[serde(with = "crate::text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub agent: AgentKey,
    /// The machine's name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// Whether it listens for commands now.
    pub connected: bool,
    /// When it was heard of last, in milliseconds since 1970.
    pub seen_ms: i64,
    /// How far its clock was ahead of the service's when it said hello, in milliseconds.
    pub ahead_ms: i64,
}

/// All agents, sorted by domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentList {
    /// The agents.
    pub agents: Vec<AgentBody>,
}

/// How the clock is doing on which points expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClockStanding {
    /// It shows what the wall clock shows.
    Together,
    /// The wall clock is ahead, and it catches up.
    CatchingUp,
    /// The wall clock is so far ahead that an administrator has to say whether it is right.
    Waiting,
    /// The wall clock is behind, and this one stands still.
    Standing,
}

/// The clock on which points expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClockBody {
    /// What it shows, in milliseconds since 1970.
    pub now_ms: i64,
    /// What the wall clock shows.
    pub wall_ms: i64,
    /// How it is doing.
    pub standing: ClockStanding,
}

/// An administrator's word that it is this time in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClockAcknowledgement {
    /// In milliseconds since 1970; what the wall clock shows too.
    pub time_ms: i64,
}
