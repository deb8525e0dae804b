//! The slots of all schedules of a policy.

use super::days::Days;
use super::time_of_day::TimeOfDay;
use super::zone::{Occurrence, Zone};
use crate::settings::Schedule;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

/// Days over which the next or latest slot is looked for: no kind of days leaves a month out.
const SEARCH_DAYS: usize = 70;

/// One due time of a policy's schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// When it is due.
    pub due: Timestamp,
    /// The date on the wall that the schedule means: retention counts these.
    pub date: Date,
    /// The time on the wall that the schedule means. `due` shows another where the day does not have it.
    pub time: TimeOfDay,
}

/// Schedules in a zone, ready to be asked for slots.
#[derive(Debug, Clone)]
pub(crate) struct Timetable {
    zone: Zone,
    lines: Vec<(Days, Vec<TimeOfDay>)>,
}

impl Timetable {
    /// Of these schedules; of a slot each midnight where there are none.
    pub(crate) fn new(zone: Zone, schedules: &[Schedule]) -> Self {
        let lines = schedules.iter().map(|schedule| (schedule.days.clone(), schedule.times.list())).collect();
        Self { zone, lines }
    }

    /// The same zone with a slot each midnight: by it retention counts where nothing is scheduled.
    pub(crate) fn calendar(zone: Zone) -> Self {
        Self { zone, lines: vec![(Days::Daily, vec![TimeOfDay::START])] }
    }

    /// The zone.
    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether nothing is ever due.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a schedule runs on this date.
    pub(crate) fn is_scheduled(&self, date: Date) -> bool {
        self.lines.iter().any(|(days, _)| days.contains(date))
    }

    /// Times on the wall at which something is due on this date, in order, each once.
    pub(crate) fn times(&self, date: Date) -> Vec<TimeOfDay> {
        let mut lines = self.lines.iter().filter(|(days, _)| days.contains(date));
        let mut times = lines.next().map(|(_, times)| times.clone()).unwrap_or_default();
        let first = times.len();
        lines.for_each(|(_, more)| times.extend(more));
        if times.len() > first {
            times.sort_unstable();
            times.dedup();
        }
        times
    }

    /// The slot of this date and time on the wall. None at the end of time.
    pub(crate) fn slot(&self, date: Date, time: TimeOfDay) -> Option<Slot> {
        Some(Slot { due: self.zone.instant(time.on(date)?, Occurrence::First)?, date, time })
    }

    /// The slots that are meant for this date, in order, each instant once.
    fn slots_of(&self, date: Date) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.times(date).into_iter().filter_map(|time| self.slot(date, time)).collect();
        slots.dedup_by_key(|slot| slot.due);
        slots
    }

    /// The first slot due after an instant. None if nothing is scheduled, or at the end of time.
    pub(crate) fn next_after(&self, instant: Timestamp) -> Option<Slot> {
        self.after(instant).next()
    }

    /// Slots due after an instant, in order.
    pub(crate) fn after(&self, instant: Timestamp) -> SlotsAfter<'_> {
        // A slot meant for an earlier date can be due today: in a zone that left a whole day out, two days earlier.
        let today = self.zone.date(instant);
        let from = today.checked_sub(2.days()).unwrap_or(today);
        SlotsAfter { timetable: self, date: Some(from), ready: Vec::new().into_iter(), after: instant }
    }
}

/// Slots after an instant; see [`Timetable::after`].
#[derive(Debug)]
pub(crate) struct SlotsAfter<'a> {
    timetable: &'a Timetable,
    date: Option<Date>,
    ready: std::vec::IntoIter<Slot>,
    after: Timestamp,
}

impl Iterator for SlotsAfter<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        for _ in 0..SEARCH_DAYS {
            let after = self.after;
            if let Some(slot) = self.ready.find(|slot| slot.due > after) {
                self.after = slot.due;
                return Some(slot);
            }
            let date = self.date?;
            self.date = date.tomorrow().ok();
            self.ready = self.timetable.slots_of(date).into_iter();
        }
        None
    }
}

/// Looks for the latest slot at or before instants, quickly if they are asked for in order.
#[derive(Debug)]
pub(crate) struct SlotCursor<'a> {
    timetable: &'a Timetable,
    days: Vec<(Date, Vec<Slot>)>,
}

impl<'a> SlotCursor<'a> {
    /// Over a timetable.
    pub(crate) fn new(timetable: &'a Timetable) -> Self {
        Self { timetable, days: Vec::new() }
    }

    /// The latest slot due at or before an instant. None if nothing is scheduled, or at the beginning of time.
    pub(crate) fn latest(&mut self, instant: Timestamp) -> Option<Slot> {
        // Where the clock is put back over midnight, tomorrow's first times were shown already.
        let today = self.timetable.zone.date(instant);
        let mut date = today.tomorrow().unwrap_or(today);
        for _ in 0..SEARCH_DAYS {
            let slots = self.slots_of(date);
            let due = slots.partition_point(|slot| slot.due <= instant);
            if due > 0 {
                return slots.get(due - 1).copied();
            }
            date = date.yesterday().ok()?;
        }
        None
    }

    fn slots_of(&mut self, date: Date) -> &[Slot] {
        const DAYS_KEPT: usize = 4;
        let found = self.days.iter().position(|(day, _)| *day == date);
        let place = found.unwrap_or_else(|| {
            if self.days.len() == DAYS_KEPT {
                self.days.remove(0);
            }
            self.days.push((date, self.timetable.slots_of(date)));
            self.days.len() - 1
        });
        &self.days[place].1
    }
}
