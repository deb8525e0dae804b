//! How old the newest point may be.

use crate::policy::Policy;
use jiff::{Timestamp, ToSpan};

/// Whether an item meets its objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointAge {
    /// The policy has no objective.
    NoObjective,
    /// The newest point is young enough, until this instant.
    Met {
        /// When the item becomes overdue unless a newer point is made.
        until: Timestamp,
    },
    /// The newest point is too old, since this instant.
    Overdue {
        /// Since when.
        since: Timestamp,
    },
}

impl Policy {
    /// Whether the item meets the objective at `now`. `newest` is the authority's stamp of its newest whole point; without one, the
    /// time counts from `protected_since`, when the item got its first policy.
    #[must_use]
    pub fn point_age(&self, newest: Option<Timestamp>, protected_since: Timestamp, now: Timestamp) -> PointAge {
        let Some(minutes) = self.settings().objective_minutes else { return PointAge::NoObjective };
        let from = newest.unwrap_or(protected_since);
        // The end of time is not reached by an objective of a year.
        let until = from.checked_add(i64::from(minutes).minutes()).unwrap_or(Timestamp::MAX);
        if now <= until { PointAge::Met { until } } else { PointAge::Overdue { since: until } }
    }
}
