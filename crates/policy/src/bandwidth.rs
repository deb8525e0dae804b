//! How fast a run may send at an instant.

use crate::policy::Policy;
use crate::schedule::WindowState;
use jiff::Timestamp;

/// A limit, and until when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bytes per second of all the item's runs together. None: no limit.
    pub bytes_per_second: Option<u64>,
    /// Ask again then. None: it does not change.
    pub until: Option<Timestamp>,
}

impl Policy {
    /// How fast runs may send at an instant.
    #[must_use]
    pub fn bandwidth(&self, at: Timestamp) -> Bandwidth {
        let settings = &self.settings().bandwidth;
        if settings.office_hours.is_empty() {
            return Bandwidth { bytes_per_second: settings.outside_bytes_per_second, until: None };
        }
        match self.office_hours().state(at) {
            WindowState::Always => Bandwidth { bytes_per_second: settings.inside_bytes_per_second, until: None },
            WindowState::Open { until, .. } => {
                Bandwidth { bytes_per_second: settings.inside_bytes_per_second, until: Some(until) }
            }
            WindowState::Closed { opens, .. } => {
                Bandwidth { bytes_per_second: settings.outside_bytes_per_second, until: Some(opens) }
            }
        }
    }
}
