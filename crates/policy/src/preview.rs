//! What a policy would do over the next year: the points that would exist, and when each would expire.

use crate::error::Result;
use crate::limits;
use crate::policy::Policy;
use crate::retention::{Claim, Completeness, Expiry, Origin, RetentionPoint, fates, in_chain_order, in_words};
use crate::schedule::WindowState;
use format::{PointId, Sequence};
use jiff::{Timestamp, ToSpan};

/// How far to look ahead, and how much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewOptions {
    /// Days to look ahead; at most [`limits::PREVIEW_DAYS_MAX`].
    pub days: u32,
    /// Most points to answer, the earliest first; at most [`limits::PREVIEW_ENTRIES_MAX`].
    pub entries_max: usize,
}

impl Default for PreviewOptions {
    fn default() -> Self {
        Self { days: 366, entries_max: limits::PREVIEW_ENTRIES_MAX }
    }
}

/// A look ahead, on the assumption that every run succeeds at once and nobody asks for points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// From when.
    pub from: Timestamp,
    /// Until when. Earlier than asked for if there would be more points than one item may have.
    pub until: Timestamp,
    /// Points in the order of their chain: those that exist, then those that would be made.
    pub entries: Vec<PreviewEntry>,
    /// How many more points there would be than are in `entries`.
    pub left_out: usize,
}

/// A point of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewEntry {
    /// The point, if it exists.
    pub id: Option<PointId>,
    /// When it was made, or would be.
    pub made: Timestamp,
    /// When it would expire.
    pub expiry: Expiry,
    /// What would keep it, the longest first.
    pub claims: Vec<Claim>,
}

impl PreviewEntry {
    /// What would keep it, in words.
    #[must_use]
    pub fn reason(&self) -> String {
        in_words(&self.claims)
    }

    /// Whether it would exist at an instant.
    #[must_use]
    pub fn exists_at(&self, at: Timestamp) -> bool {
        self.made <= at && !matches!(self.expiry, Expiry::At(expires) if expires <= at)
    }
}

impl Policy {
    /// Looks ahead from `now` by the high-water clock, with an item's committed points.
    pub fn preview(&self, points: &[RetentionPoint], now: Timestamp, options: PreviewOptions) -> Result<Preview> {
        let mut points = in_chain_order(points)?;
        let existing = points.len();
        let days = i64::from(options.days.min(limits::PREVIEW_DAYS_MAX));
        let mut until = now.checked_add((days * 24).hours()).unwrap_or(Timestamp::MAX);
        let mut sequence = points.last().map_or(Sequence(0), |point| point.sequence);
        for start in self.starts(now, until) {
            if points.len() == limits::POINTS_MAX {
                until = start;
                break;
            }
            sequence = sequence.next();
            points.push(future_point(sequence, start));
        }
        let fates = fates(self, &points, now, until);
        let entries_max = options.entries_max.min(limits::PREVIEW_ENTRIES_MAX);
        let entries = points.iter().zip(fates).enumerate().take(entries_max).map(|(place, (point, fate))| PreviewEntry {
            id: (place < existing).then_some(point.id),
            made: point.received(until),
            expiry: fate.expiry,
            claims: fate.claims,
        });
        let entries: Vec<PreviewEntry> = entries.collect();
        Ok(Preview { from: now, until, left_out: points.len() - entries.len(), entries })
    }

    /// When runs would start, without the spreading: at their slots, or when the next window opens; slots that wait for the same
    /// opening are one run.
    fn starts(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let mut slots = self.slots_between(after, until).peekable();
        let mut window: Option<WindowState> = None;
        std::iter::from_fn(move || {
            loop {
                let due = slots.next()?.due;
                let state = window.filter(|state| holds(*state, due)).unwrap_or_else(|| self.window_state(due));
                window = Some(state);
                let start = if let WindowState::Closed { opens, .. } = state { opens } else { due };
                if start <= until && slots.peek().is_none_or(|next| next.due > start) {
                    return Some(start);
                }
            }
        })
    }
}

/// Whether a state that was true a while ago still is.
fn holds(state: WindowState, at: Timestamp) -> bool {
    match state {
        WindowState::Always => false,
        WindowState::Open { until, .. } => at < until,
        WindowState::Closed { opens, .. } => at < opens,
    }
}

fn future_point(sequence: Sequence, made: Timestamp) -> RetentionPoint {
    RetentionPoint {
        id: PointId([0; 32]),
        sequence,
        place_ms: made.as_millisecond(),
        received_ms: made.as_millisecond(),
        origin: Origin::Scheduled,
        completeness: Completeness::Clean,
    }
}
