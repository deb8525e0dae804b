//! What of a changed policy protects less than before: for that a second person is asked.

use crate::policy::Policy;
use crate::settings::RetentionSettings;
use std::fmt;

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
        if is.schedules != was.schedules {
            found.push(weakening("schedules", counted(was.schedules.len()), others(was.schedules.len(), is.schedules.len())));
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

fn counted(schedules: usize) -> String {
    format!("{schedules} schedule{}", if schedules == 1 { "" } else { "s" })
}

/// Schedules that are not those of before, whose number says enough only where it is another one.
fn others(before: usize, now: usize) -> String {
    match (before == now, now) {
        (false, now) => counted(now),
        (true, 1) => "another one".to_owned(),
        (true, _) => "others".to_owned(),
    }
}

fn weakening(field: &'static str, before: impl ToString, after: impl ToString) -> Weakening {
    Weakening { field, before: before.to_string(), after: after.to_string() }
}
