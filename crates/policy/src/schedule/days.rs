//! The days of a schedule.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// The weekday of a date.
    #[must_use]
    pub fn of(date: Date) -> Self {
        match date.weekday() {
            jiff::civil::Weekday::Monday => Self::Monday,
            jiff::civil::Weekday::Tuesday => Self::Tuesday,
            jiff::civil::Weekday::Wednesday => Self::Wednesday,
            jiff::civil::Weekday::Thursday => Self::Thursday,
            jiff::civil::Weekday::Friday => Self::Friday,
            jiff::civil::Weekday::Saturday => Self::Saturday,
            jiff::civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

/// Which of a month's weeks, counted by one weekday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum Week {
    First,
    Second,
    Third,
    Fourth,
    Last,
}

/// On which days a schedule runs. No kind leaves a month out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Days {
    /// Every day.
    Daily,
    /// On these days of the week.
    Weekly(Vec<Weekday>),
    /// On these days of the month, from 1 to 31. A day that a month lacks is its last day: 31 is always the last.
    Monthly(Vec<u8>),
    /// On one weekday of the month: its first, second, third, fourth or last.
    MonthlyWeekday {
        /// Which week.
        week: Week,
        /// Which day.
        weekday: Weekday,
    },
}

impl Days {
    /// Whether the schedule runs on this date.
    #[must_use]
    pub fn contains(&self, date: Date) -> bool {
        match self {
            Self::Daily => true,
            Self::Weekly(weekdays) => weekdays.contains(&Weekday::of(date)),
            Self::Monthly(days) => {
                let last = date.days_in_month();
                days.iter().any(|day| i8::try_from(*day).is_ok_and(|day| day.min(last) == date.day()))
            }
            Self::MonthlyWeekday { week, weekday } => {
                let in_week = match week {
                    Week::First => date.day() <= 7,
                    Week::Second => (8..=14).contains(&date.day()),
                    Week::Third => (15..=21).contains(&date.day()),
                    Week::Fourth => (22..=28).contains(&date.day()),
                    Week::Last => date.day() > date.days_in_month() - 7,
                };
                in_week && Weekday::of(date) == *weekday
            }
        }
    }
}
