//! The plan: what expires now. Nothing is deleted here; whoever executes the plan does that.

use super::calendar::{Calendar, Period};
use super::fate::{Claim, Expiry, Fate, Reason, RetentionRule};
use super::point::{Origin, RetentionPoint};
use crate::error::{PolicyError, Result};
use crate::limits;
use crate::policy::Policy;
use crate::schedule::{Slot, SlotCursor};
use crate::settings::RetentionSettings;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Rules that keep the first point of a period.
const FIRST_OF: [RetentionRule; 4] = [RetentionRule::Daily, RetentionRule::Weekly, RetentionRule::Monthly, RetentionRule::Yearly];

/// What becomes of an item's points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPlan {
    /// The fate of every point, in the order of the chain.
    pub fates: Vec<Fate>,
    /// Why a person has to look before this is executed. None: nobody has to.
    pub review: Option<Review>,
}

/// A plan that expires so much that a person has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Review {
    /// How many points would expire now.
    pub expiring: usize,
    /// Of how many.
    pub points: usize,
    /// What share, in percent, the policy allows without a person.
    pub percent_allowed: u32,
}

impl RetentionPlan {
    /// The points that expire now.
    pub fn expiring(&self) -> impl Iterator<Item = &Fate> {
        self.fates.iter().filter(|fate| fate.expired)
    }

    /// The points that stay.
    pub fn kept(&self) -> impl Iterator<Item = &Fate> {
        self.fates.iter().filter(|fate| !fate.expired)
    }
}

impl Policy {
    /// What becomes of an item's committed points at `now` by the high-water clock. The points may come in any order.
    ///
    /// The same points and the same `now` give the same plan, and after a plan was executed another at the same `now` expires
    /// nothing.
    pub fn plan_retention(&self, points: &[RetentionPoint], now: Timestamp) -> Result<RetentionPlan> {
        let fates = fates(self, &in_chain_order(points)?, now, now);
        let review = self.review(fates.iter().filter(|fate| fate.expired).count(), fates.len());
        Ok(RetentionPlan { fates, review })
    }

    /// Whether a person has to look before so many of so many points expire: whoever keeps some of a plan's points asks again.
    #[must_use]
    pub fn review(&self, expiring: usize, points: usize) -> Option<Review> {
        let percent_allowed = self.settings().retention.review_percent;
        let allowed = usize::try_from(percent_allowed).unwrap_or(0).saturating_mul(points);
        let too_many = expiring > limits::REVIEW_POINTS_FREE && expiring.saturating_mul(100) > allowed;
        too_many.then_some(Review { expiring, points, percent_allowed })
    }

    /// When a point that was soft-deleted at `deleted` is purged.
    #[must_use]
    pub fn purge_at(&self, deleted: Timestamp) -> Timestamp {
        days_later(self, deleted, self.settings().retention.soft_delete_days)
    }
}

/// The fates of points in the order of their chain. Places up to `latest` are believed: now, or the end of a preview.
pub(crate) fn fates(policy: &Policy, points: &[RetentionPoint], now: Timestamp, latest: Timestamp) -> Vec<Fate> {
    let made = Made::of_all(points, latest);
    let slots = slots_at(policy, points.iter().map(|point| point.place(latest)));
    let recent_slots = slots_at(policy, made.iter().map(|made| made.place));
    let dates = || slots.iter().chain(&recent_slots).map(|slot| slot.date);
    let (Some(first), Some(last)) = (dates().min(), dates().max()) else { return Vec::new() };
    let calendar = Calendar::new(policy.counted(), &policy.settings().retention, first, last);
    let settings = &policy.settings().retention;
    let mut claims: Vec<Vec<Claim>> = vec![Vec::new(); points.len()];
    let doubtful = doubtful(points, latest);
    let arrivals = Arrivals::new(points, &slots, &made, &doubtful);
    let scheduled =
        Scheduled { policy, settings, calendar: &calendar, points, slots: &slots, doubtful: &doubtful, arrivals, now };
    scheduled.claim_recent(&recent_slots, &mut claims);
    FIRST_OF.into_iter().for_each(|rule| scheduled.claim_first_of(rule, &mut claims));
    claim_by_age(policy, points, &made, &mut claims);
    claim_newest(settings, points, &made, &mut claims);
    let fate = |(point, claims): (&RetentionPoint, Vec<Claim>)| fate(point, claims, now);
    points.iter().zip(claims).map(fate).collect()
}

/// Sorted, or an error if there are too many or two have the same place in the chain.
pub(crate) fn in_chain_order(points: &[RetentionPoint]) -> Result<Vec<RetentionPoint>> {
    if points.len() > limits::POINTS_MAX {
        return Err(PolicyError::TooManyPoints { points: points.len() });
    }
    let mut points = points.to_vec();
    points.sort_unstable_by_key(|point| point.sequence);
    let same = points.windows(2).find(|pair| pair[0].sequence == pair[1].sequence);
    match same {
        Some(pair) => Err(PolicyError::SameSequence { sequence: pair[0].sequence.0 }),
        None => Ok(points),
    }
}

