//! Windows: times of the week in which something may happen.

use super::days::Weekday;
use super::time_of_day::TimeOfDay;
use super::zone::{Occurrence, Zone};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// Days ahead for which openings are worked out: each window opens at least once a week.
const DAYS_AHEAD: i32 = 9;

/// A stretch of the day on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeWindow {
    /// The days on which it opens; all if none are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// When it opens.
    pub from: TimeOfDay,
    /// When it closes. Not after `from` means on the next day: 22:00 to 06:00 is a night.
    pub until: TimeOfDay,
}

impl TimeWindow {
    /// Its length on the wall in minutes.
    fn minutes(&self) -> i64 {
        let (from, until) = (i64::from(self.from.minutes()), i64::from(self.until.minutes()));
        if until > from { until - from } else { until + 24 * 60 - from }
    }
}

/// Whether a window is open at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowState {
    /// Always open: there are no windows, or they cover the week.
    Always,
    /// Open, until this instant.
    Open {
        /// Since when: its opening, or more than a day ago.
        since: Timestamp,
        /// When it closes.
        until: Timestamp,
    },
    /// Closed, until this instant.
    Closed {
        /// When the next one opens, and until when it stays open.
        opens: Timestamp,
        /// When that one closes.
        until: Timestamp,
    },
}

/// Windows in a zone.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    zone: Zone,
    windows: Vec<TimeWindow>,
}

impl Windows {
    /// These windows.
    pub(crate) fn new(zone: Zone, windows: &[TimeWindow]) -> Self {
        Self { zone, windows: windows.to_vec() }
    }

    /// Whether one is open. Without windows it is always open.
    ///
    /// A window opens at the first occurrence of its time and closes at the last one, so that the night on which the clock is put
    /// back has no hole.
    pub(crate) fn state(&self, instant: Timestamp) -> WindowState {
        if self.windows.is_empty() {
            return WindowState::Always;
        }
        let mut open: Option<(Timestamp, Timestamp)> = None;
        for (from, until) in self.stretches(instant) {
            match &mut open {
                Some((_, end)) if from <= *end => *end = until.max(*end),
                Some((_, end)) if instant < *end => break,
                _ => open = Some((from, until)),
            }
        }
        self.judge(instant, open)
    }

    fn judge(&self, instant: Timestamp, open: Option<(Timestamp, Timestamp)>) -> WindowState {
        let horizon = instant.saturating_add((24 * 7).hours());
        match (open, horizon) {
            (Some((from, until)), Ok(horizon)) if from <= instant && until >= horizon => WindowState::Always,
            (Some((since, until)), _) if since <= instant => WindowState::Open { since, until },
            (Some((opens, until)), _) => WindowState::Closed { opens, until },
            // At the end of time only.
            (None, _) => WindowState::Always,
        }
    }

    /// Stretches around an instant, in order of their beginning.
    fn stretches(&self, instant: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let today = self.zone.date(instant);
        let dates = (-2..DAYS_AHEAD).filter_map(|day| today.checked_add(day.days()).ok());
        let mut stretches: Vec<(Timestamp, Timestamp)> = dates
            .flat_map(|date| self.windows.iter().map(move |window| (date, window)))
            .filter(|(date, window)| window.weekdays.is_empty() || window.weekdays.contains(&Weekday::of(*date)))
            .filter_map(|(date, window)| {
                let closes = if window.until <= window.from { date.tomorrow().ok()? } else { date };
                let from = self.zone.instant(window.from.on(date)?, Occurrence::First)?;
                let until = self.zone.instant(window.until.on(closes)?, Occurrence::Last)?;
                // A window that lies wholly in hours that the day does not have opens after them, for as long as it would have.
                let until = if until > from { until } else { from.checked_add(window.minutes().minutes()).ok()? };
                Some((from, until))
            })
            .collect();
        stretches.sort_unstable();
        stretches
    }
}
