//! A disk that does not take what has to be kept: that is told, and nothing is started for a while.

use super::Duty;
use crate::error::{AgentError, Result};
use crate::limits::LOOK_EVERY;
use crate::trouble::{Trouble, TroubleKind};
use std::time::{Duration, Instant};

/// What the disk did not take is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// The disk takes nothing.
#[derive(Debug)]
pub(super) struct FullDisk {
    pub(super) since: Instant,
    /// Nothing is written before this.
    again: Instant,
    /// What was not taken last.
    pub(super) error: AgentError,
}

impl Duty {
    /// Whether the disk took it. If not, that is told once, and nothing is started for a while.
    pub(super) fn is_kept<T>(&mut self, kept: Result<T>) -> bool {
        match kept {
            Ok(_) => self.disk = None,
            Err(error) => {
                self.disk_failed(error);
                return false;
            }
        }
        true
    }

    pub(super) fn disk_failed(&mut self, error: AgentError) {
        let trouble = Trouble::new(TroubleKind::Failed, "cannot keep state").because(&error);
        tracing::error!("{}{}", trouble.message(), error.hint().map(|hint| format!(": {hint}")).unwrap_or_default());
        let now = Instant::now();
        let since = self.disk.as_ref().map_or(now, |full| full.since);
        self.disk = Some(FullDisk { since, again: now + AGAIN, error });
    }

    pub(super) fn may_write(&self) -> bool {
        self.disk.as_ref().is_none_or(|full| Instant::now() >= full.again)
    }

    /// How long nothing is written, if there is something to wait for.
    pub(super) fn disk_rests(&self) -> Duration {
        let rests = self.disk.as_ref().map(|full| full.again.saturating_duration_since(Instant::now()));
        rests.filter(|rests| !rests.is_zero()).unwrap_or(LOOK_EVERY)
    }
}
