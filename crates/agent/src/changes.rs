//! What the kernel tells of changes, item by item: a hint that lives as long as the agent.
//!
//! Invariant: only what a point was made of is held against later changes, and every so often everything is walked whatever is known.

use crate::bounds::JournalUse;
use engine::backup::BackupReport;
use format::ItemName;
use rustix::time::{ClockId, clock_gettime};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use workloads::files::{Caution, FileSet, Followed, Journal, Known};

/// Follows what changes of all items.
pub(crate) struct ChangeJournal {
    journal: Journal,
    walk_everything_after: Duration,
    items: Mutex<HashMap<ItemName, Last>>,
}

/// What is known of an item since its last point.
struct Last {
    known: Known,
    /// When everything was walked the last time, by [`now`].
    walked: Duration,
}

impl ChangeJournal {
    /// None where it is not wanted.
    pub(crate) fn start(wanted: JournalUse, walk_everything_after: Duration) -> io::Result<Option<Self>> {
        let caution = match wanted {
            JournalUse::Off => return Ok(None),
            JournalUse::Safe => Caution::Safe,
            JournalUse::Lenient => Caution::Lenient,
        };
        Ok(Some(Self { journal: Journal::start(caution)?, walk_everything_after, items: Mutex::default() }))
    }

    /// Follows an item's files from now on. What is known of it counts until the next point is made, or a run fails.
    pub(crate) fn follow(&self, item: &ItemName, files: Arc<FileSet>) -> io::Result<Following> {
        let mut items = self.items();
        items.retain(|_, last| since(last.walked) < self.walk_everything_after);
        let last = items.get(item).map(|last| (last.known.clone(), last.walked));
        drop(items);
        let (known, walked) = last.unzip();
        Ok(Following { files: Arc::new(self.journal.follow(files, known)?), walked })
    }

    /// Nothing is known of an item any more.
    pub(crate) fn forget(&self, item: &ItemName) {
        self.items().remove(item);
    }

    /// A point was made of what was followed.
    pub(crate) fn note(&self, item: &ItemName, following: &Following, report: &BackupReport) {
        let now = now();
        let walked = following.walked.filter(|_| report.only_changes).unwrap_or(now);
        let findings = &report.findings;
        if findings.warnings.len() as u64 != findings.warnings_count() {
            // Not all paths that have to be looked at again are known.
            return self.forget(item);
        }
        let again: BTreeSet<Vec<u8>> = findings.warnings.iter().map(|warning| warning.path.clone()).collect();
        let known = following.files.known(report.point.point, again);
        self.items().insert(item.clone(), Last { known, walked });
    }

    fn items(&self) -> MutexGuard<'_, HashMap<ItemName, Last>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An item's files that are followed.
pub(crate) struct Following {
    pub(crate) files: Arc<Followed>,
    /// When everything of it was walked the last time, where that counts still.
    walked: Option<Duration>,
}

impl Following {
    /// What a backup did with what it knew, in words.
    pub(crate) fn words(&self, report: &BackupReport) -> String {
        if report.only_changes {
            return "only what has changed since the last point was walked".into();
        }
        let why = report.changes_unknown.map(str::to_owned).or_else(|| self.files.why_everything());
        let otherwise = match self.walked {
            Some(_) => "the last point does not allow otherwise",
            None => "nothing was followed since a point of the item",
        };
        let why = why.unwrap_or_else(|| otherwise.into());
        format!("everything was walked: {why}")
    }
}

/// Time since the machine was started, with the time in which it slept.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn since(then: Duration) -> Duration {
    now().saturating_sub(then)
}
