//! What of a changed policy protects less than before: for that a second person is asked.

use crate::policy::Policy;
use crate::schedule::{Days, Times};
use crate::settings::{RetentionSettings, Schedule};
use std::fmt::{self, Debug};

/// A setting that protects less than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakening {
    /// Where, as a path of field names.
    pub field: &'static str,
    /// What it was.
    pub before: String,
    /// What it would be.
    pub after: String,
}

impl fmt::Display for Weakening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} instead of {}", self.field, self.after, self.before)
    }
}

impl Policy {
    /// What protects less if this policy takes the place of `before`: shorter retention, a later or no objective, and any change of
    /// the days, times or zone by which slots are counted. Empty if nothing does.
    #[must_use]
    pub fn weakenings(&self, before: &Self) -> Vec<Weakening> {
        let (was, is) = (before.settings(), self.settings());
        let mut found: Vec<Weakening> = RETENTION
            .iter()
            .filter(|(_, value)| value(&is.retention) < value(&was.retention))
            .map(|(field, value)| weakening(field, value(&was.retention), value(&is.retention)))
            .collect();
        if is.retention.review_percent > was.retention.review_percent {
            found.push(weakening("retention.review_percent", was.retention.review_percent, is.retention.review_percent));
        }
        let minutes = |objective: Option<u32>| objective.unwrap_or(u32::MAX);
        if minutes(is.objective_minutes) > minutes(was.objective_minutes) {
            let shown = |objective: Option<u32>| objective.map_or("none".to_owned(), |minutes| minutes.to_string());
            found.push(weakening("objective_minutes", shown(was.objective_minutes), shown(is.objective_minutes)));
        }
        if is.time_zone != was.time_zone {
            found.push(weakening("time_zone", &was.time_zone, &is.time_zone));
        }
        let (gone, new) = (only_in(&was.schedules, &is.schedules), only_in(&is.schedules, &was.schedules));
        if !gone.is_empty() || !new.is_empty() {
            found.push(weakening("schedules", listed(&gone), listed(&new)));
        }
        found
    }
}

type Value = fn(&RetentionSettings) -> u32;

/// Settings of which less protects less.
const RETENTION: [(&str, Value); 9] = [
    ("retention.recent_days", |retention| retention.recent_days),
    ("retention.daily", |retention| retention.daily),
    ("retention.weekly", |retention| retention.weekly),
    ("retention.monthly", |retention| retention.monthly),
    ("retention.yearly", |retention| retention.yearly),
    ("retention.floor", |retention| retention.floor),
    ("retention.on_demand_days", |retention| retention.on_demand_days),
    ("retention.minimum_days", |retention| retention.minimum_days),
    ("retention.soft_delete_days", |retention| retention.soft_delete_days),
];

/// Most schedules that are named, and most days or times of one.
const NAMED_MAX: usize = 4;

/// Those of one that the other does not have. In which order they stand, and how often, changes no slot.
fn only_in<'a>(one: &'a [Schedule], other: &[Schedule]) -> Vec<&'a Schedule> {
    one.iter().filter(|schedule| !other.contains(schedule)).collect()
}

fn listed(schedules: &[&Schedule]) -> String {
    match schedules {
        [] => "none".to_owned(),
        some => some_of(some, " and ", |schedule| format!("{} {}", days(&schedule.days), times(&schedule.times))),
    }
}

fn days(days: &Days) -> String {
    match days {
        Days::Daily => "daily".to_owned(),
        Days::Weekly(weekdays) => format!("on {}", some_of(weekdays, ", ", word)),
        Days::Monthly(days) => format!("on day {} of the month", some_of(days, ", ", u8::to_string)),
        Days::MonthlyWeekday { week, weekday } => format!("on the {} {} of the month", word(week), word(weekday)),
    }
}

fn times(times: &Times) -> String {
    match times {
        Times::At(times) => format!("at {}", some_of(times, ", ", ToString::to_string)),
        Times::Every { minutes, from, until } => format!("every {minutes} min from {from} until {until}"),
    }
}

/// As the settings say it.
fn word(value: &impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// The first of them, and how many more there are.
fn some_of<T>(all: &[T], between: &str, shown: impl Fn(&T) -> String) -> String {
    let more = all.len().saturating_sub(NAMED_MAX);
    let mut words: Vec<String> = all.iter().take(NAMED_MAX).map(shown).collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(between)
}

fn weakening(field: &'static str, before: impl ToString, after: impl ToString) -> Weakening {
    Weakening { field, before: before.to_string(), after: after.to_string() }
}
