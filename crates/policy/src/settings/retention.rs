//! How long points live.

use serde::{Deserialize, Serialize};

/// Retention by slots. A point lives as long as the longest of what applies to it; 0 switches a count off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// Every scheduled point is kept until so many further scheduled days have come to its time of day. At least 1.
    pub recent_days: u32,
    /// So many scheduled days keep their first point.
    pub daily: u32,
    /// So many weeks (from Monday) with scheduled days keep their first point.
    pub weekly: u32,
    /// So many months with scheduled days keep their first point.
    pub monthly: u32,
    /// So many years with scheduled days keep their first point.
    pub yearly: u32,
    /// So many newest points never expire: counted among scheduled points, and once more among all. At least 1.
    pub floor: u32,
    /// On-demand points, and points that are not whole, are kept for so many days. At least 1.
    pub on_demand_days: u32,
    /// Nothing expires that has been in this vault for fewer days.
    pub minimum_days: u32,
    /// Expired points can be brought back for so many days, then they are purged. At least 1.
    pub soft_delete_days: u32,
    /// A plan that would expire more than so many percent of an item's points at once waits for a person. 1 to 100.
    pub review_percent: u32,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            recent_days: 2,
            daily: 14,
            weekly: 8,
            monthly: 12,
            yearly: 0,
            floor: 3,
            on_demand_days: 30,
            minimum_days: 1,
            soft_delete_days: 14,
            review_percent: 25,
        }
    }
}
