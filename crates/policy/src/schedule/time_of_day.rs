//! Times of a day on the wall, to the minute.

use crate::error::PolicyError;
use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const MINUTES_OF_DAY: u16 = 24 * 60;

/// A time of day on the wall: minutes since midnight, 00:00 to 24:00. 24:00 is only an end, never a beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// 00:00.
    pub const START: Self = Self(0);
    /// 24:00, the end of the day.
    pub const END: Self = Self(MINUTES_OF_DAY);

    /// The time of this hour and minute, up to 24:00.
    #[must_use]
    pub fn new(hour: u8, minute: u8) -> Option<Self> {
        let minutes = u16::from(hour) * 60 + u16::from(minute);
        (minute < 60 && minutes <= MINUTES_OF_DAY).then_some(Self(minutes))
    }

    /// Minutes since midnight.
    #[must_use]
    pub fn minutes(self) -> u16 {
        self.0
    }

    /// This time on a date; 24:00 is midnight of the next. None at the end of time.
    pub(crate) fn on(self, date: Date) -> Option<DateTime> {
        let date = if self == Self::END { date.tomorrow().ok()? } else { date };
        Some(date.to_datetime(Time::new(self.hour(), self.minute(), 0, 0).ok()?))
    }

    fn hour(self) -> i8 {
        (self.0 % MINUTES_OF_DAY / 60) as i8
    }

    fn minute(self) -> i8 {
        (self.0 % 60) as i8
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = PolicyError;

    /// Parses `HH:MM`, two digits each.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let number = |digits: &[u8]| match digits {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
            _ => None,
        };
        let parsed = match text.as_bytes() {
            [hour @ .., b':', minute_tens, minute_ones] => number(hour).zip(number(&[*minute_tens, *minute_ones])),
            _ => None,
        };
        let time = parsed.and_then(|(hour, minute)| Self::new(hour, minute));
        time.ok_or_else(|| PolicyError::TimeOfDay(text.chars().take(32).collect()))
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

/// At which times of a day a schedule runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Times {
    /// At these times.
    At(Vec<TimeOfDay>),
    /// Again and again.
    Every {
        /// Minutes from one time to the next.
        minutes: u16,
        /// The first time.
        from: TimeOfDay,
        /// All times are before this one.
        until: TimeOfDay,
    },
}

impl Times {
    /// The times of a day in order, each once. Bounded by the minutes of a day.
    pub(crate) fn list(&self) -> Vec<TimeOfDay> {
        let mut times: Vec<TimeOfDay> = match self {
            Self::At(times) => times.clone(),
            Self::Every { minutes, from, until } => {
                (from.0..until.0).step_by(usize::from((*minutes).max(1))).map(TimeOfDay).collect()
            }
        };
        times.sort_unstable();
        times.dedup();
        times
    }
}
