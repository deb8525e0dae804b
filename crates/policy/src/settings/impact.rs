//! How much runs take of the machine on which they run.
//!
//! Data only. A policy lowers what the machine's own administrator gave the agent, and never raises it.

use serde::{Deserialize, Serialize};

/// How much runs take of the machine on which they run. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImpactSettings {
    /// Where runs stand among those who want the processor.
    #[serde(default)]
    pub processor: ImpactLevel,
    /// Where runs stand among those who want the disk.
    #[serde(default)]
    pub disk: ImpactLevel,
    /// Reads per second from what is backed up, of each run. None: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads_per_second: Option<u32>,
    /// What runs do while the machine is on battery.
    #[serde(default)]
    pub on_battery: OnBattery,
}

impl ImpactSettings {
    /// Whether it changes nothing. Then nothing is said of it: programs that know no such section go on reading such policies.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where runs stand among those who want something of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImpactLevel {
    /// Where the agent was put when it was started.
    #[default]
    Normal,
    /// Behind others.
    Low,
    /// They have what nobody else wants.
    Idle,
}

/// What runs do while the machine is on battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBattery {
    /// They run.
    #[default]
    Run,
    /// They read nothing, and go on when the machine is on mains again.
    Pause,
}
