//! The clock on which points expire, as JSON.

use serde::{Deserialize, Serialize};

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