/// When a point was made at the earliest: not before any point before it in the chain, whatever the clock showed meanwhile. What
/// counts from here is never cut short by a clock that was behind.
struct Made {
    place: Timestamp,
    received: Timestamp,
}

impl Made {
    fn of_all(points: &[RetentionPoint], latest: Timestamp) -> Vec<Self> {
        let mut newest = Timestamp::MIN;
        let made = |point: &RetentionPoint| {
            // A clock that was ahead says nothing about the points after it.
            if !point.is_ahead(latest) {
                newest = newest.max(point.place(latest));
            }
            Self { place: point.place(latest).max(newest), received: point.received(latest).max(newest) }
        };
        points.iter().map(made).collect()
    }
}

/// Which points that count were stamped by a clock that was ahead: in the future, or behind one that came after them and fits those
/// before them. They take nothing from others.
fn doubtful(points: &[RetentionPoint], latest: Timestamp) -> Vec<bool> {
    let mut later: BTreeMap<Timestamp, usize> = BTreeMap::new();
    for point in points.iter().filter(|point| point.counts() && !point.is_ahead(latest)) {
        *later.entry(point.place(latest)).or_default() += 1;
    }
    let mut newest = Timestamp::MIN;
    let mut is_doubtful = |point: &RetentionPoint| {
        if point.is_ahead(latest) || !point.counts() {
            return point.is_ahead(latest);
        }
        let place = point.place(latest);
        if let Entry::Occupied(mut count) = later.entry(place) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        let overtaken = later.range(newest..).next().is_some_and(|(fits, _)| *fits < place);
        if !overtaken {
            newest = newest.max(place);
        }
        overtaken
    };
    points.iter().map(&mut is_doubtful).collect()
}

/// The slots of places: the latest one due at each. A run starts after its slot is due, and a missed one is caught up before the
/// next.
fn slots_at(policy: &Policy, places: impl Iterator<Item = Timestamp>) -> Vec<Slot> {
    let timetable = policy.counted();
    let mut cursor = SlotCursor::new(timetable);
    let slot = |place: Timestamp| {
        let beginning_of_time = Slot { due: place, date: timetable.zone().date(place), time: crate::TimeOfDay::START };
        cursor.latest(place).unwrap_or(beginning_of_time)
    };
    places.map(slot).collect()
}

/// Claims of scheduled points.
struct Scheduled<'a> {
    policy: &'a Policy,
    settings: &'a RetentionSettings,
    calendar: &'a Calendar<'a>,
    points: &'a [RetentionPoint],
    slots: &'a [Slot],
    doubtful: &'a [bool],
    arrivals: Arrivals,
    now: Timestamp,
}

impl Scheduled<'_> {
    fn counted(&self) -> impl Iterator<Item = (usize, Slot)> + '_ {
        let each = self.points.iter().zip(self.slots).enumerate();
        each.filter(|(_, (point, _))| point.counts()).map(|(place, (_, slot))| (place, *slot))
    }

    /// Every scheduled point, until the slot of the same time so many days later.
    fn claim_recent(&self, slots: &[Slot], claims: &mut [Vec<Claim>]) {
        let rule = RetentionRule::Recent;
        for (place, _) in self.counted() {
            let slot = slots[place];
            let begin = self.calendar.same_time_later(slot, self.settings.recent_days).map_or(Timestamp::MAX, |slot| slot.due);
            let end = || self.policy.counted().next_after(begin).map(|slot| slot.due);
            claims[place].push(self.claim(rule, slot.date, begin, end));
        }
    }

    /// The first point of each period, until so many periods later. One whose stamp is doubtful stands for a period beside the first
    /// of which that is not so, never instead: a point of the future would come first in every period from now on.
    fn claim_first_of(&self, rule: RetentionRule, claims: &mut [Vec<Claim>]) {
        let count = self.count(rule);
        if count == 0 {
            return;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (mut taken, mut doubted) = (vec![false; self.calendar.len(rule)], vec![false; self.calendar.len(rule)]);
        for (place, slot) in self.counted() {
            let Some(period) = self.calendar.period(rule, slot).filter(|period| !taken[period.0]) else { continue };
            let stands = if self.doubtful[place] { &mut doubted } else { &mut taken };
            if std::mem::replace(&mut stands[period.0], true) {
                continue;
            }
            let successor = Period(period.0.saturating_add(count));
            let begin = self.calendar.begin(rule, successor).unwrap_or(Timestamp::MAX);
            let end = || self.calendar.begin(rule, Period(successor.0.saturating_add(1)));
            claims[place].push(self.claim(rule, slot.date, begin, end));
        }
    }

    fn count(&self, rule: RetentionRule) -> u32 {
        match rule {
            RetentionRule::Recent => self.settings.recent_days,
            RetentionRule::Daily => self.settings.daily,
            RetentionRule::Weekly => self.settings.weekly,
            RetentionRule::Monthly => self.settings.monthly,
            RetentionRule::Yearly => self.settings.yearly,
        }
    }

    /// A claim that ends when the slot that takes the point's place has come (`begin`) and has its point. Until it has one, or is
    /// over (`end`), the point stays overtime: a late or failed run leaves no slot too few.
    fn claim(&self, rule: RetentionRule, date: Date, begin: Timestamp, end: impl Fn() -> Option<Timestamp>) -> Claim {
        let end = || end().unwrap_or(Timestamp::MAX);
        let until = match self.arrivals.first_from(begin) {
            Some(made) if made <= begin => begin,
            Some(made) => made.min(end()),
            None if begin > self.now => begin,
            None => end(),
        };
        let overtime = begin <= self.now && self.now < until;
        Claim { reason: Reason::Slot { rule, date, count: self.count(rule), overtime }, until: Some(until) }
    }
}

