//! Scheduled days, and the weeks, months and years that have some.

use super::fate::RetentionRule;
use crate::schedule::{Slot, Timetable};
use crate::settings::RetentionSettings;
use jiff::Timestamp;
use jiff::civil::Date;

/// Scheduled days from the oldest point's on, as far as the rules reach from the newest point's.
#[derive(Debug)]
pub(super) struct Calendar<'a> {
    timetable: &'a Timetable,
    days: Vec<Date>,
    /// For weeks, months and years: the places in `days` where each begins.
    weeks: Vec<usize>,
    months: Vec<usize>,
    years: Vec<usize>,
}

/// A day, week, month or year with scheduled days: its place in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Period(pub(super) usize);

impl<'a> Calendar<'a> {
    /// From `first` on, with as many periods after `last` as the settings count, and one.
    pub(super) fn new(timetable: &'a Timetable, settings: &RetentionSettings, first: Date, last: Date) -> Self {
        let mut calendar = Self { timetable, days: Vec::new(), weeks: Vec::new(), months: Vec::new(), years: Vec::new() };
        let reach = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).saturating_add(2);
        let wanted = [settings.recent_days.max(settings.daily), settings.weekly, settings.monthly, settings.yearly].map(reach);
        let mut there = [0; 4];
        let mut date = Some(first);
        let mut weeks = WeekNumbers::from(first);
        let mut before: Option<(Date, i64)> = None;
        while let Some(today) = date {
            let week = weeks.next_number();
            if timetable.is_scheduled(today) {
                calendar.add(today, week, before);
                before = Some((today, week));
            }
            let counts = calendar.counts();
            if today <= last {
                there = counts;
            } else if (0..4).all(|rule| counts[rule] - there[rule] >= wanted[rule]) {
                break;
            }
            date = today.tomorrow().ok();
        }
        calendar
    }

    fn add(&mut self, day: Date, week: i64, before: Option<(Date, i64)>) {
        let place = self.days.len();
        self.days.push(day);
        if before.is_none_or(|(_, last)| last != week) {
            self.weeks.push(place);
        }
        if before.is_none_or(|(last, _)| (last.year(), last.month()) != (day.year(), day.month())) {
            self.months.push(place);
        }
        if before.is_none_or(|(last, _)| last.year() != day.year()) {
            self.years.push(place);
        }
    }

    fn counts(&self) -> [usize; 4] {
        [self.days.len(), self.weeks.len(), self.months.len(), self.years.len()]
    }

    /// How many periods of this rule there are.
    pub(super) fn len(&self, rule: RetentionRule) -> usize {
        match rule {
            RetentionRule::Recent | RetentionRule::Daily => self.days.len(),
            _ => self.begins(rule).len(),
        }
    }

    /// The period in which a slot lies. None if its day is not in the calendar.
    pub(super) fn period(&self, rule: RetentionRule, slot: Slot) -> Option<Period> {
        let day = self.days.binary_search(&slot.date).ok()?;
        match rule {
            RetentionRule::Recent | RetentionRule::Daily => Some(Period(day)),
            _ => self.begins(rule).partition_point(|begin| *begin <= day).checked_sub(1).map(Period),
        }
    }

    /// The first scheduled day of a period.
    fn first_day(&self, rule: RetentionRule, period: Period) -> Option<Date> {
        let day = match rule {
            RetentionRule::Recent | RetentionRule::Daily => period.0,
            _ => *self.begins(rule).get(period.0)?,
        };
        self.days.get(day).copied()
    }

    /// When the first slot of a period is due.
    pub(super) fn begin(&self, rule: RetentionRule, period: Period) -> Option<Timestamp> {
        let date = self.first_day(rule, period)?;
        let time = *self.timetable.times(date).first()?;
        Some(self.timetable.slot(date, time)?.due)
    }

    /// The slot of the same time of day, or the next one, so many scheduled days later.
    pub(super) fn same_time_later(&self, slot: Slot, days: u32) -> Option<Slot> {
        let Period(day) = self.period(RetentionRule::Recent, slot)?;
        let day = day.checked_add(usize::try_from(days).ok()?)?;
        let date = *self.days.get(day)?;
        let time = self.timetable.times(date).into_iter().find(|time| *time >= slot.time);
        match time {
            Some(time) => self.timetable.slot(date, time),
            None => {
                let date = *self.days.get(day + 1)?;
                self.timetable.slot(date, *self.timetable.times(date).first()?)
            }
        }
    }

    fn begins(&self, rule: RetentionRule) -> &[usize] {
        match rule {
            RetentionRule::Weekly => &self.weeks,
            RetentionRule::Monthly => &self.months,
            RetentionRule::Yearly | RetentionRule::Recent | RetentionRule::Daily => &self.years,
        }
    }
}

/// Numbers of weeks, from Monday, of one day after the other.
#[derive(Debug)]
struct WeekNumbers {
    days: i64,
}

impl WeekNumbers {
    fn from(date: Date) -> Self {
        Self { days: i64::from(date.weekday().to_monday_zero_offset()) }
    }

    fn next_number(&mut self) -> i64 {
        let number = self.days / 7;
        self.days += 1;
        number
    }
}
