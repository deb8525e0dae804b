//! A time zone by its name, with rules that are compiled in.
//!
//! The rules come with the program, not from the machine: small servers have none, and the service and its agents must not differ
//! (`docs/design/policy-crate.md`).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

/// A time zone.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    rules: TimeZone,
}

/// Which of two occurrences of a time on the wall is meant, where the clock was put back over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrence {
    First,
    Last,
}

impl Zone {
    /// The zone of this name, such as `Europe/Berlin` or `UTC`. None if there is none.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let rules = TimeZoneDatabase::bundled().get(name).ok()?;
        Some(Self { rules })
    }

    /// What the clock on the wall shows.
    pub(crate) fn wall(&self, instant: Timestamp) -> DateTime {
        self.rules.to_datetime(instant)
    }

    /// The date on the wall.
    pub(crate) fn date(&self, instant: Timestamp) -> Date {
        self.wall(instant).date()
    }

    /// The instant at which the wall shows this; the first one after the gap if it never does. None at the end of time.
    pub(crate) fn instant(&self, wall: DateTime, occurrence: Occurrence) -> Option<Timestamp> {
        let ambiguous = self.rules.to_ambiguous_timestamp(wall);
        match (ambiguous.offset(), occurrence) {
            (AmbiguousOffset::Unambiguous { offset }, _) => offset.to_timestamp(wall).ok(),
            (AmbiguousOffset::Fold { before, .. }, Occurrence::First) => before.to_timestamp(wall).ok(),
            (AmbiguousOffset::Fold { after, .. }, Occurrence::Last) => after.to_timestamp(wall).ok(),
            (AmbiguousOffset::Gap { after, .. }, _) => {
                // Reckoned with the offset after it, a time inside the gap lies before the transition.
                let before = after.to_timestamp(wall).ok()?;
                Some(self.rules.following(before).next()?.timestamp())
            }
        }
    }
}