/// When points of slots were made.
struct Arrivals {
    /// Slots in order, each with the earliest time at which its point or one of a later slot was made.
    earliest: Vec<(Timestamp, Timestamp)>,
}

impl Arrivals {
    fn new(points: &[RetentionPoint], slots: &[Slot], made: &[Made], doubtful: &[bool]) -> Self {
        let counted = (0..points.len()).filter(|place| points[*place].counts() && !doubtful[*place]);
        let mut earliest: Vec<_> = counted.map(|place| (slots[place].due, made[place].received)).collect();
        earliest.sort_unstable();
        let mut so_far = Timestamp::MAX;
        for (_, made) in earliest.iter_mut().rev() {
            so_far = so_far.min(*made);
            *made = so_far;
        }
        Self { earliest }
    }

    /// When the first point of a slot due at `begin` or later was made.
    fn first_from(&self, begin: Timestamp) -> Option<Timestamp> {
        let place = self.earliest.partition_point(|(due, _)| *due < begin);
        self.earliest.get(place).map(|(_, made)| *made)
    }
}

fn claim_by_age(policy: &Policy, points: &[RetentionPoint], made: &[Made], claims: &mut [Vec<Claim>]) {
    let settings = &policy.settings().retention;
    for ((point, made), claims) in points.iter().zip(made).zip(claims) {
        let received = made.received;
        let mut claim = |reason, days| claims.push(Claim { reason, until: Some(days_later(policy, received, days)) });
        let days = settings.on_demand_days;
        if !point.is_whole() {
            claim(Reason::Incomplete { days }, days);
        } else if point.origin == Origin::OnDemand {
            claim(Reason::OnDemand { days }, days);
        }
        let days = settings.minimum_days;
        if days > 0 {
            claim(Reason::Minimum { days }, days);
        }
    }
}

/// The floor, counted among scheduled points and once more among all: on-demand points never push a scheduled one out, and the
/// newest state of all never goes. What is not whole stays until something newer is.
fn claim_newest(settings: &RetentionSettings, points: &[RetentionPoint], made: &[Made], claims: &mut [Vec<Claim>]) {
    let count = usize::try_from(settings.floor).unwrap_or(usize::MAX);
    // When points became whole or counted, from the newest backwards.
    let (mut whole, mut counted): (Vec<Timestamp>, Vec<Timestamp>) = (Vec::new(), Vec::new());
    for ((point, made), claims) in points.iter().zip(made).zip(claims).rev() {
        let reason = Reason::Floor { points: settings.floor };
        if !point.is_whole() {
            claims.push(Claim { reason: Reason::NothingNewer, until: whole.last().copied() });
            continue;
        }
        let newer = if point.counts() { &counted } else { &whole };
        // Leaves the floor when the last of so many newer ones is made.
        let until = newer.len().checked_sub(count).and_then(|place| newer.get(place)).copied();
        claims.push(Claim { reason, until });
        if point.origin == Origin::Held {
            continue;
        }
        whole.push(made.received);
        if point.counts() {
            counted.push(made.received);
        }
    }
}

fn fate(point: &RetentionPoint, mut claims: Vec<Claim>, now: Timestamp) -> Fate {
    // Without an end comes first.
    claims.sort_by_key(|claim| std::cmp::Reverse(claim.until.unwrap_or(Timestamp::MAX)));
    let not_before = claims.iter().filter_map(|claim| claim.until).max().unwrap_or(Timestamp::MIN);
    let open = claims.iter().find(|claim| claim.until.is_none()).map(|claim| claim.reason);
    let expiry = match open {
        None => Expiry::At(not_before),
        Some(Reason::Floor { points }) => Expiry::WhileNewest { points, not_before },
        Some(_) => Expiry::WhileNothingNewer { not_before },
    };
    let expired = matches!(expiry, Expiry::At(at) if at <= now);
    if expired {
        claims.truncate(1);
    } else {
        claims.retain(|claim| claim.until.is_none_or(|until| until > now));
    }
    Fate { id: point.id, expiry, expired, claims }
}

/// The same time on the wall so many days later.
fn days_later(policy: &Policy, from: Timestamp, days: u32) -> Timestamp {
    let zone = policy.counted().zone();
    let later = zone.wall(from).checked_add(i64::from(days).days()).ok();
    later.and_then(|wall| zone.instant(wall, crate::schedule::Occurrence::First)).unwrap_or(Timestamp::MAX)
}
