//! A policy: settings that were checked, ready to be asked.

use crate::error::{PolicyError, Result};
use crate::limits;
use crate::schedule::{Slot, SlotCursor, Timetable, WindowState, Windows, Zone};
use crate::settings::{PolicySettings, problems};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Schedule, windows, bandwidth, retention and the rest for items; see [`PolicySettings`] for what can be said.
///
/// As JSON or TOML it is its settings. What is read is checked: there is no policy that does not hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "PolicySettings", into = "PolicySettings")]
pub struct Policy {
    settings: PolicySettings,
    timetable: Timetable,
    counted: Timetable,
    windows: Windows,
    office_hours: Windows,
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Policy {}

impl Policy {
    /// Checks settings. The error names everything that is wrong with them.
    pub fn new(settings: PolicySettings) -> Result<Self> {
        let problems = problems(&settings);
        let zone = match Zone::named(&settings.time_zone) {
            Some(zone) if problems.is_empty() => zone,
            _ => return Err(PolicyError::Settings(problems)),
        };
        let timetable = Timetable::new(zone.clone(), &settings.schedules);
        let counted = if timetable.is_empty() { Timetable::calendar(zone.clone()) } else { timetable.clone() };
        let windows = Windows::new(zone.clone(), &settings.windows.open);
        let office_hours = Windows::new(zone, &settings.bandwidth.office_hours);
        Ok(Self { settings, timetable, counted, windows, office_hours })
    }

    /// Reads a policy as JSON.
    pub fn from_json(text: &str) -> Result<Self> {
        bounded(text)?;
        let schema: SchemaOnly = serde_json::from_str(text).map_err(PolicyError::Json)?;
        schema.check()?;
        Self::new(serde_json::from_str(text).map_err(PolicyError::Json)?)
    }

    /// Reads a policy as TOML.
    pub fn from_toml(text: &str) -> Result<Self> {
        bounded(text)?;
        let schema: SchemaOnly = toml::from_str(text).map_err(PolicyError::Toml)?;
        schema.check()?;
        Self::new(toml::from_str(text).map_err(PolicyError::Toml)?)
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &PolicySettings {
        &self.settings
    }

    /// The first slot due after an instant. None if nothing is scheduled.
    #[must_use]
    pub fn next_slot(&self, after: Timestamp) -> Option<Slot> {
        self.timetable.next_after(after)
    }

    /// The latest slot due at or before an instant. None if nothing is scheduled.
    #[must_use]
    pub fn latest_slot(&self, at: Timestamp) -> Option<Slot> {
        SlotCursor::new(&self.timetable).latest(at)
    }

    /// Slots due after `after` and not after `until`, in order. Take as many as you need: nothing is worked out before it is asked
    /// for.
    pub fn slots_between(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Slot> + '_ {
        self.timetable.after(after).take_while(move |slot| slot.due <= until)
    }

    /// Whether runs may run at an instant.
    #[must_use]
    pub fn window_state(&self, at: Timestamp) -> WindowState {
        self.windows.state(at)
    }

    pub(crate) fn timetable(&self) -> &Timetable {
        &self.timetable
    }

    /// The slots that retention counts: those of the schedules, or each midnight where there are none.
    pub(crate) fn counted(&self) -> &Timetable {
        &self.counted
    }

    pub(crate) fn office_hours(&self) -> &Windows {
        &self.office_hours
    }
}

impl TryFrom<PolicySettings> for Policy {
    type Error = PolicyError;

    fn try_from(settings: PolicySettings) -> Result<Self> {
        Self::new(settings)
    }
}

impl From<Policy> for PolicySettings {
    fn from(policy: Policy) -> Self {
        policy.settings
    }
}

/// Read first, so that a policy of another schema says so and does not complain about fields.
#[derive(Deserialize)]
struct SchemaOnly {
    schema: String,
}

impl SchemaOnly {
    fn check(self) -> Result<()> {
        if self.schema == limits::SCHEMA {
            return Ok(());
        }
        Err(PolicyError::Schema { found: self.schema.chars().take(limits::NAME_BYTES_MAX).collect() })
    }
}

fn bounded(text: &str) -> Result<()> {
    if text.len() > limits::POLICY_BYTES_MAX {
        return Err(PolicyError::TooLong { bytes: text.len() });
    }
    Ok(())
}
