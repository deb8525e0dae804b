//! The rules of protection: when an item is backed up, how long its points live, and what the clock is that decides it.
//!
//! A [`Policy`] is settings that were checked; everything else is a question to it: which slot is due ([`Policy::slots_between`]),
//! what an agent does now ([`Policy::next_step`]), which points expire and why ([`Policy::plan_retention`]), what a year will look
//! like ([`Policy::preview`]). The [`HighWaterClock`] is the clock on which the service expires points.
//!
//! Invariant: every answer follows from the arguments alone. There is no input or output here, no clock and no randomness:
//! instants, item seeds and elapsed times are arguments, and the rules of time zones are compiled in. The service and its agents
//! therefore come to the same answers. `docs/policies.md` says the same in the words of administrators.
//!
//! It is not the scheduler and not the executor: nothing here waits, starts or deletes.

#![forbid(unsafe_code)]

mod bandwidth;
mod error;
mod high_water;
pub mod limits;
mod objective;
mod policy;
mod preview;
mod retention;
mod run;
mod schedule;
mod settings;
mod weakening;

pub use bandwidth::Bandwidth;
pub use error::{Kind, PolicyError, Problem, Result};
pub use high_water::{ClockState, HighWaterClock};
pub use jiff::Timestamp;
pub use jiff::civil::Date;
pub use objective::PointAge;
pub use policy::Policy;
pub use preview::{Preview, PreviewEntry, PreviewOptions};
pub use retention::{Claim, Completeness, Expiry, Fate, Origin, Reason, RetentionPlan, RetentionPoint, RetentionRule, Review};
pub use run::{FailedRun, ItemRuns, Running, Step};
pub use schedule::{Days, ItemSeed, Slot, TimeOfDay, TimeWindow, Times, Week, Weekday, WindowState};
pub use settings::{
    BandwidthSettings, Hook, HookFailure, HookSettings, ImpactLevel, ImpactSettings, OnBattery, PolicySettings,
    RetentionSettings, RetrySettings, Schedule, WindowEnd, WindowSettings,
};
pub use weakening::Weakening;
