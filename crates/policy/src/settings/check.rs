//! What is wrong with settings.

use super::{BandwidthSettings, Hook, ImpactSettings, PolicySettings, RetentionSettings, RetrySettings, Schedule};
use crate::error::Problem;
use crate::limits;
use crate::schedule::{Days, TimeOfDay, TimeWindow, Times, Timetable, Zone};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Everything that is wrong, up to [`limits::PROBLEMS_MAX`]; empty if nothing is.
pub(crate) fn problems(settings: &PolicySettings) -> Vec<Problem> {
    let mut report = Report::default();
    names(settings, &mut report);
    report.within("spread_minutes", settings.spread_minutes, 0..=limits::SPREAD_MINUTES_MAX);
    let schedules_from = report.problems.len();
    schedules(&settings.schedules, &mut report);
    windows("windows.open", &settings.windows.open, &mut report);
    bandwidth(&settings.bandwidth, &mut report);
    impact(&settings.impact, &mut report);
    retries(&settings.retries, &mut report);
    hook("hooks.before", settings.hooks.before.as_ref(), &mut report);
    hook("hooks.after", settings.hooks.after.as_ref(), &mut report);
    retention(&settings.retention, &mut report);
    // An objective is compared with schedules that hold.
    let schedules_hold = report.problems.len() == schedules_from;
    objective(settings, schedules_hold, &mut report);
    report.problems.truncate(limits::PROBLEMS_MAX);
    report.problems
}

#[derive(Default)]
struct Report {
    problems: Vec<Problem>,
}

impl Report {
    fn add(&mut self, field: impl Into<String>, what: impl Into<String>) {
        // A few more than are shown do no harm; a hostile document must not fill memory with them.
        if self.problems.len() < limits::PROBLEMS_MAX {
            self.problems.push(Problem { field: field.into(), what: what.into() });
        }
    }

    fn within<T: PartialOrd + Display>(&mut self, field: impl Into<String>, value: T, allowed: RangeInclusive<T>) {
        if !allowed.contains(&value) {
            self.add(field, format!("{value} is not within {} to {}", allowed.start(), allowed.end()));
        }
    }

    fn count(&mut self, field: impl Into<String>, count: usize, allowed: RangeInclusive<usize>) -> bool {
        if allowed.contains(&count) {
            return true;
        }
        self.add(field, format!("has {count} entries, not {} to {}", allowed.start(), allowed.end()));
        false
    }
}

fn names(settings: &PolicySettings, report: &mut Report) {
    if settings.schema != limits::SCHEMA {
        report.add("schema", format!("is not {:?}", limits::SCHEMA));
    }
    let name = &settings.name;
    if name.trim().is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        report.add("name", "is empty, begins or ends with a space, or has control characters");
    }
    report.within("name", name.len(), 0..=limits::NAME_BYTES_MAX);
    if settings.time_zone.len() > limits::ZONE_BYTES_MAX || Zone::named(&settings.time_zone).is_none() {
        let shown: String = settings.time_zone.chars().take(limits::ZONE_BYTES_MAX).collect();
        report.add("time_zone", format!("{shown:?} is no time zone; write one such as Europe/Berlin or UTC"));
    }
}

fn schedules(schedules: &[Schedule], report: &mut Report) {
    if !report.count("schedules", schedules.len(), 0..=limits::SCHEDULES_MAX) {
        return;
    }
    let before = report.problems.len();
    for (place, schedule) in schedules.iter().enumerate() {
        days(&format!("schedules[{place}].days"), &schedule.days, report);
        times(&format!("schedules[{place}].times"), &schedule.times, report);
    }
    if report.problems.len() > before {
        return;
    }
    // As if all schedules met on one day: simple to say, and close.
    let all: BTreeSet<TimeOfDay> = schedules.iter().flat_map(|schedule| schedule.times.list()).collect();
    if all.len() > limits::SLOTS_PER_DAY_MAX {
        report.add("schedules", format!("have {} different times of day, more than {}", all.len(), limits::SLOTS_PER_DAY_MAX));
    }
}

fn days(field: &str, days: &Days, report: &mut Report) {
    match days {
        Days::Daily | Days::MonthlyWeekday { .. } => {}
        Days::Weekly(weekdays) => {
            report.count(field, weekdays.len(), 1..=7);
            each_once(field, weekdays, report);
        }
        Days::Monthly(days) => {
            if report.count(field, days.len(), 1..=31) {
                days.iter().for_each(|day| report.within(field, *day, 1..=31));
            }
            each_once(field, days, report);
        }
    }
}

fn times(field: &str, times: &Times, report: &mut Report) {
    match times {
        Times::At(times) => {
            report.count(field, times.len(), 1..=limits::TIMES_MAX);
            each_once(field, times, report);
            if times.contains(&TimeOfDay::END) {
                report.add(field, "24:00 is no beginning: write 00:00 of the next day");
            }
        }
        Times::Every { minutes, from, until } => {
            report.within(field, *minutes, limits::REPEAT_MINUTES_MIN..=limits::REPEAT_MINUTES_MAX);
            if from >= until {
                report.add(field, format!("from {from} is not before until {until}"));
            }
        }
    }
}

fn each_once<T: Ord>(field: &str, values: &[T], report: &mut Report) {
    if values.iter().collect::<BTreeSet<_>>().len() < values.len() {
        report.add(field, "has an entry twice");
    }
}

