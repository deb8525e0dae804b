//! Policies, points and times of tests.

use format::{DomainId, ItemName, PointId, Sequence};
use policy::{
    Completeness, Days, ItemSeed, Origin, Policy, PolicySettings, RetentionPoint, RetentionSettings, Schedule, TimeOfDay,
    TimeWindow, Times, Timestamp, Weekday,
};

/// An instant from its RFC 3339 text.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A time of day.
pub(crate) fn time(text: &str) -> TimeOfDay {
    text.parse().unwrap()
}

/// Every day at these times.
pub(crate) fn daily_at(times: &[&str]) -> Schedule {
    Schedule { days: Days::Daily, times: Times::At(times.iter().map(|text| time(text)).collect()) }
}

/// Every day, every so many minutes.
pub(crate) fn every(minutes: u16) -> Schedule {
    Schedule { days: Days::Daily, times: Times::Every { minutes, from: TimeOfDay::START, until: TimeOfDay::END } }
}

/// A window.
pub(crate) fn window(weekdays: &[Weekday], from: &str, until: &str) -> TimeWindow {
    TimeWindow { weekdays: weekdays.to_vec(), from: time(from), until: time(until) }
}

/// Settings with this zone and schedule, and nothing that spreads starts.
pub(crate) fn settings(zone: &str, schedules: Vec<Schedule>) -> PolicySettings {
    PolicySettings { schedules, spread_minutes: 0, ..PolicySettings::new("test", zone) }
}

/// A policy with this zone and schedule.
pub(crate) fn policy(zone: &str, schedules: Vec<Schedule>) -> Policy {
    Policy::new(settings(zone, schedules)).unwrap()
}

/// Retention that keeps as little as can be.
pub(crate) fn bare_retention() -> RetentionSettings {
    RetentionSettings {
        recent_days: 1,
        daily: 0,
        weekly: 0,
        monthly: 0,
        yearly: 0,
        floor: 1,
        on_demand_days: 1,
        minimum_days: 0,
        soft_delete_days: 1,
        review_percent: 100,
    }
}

/// A policy that is due every night at 22:00 in UTC, with this retention.
pub(crate) fn nightly(retention: RetentionSettings) -> Policy {
    Policy::new(PolicySettings { retention, ..settings("UTC", vec![daily_at(&["22:00"])]) }).unwrap()
}

/// A clean scheduled point.
pub(crate) fn point(sequence: u64, made: Timestamp) -> RetentionPoint {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&sequence.to_be_bytes());
    RetentionPoint {
        id: PointId(id),
        sequence: Sequence(sequence),
        place_ms: made.as_millisecond(),
        received_ms: made.as_millisecond(),
        origin: Origin::Scheduled,
        completeness: Completeness::Clean,
    }
}

/// A clean on-demand point.
pub(crate) fn on_demand(sequence: u64, made: Timestamp) -> RetentionPoint {
    RetentionPoint { origin: Origin::OnDemand, ..point(sequence, made) }
}

/// Points of every slot after `after` and not after `until`, numbered from 1.
pub(crate) fn points_of(policy: &Policy, after: Timestamp, until: Timestamp) -> Vec<RetentionPoint> {
    let slots = policy.slots_between(after, until).zip(1..);
    slots.map(|(slot, sequence)| point(sequence, slot.due)).collect()
}

/// Numbers of the points that stay at `now`.
pub(crate) fn kept(policy: &Policy, points: &[RetentionPoint], now: Timestamp) -> Vec<u64> {
    let plan = policy.plan_retention(points, now).unwrap();
    plan.kept().map(|fate| number(fate.id)).collect()
}

/// The number of a point of a test.
pub(crate) fn number(id: PointId) -> u64 {
    u64::from_be_bytes(*id.as_bytes().first_chunk().unwrap())
}

/// The seed of the item `files-<number>`.
pub(crate) fn seed(number: usize) -> ItemSeed {
    ItemSeed::of(DomainId([7; 16]), &ItemName::new(&format!("files-{number}")).unwrap())
}
