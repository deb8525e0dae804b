//! What an administrator writes: the settings of a policy, as JSON or TOML.
//!
//! Data only, and not yet checked: a [`crate::Policy`] is made of it by checking everything. Unknown fields are refused, so that a
//! misspelt limit is not silently no limit.

mod check;
mod hooks;
mod impact;
mod retention;

pub use hooks::{Hook, HookFailure, HookSettings};
pub use impact::{ImpactLevel, ImpactSettings, OnBattery};
pub use retention::RetentionSettings;

pub(crate) use check::problems;

use crate::limits;
use crate::schedule::{Days, TimeWindow, Times};
use serde::{Deserialize, Serialize};

/// Settings of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// [`limits::SCHEMA`].
    pub schema: String,
    /// What people call the policy.
    pub name: String,
    /// The time zone in which all its times are meant, such as `Europe/Berlin` or `UTC`.
    pub time_zone: String,
    /// How old, in minutes, the newest whole point may be before the item counts as overdue. None: never overdue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective_minutes: Option<u32>,
    /// Minutes over which starts are spread, so that not all agents start at once; never past a window or the next slot.
    #[serde(default = "spread_minutes")]
    pub spread_minutes: u32,
    /// When points are made. None: on demand only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// When runs may run.
    #[serde(default)]
    pub windows: WindowSettings,
    /// How fast runs may send.
    #[serde(default)]
    pub bandwidth: BandwidthSettings,
    /// How much runs take of the machine on which they run.
    #[serde(default, skip_serializing_if = "ImpactSettings::is_default")]
    pub impact: ImpactSettings,
    /// What happens after a run has failed.
    #[serde(default)]
    pub retries: RetrySettings,
    /// Commands around a run.
    #[serde(default)]
    pub hooks: HookSettings,
    /// How long points live.
    #[serde(default)]
    pub retention: RetentionSettings,
}

impl PolicySettings {
    /// Settings of this name and zone with every default: nothing scheduled yet.
    #[must_use]
    pub fn new(name: impl Into<String>, time_zone: impl Into<String>) -> Self {
        Self {
            schema: limits::SCHEMA.to_owned(),
            name: name.into(),
            time_zone: time_zone.into(),
            objective_minutes: None,
            spread_minutes: spread_minutes(),
            schedules: Vec::new(),
            windows: WindowSettings::default(),
            bandwidth: BandwidthSettings::default(),
            impact: ImpactSettings::default(),
            retries: RetrySettings::default(),
            hooks: HookSettings::default(),
            retention: RetentionSettings::default(),
        }
    }
}

/// Days and times at which points are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// On which days.
    pub days: Days,
    /// At which times of these days.
    pub times: Times,
}

/// When runs may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSettings {
    /// A run that is due outside these waits for the next one. None: at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<TimeWindow>,
    /// What happens to a run that is not done when its window closes.
    #[serde(default)]
    pub at_end: WindowEnd,
}

/// What happens to a run that is not done when its window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowEnd {
    /// It is finished.
    #[default]
    Finish,
    /// It is stopped, and goes on in the next window where it was.
    Stop,
}

/// How fast runs may send.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandwidthSettings {
    /// When people work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub office_hours: Vec<TimeWindow>,
    /// Bytes per second inside office hours. None: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside_bytes_per_second: Option<u64>,
    /// Bytes per second outside office hours, or always where there are none. None: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_bytes_per_second: Option<u64>,
}

/// What happens after a run has failed. Each wait is twice the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySettings {
    /// How often a run is tried again before its slot is given up.
    pub count: u32,
    /// Minutes before the first retry.
    pub wait_minutes: u32,
    /// No wait is longer than so many minutes.
    pub wait_minutes_max: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { count: 3, wait_minutes: 5, wait_minutes_max: 60 }
    }
}

fn spread_minutes() -> u32 {
    10
}