fn windows(field: &str, windows: &[TimeWindow], report: &mut Report) {
    if !report.count(field, windows.len(), 0..=limits::WINDOWS_MAX) {
        return;
    }
    for (place, window) in windows.iter().enumerate() {
        let field = format!("{field}[{place}]");
        report.count(format!("{field}.weekdays"), window.weekdays.len(), 0..=7);
        each_once(&format!("{field}.weekdays"), &window.weekdays, report);
        if window.from == TimeOfDay::END {
            report.add(format!("{field}.from"), "24:00 is no beginning: write 00:00 of the next day");
        }
        if window.from == window.until {
            report.add(field, "begins and ends at the same time; the whole day is 00:00 to 24:00");
        }
    }
}

fn bandwidth(settings: &BandwidthSettings, report: &mut Report) {
    windows("bandwidth.office_hours", &settings.office_hours, report);
    let allowed = limits::BANDWIDTH_BYTES_PER_SECOND_MIN..=limits::BANDWIDTH_BYTES_PER_SECOND_MAX;
    if let Some(limit) = settings.inside_bytes_per_second {
        report.within("bandwidth.inside_bytes_per_second", limit, allowed.clone());
        if settings.office_hours.is_empty() {
            report.add("bandwidth.inside_bytes_per_second", "limits office hours, and there are none");
        }
    }
    if let Some(limit) = settings.outside_bytes_per_second {
        report.within("bandwidth.outside_bytes_per_second", limit, allowed);
    }
}

fn impact(settings: &ImpactSettings, report: &mut Report) {
    if let Some(limit) = settings.reads_per_second {
        report.within("impact.reads_per_second", limit, limits::READS_PER_SECOND_MIN..=limits::READS_PER_SECOND_MAX);
    }
}

fn retries(settings: &RetrySettings, report: &mut Report) {
    report.within("retries.count", settings.count, 0..=limits::RETRIES_MAX);
    report.within("retries.wait_minutes", settings.wait_minutes, 1..=limits::RETRY_MINUTES_MAX);
    report.within("retries.wait_minutes_max", settings.wait_minutes_max, 1..=limits::RETRY_MINUTES_MAX);
    if settings.wait_minutes > settings.wait_minutes_max {
        report.add("retries.wait_minutes", "is greater than wait_minutes_max");
    }
}

fn hook(field: &str, hook: Option<&Hook>, report: &mut Report) {
    let Some(hook) = hook else { return };
    report.count(format!("{field}.command"), hook.command.len(), 1..=limits::HOOK_WORDS_MAX);
    if hook.command.first().is_some_and(String::is_empty) {
        report.add(format!("{field}.command"), "names no program");
    }
    for word in hook.command.iter().take(limits::HOOK_WORDS_MAX) {
        report.within(format!("{field}.command"), word.len(), 0..=limits::HOOK_WORD_BYTES_MAX);
        if word.contains('\0') {
            report.add(format!("{field}.command"), "has a word with a zero byte");
        }
    }
    report.within(format!("{field}.timeout_seconds"), hook.timeout_seconds, 1..=limits::HOOK_SECONDS_MAX);
}

fn retention(settings: &RetentionSettings, report: &mut Report) {
    report.within("retention.recent_days", settings.recent_days, 1..=limits::DAYS_MAX);
    report.within("retention.daily", settings.daily, 0..=limits::DAYS_MAX);
    report.within("retention.weekly", settings.weekly, 0..=limits::WEEKS_MAX);
    report.within("retention.monthly", settings.monthly, 0..=limits::MONTHS_MAX);
    report.within("retention.yearly", settings.yearly, 0..=limits::YEARS_MAX);
    report.within("retention.floor", settings.floor, 1..=limits::FLOOR_MAX);
    report.within("retention.on_demand_days", settings.on_demand_days, 1..=limits::DAYS_MAX);
    report.within("retention.minimum_days", settings.minimum_days, 0..=limits::DAYS_MAX);
    report.within("retention.soft_delete_days", settings.soft_delete_days, 1..=limits::SOFT_DELETE_DAYS_MAX);
    report.within("retention.review_percent", settings.review_percent, 1..=100);
}

fn objective(settings: &PolicySettings, schedules_hold: bool, report: &mut Report) {
    let Some(objective) = settings.objective_minutes else { return };
    report.within("objective_minutes", objective, 1..=limits::OBJECTIVE_MINUTES_MAX);
    if !schedules_hold || settings.schedules.is_empty() {
        return;
    }
    let longest = longest_pause_minutes(&settings.schedules);
    if longest > i64::from(objective) {
        let what = format!("{objective} is less than the {longest} minutes that the schedules leave between two points");
        report.add("objective_minutes", what);
    }
}

/// The longest time between two slots, in minutes on the wall: over four years, so that a leap day is among them.
fn longest_pause_minutes(schedules: &[Schedule]) -> i64 {
    const FOUR_YEARS_SECONDS: i64 = 1461 * 24 * 60 * 60;
    let Some(zone) = Zone::named("UTC") else { return 0 };
    let timetable = Timetable::new(zone, schedules);
    let days = timetable.after(Timestamp::UNIX_EPOCH).take_while(|slot| slot.due.as_second() < FOUR_YEARS_SECONDS);
    let mut longest = 0;
    let mut last: Option<i64> = None;
    for slot in days {
        let now = slot.due.as_second();
        longest = last.map_or(longest, |last| longest.max(now - last));
        last = Some(now);
    }
    longest / 60
}
