//! A point as retention sees it.

use format::{PointId, Sequence};
use jiff::Timestamp;

/// A committed point of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPoint {
    /// Its id.
    pub id: PointId,
    /// Its place in the item's chain: newer points have higher ones.
    pub sequence: Sequence,
    /// Its calendar place, in milliseconds since 1970 by the authority's clock, never by the agent's: when its session was opened,
    /// where that is known, otherwise the earlier of its stamp and of when this vault received it. A clock that was wrong is made
    /// up for as far as the points of the chain tell.
    pub place_ms: i64,
    /// When this vault received it, in milliseconds since 1970.
    pub received_ms: i64,
    /// Whether a schedule made it.
    pub origin: Origin,
    /// How much of the item is in it.
    pub completeness: Completeness,
}

/// What made a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A schedule, on time or caught up. Where the origin is not known any more, as after a rebuild from storage, this is the one
    /// that deletes nothing early.
    Scheduled,
    /// Somebody who asked for it.
    OnDemand,
    /// Somebody who brought it back, whatever made it first. Whoever executes plans leaves it to a person to let it go; it takes nothing
    /// from others, neither a slot nor a place in the floor.
    Held,
}

/// How much of the item is in a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Completeness {
    /// All of it.
    Clean,
    /// All but what its warnings name. It counts: otherwise one locked file a night would let every good point expire unnoticed, or
    /// none ever.
    Warnings,
    /// A whole part is missing. It does not count: it stands for no slot, and is in no floor.
    Incomplete,
}

impl RetentionPoint {
    /// Whether rules that count slots count it.
    pub(crate) fn counts(&self) -> bool {
        self.origin == Origin::Scheduled && self.is_whole()
    }

    /// Whether all of the item is in it, warnings aside.
    pub(crate) fn is_whole(&self) -> bool {
        self.completeness != Completeness::Incomplete
    }

    /// Its calendar place; a place in the future is now.
    pub(crate) fn place(&self, now: Timestamp) -> Timestamp {
        instant(self.place_ms.min(self.received_ms), now)
    }

    /// Whether its place is in the future: the clock that stamped it was ahead.
    pub(crate) fn is_ahead(&self, now: Timestamp) -> bool {
        self.place_ms.min(self.received_ms) > now.as_millisecond()
    }

    /// When this vault received it; not in the future.
    pub(crate) fn received(&self, now: Timestamp) -> Timestamp {
        instant(self.received_ms, now)
    }
}

/// An instant between 1970 and now, whatever is stored: a stored time must not stop retention.
fn instant(ms: i64, now: Timestamp) -> Timestamp {
    let instant = Timestamp::from_millisecond(ms.max(0)).unwrap_or(Timestamp::MAX);
    instant.min(now)
}
