//! What can be wrong with a policy, or with a question to it.

use crate::limits;
use std::fmt;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was given is wrong; the same will fail again.
    Invalid,
    /// What was asked for does not fit the state; look again.
    Conflict,
}

/// One setting that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a path of field names: `schedules[0].times`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A policy's text is longer than any policy.
    #[error("the policy has {bytes} bytes, more than the {max} that a policy may have", max = limits::POLICY_BYTES_MAX)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The text is of a schema that is not known here.
    #[error("the policy is of schema {found:?}, this program knows {known:?}", known = limits::SCHEMA)]
    Schema {
        /// What it says it is.
        found: String,
    },
    /// The text is no policy in JSON.
    #[error("cannot read the policy as JSON")]
    Json(#[source] serde_json::Error),
    /// The text is no policy in TOML.
    #[error("cannot read the policy as TOML")]
    Toml(#[source] toml::de::Error),
    /// The settings cannot be used.
    #[error("the policy cannot be used: {}", list(.0))]
    Settings(Vec<Problem>),
    /// A time of day does not parse.
    #[error("{0:?} is no time of day: write HH:MM, from 00:00 to 24:00")]
    TimeOfDay(String),
    /// More points than one item may have.
    #[error("the item has {points} points, more than the {max} that a plan takes", max = limits::POINTS_MAX)]
    TooManyPoints {
        /// How many.
        points: usize,
    },
    /// Two points of one item have the same place in its chain.
    #[error("two points of the item have the sequence number {sequence}")]
    SameSequence {
        /// The number.
        sequence: u64,
    },
    /// An acknowledgement, and the clock is not waiting for one.
    #[error("the clock is not waiting for an acknowledgement")]
    NothingToAcknowledge,
    /// An acknowledgement of an instant that the wall clock does not show.
    #[error("the acknowledged time is not what the wall clock shows: {apart_ms} ms apart")]
    AcknowledgedElsewhere {
        /// How far they are apart, in milliseconds.
        apart_ms: i64,
    },
    /// A stored clock that this program cannot take over.
    #[error("the clock's state is of schema {found}, this program knows {known}")]
    ClockSchema {
        /// What it says it is.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// A stored clock that shows no time.
    #[error("the clock's state has times out of range")]
    ClockRange,
}

impl PolicyError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NothingToAcknowledge | Self::AcknowledgedElsewhere { .. } => Kind::Conflict,
            _ => Kind::Invalid,
        }
    }

    /// The settings that are wrong, where that is the error.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Settings(problems) => problems,
            _ => &[],
        }
    }
}

/// Result of this crate.
pub type Result<T, E = PolicyError> = std::result::Result<T, E>;

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
