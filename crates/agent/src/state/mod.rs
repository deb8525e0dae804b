//! What an agent keeps on disk of one vault, so that it goes on where it was, whatever happened.
//!
//! ```text
//! <state>/vaults/<vault id>/agent/lock             held by the agent that runs
//! <state>/vaults/<vault id>/agent/protection.json  what the service wants protected, as it said last
//! <state>/vaults/<vault id>/agent/runs.json        runs of items, and the jobs that are under way
//! <state>/vaults/<vault id>/agent/reports/N.json   reports of jobs that are over, until the service has heard of them
//! ```
//!
//! Invariant: one process at a time. Each change is one file, replaced whole and durable before anything follows from it; in which
//! order the files change, and what a crash in between leaves, stands at each method. A damaged file is set aside and named, and what
//! it held is asked of the service again.

mod files;
mod outbox;
mod runs;

pub(crate) use outbox::Waiting;
pub use runs::Begun;
pub(crate) use runs::{History, ItemRecord, SlotEnd, timestamp};

use crate::error::{AgentError, Result};
use api::{JobReport, Protection};
use files::Found;
use format::{ItemName, JobId};
use outbox::Outbox;
use policy::Hook;
use runs::SCHEMA;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// What the service wants protected, and when it said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptProtection {
    /// When it was received, in milliseconds since 1970.
    pub received_ms: i64,
    /// What it is.
    pub protection: Protection,
}

/// Runs and jobs, one file. One of another schema counts as damaged: what it says is not known here.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(deserialize_with = "schema")]
    schema: String,
    items: BTreeMap<String, ItemRecord>,
    jobs: BTreeMap<String, Begun>,
}

fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    let schema = String::deserialize(deserializer)?;
    match schema == SCHEMA {
        true => Ok(schema),
        false => Err(D::Error::custom(format!("it is of schema {schema:?}, this program knows {SCHEMA:?}"))),
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { schema: SCHEMA.to_owned(), items: BTreeMap::new(), jobs: BTreeMap::new() }
    }
}

/// The state of the agent that runs.
#[derive(Debug)]
pub(crate) struct State {
    directory: PathBuf,
    kept: Kept,
    protection: Option<KeptProtection>,
    outbox: Outbox,
    /// Held until this is dropped.
    _lock: File,
}

impl State {
    /// Opens it, alone. Words about what was set aside are for the log.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Vec<String>)> {
        files::make_directory(directory)?;
        let lock = lock(directory)?;
        let mut words = Vec::new();
        let kept = read(&directory.join(RUNS), &mut words)?.unwrap_or_default();
        let protection = read(&directory.join(PROTECTION), &mut words)?;
        let outbox = Outbox::open(&directory.join(REPORTS), &mut words)?;
        let mut state = Self { directory: directory.to_owned(), kept, protection, outbox, _lock: lock };
        state.settle_reported()?;
        Ok((state, words))
    }

    /// A job whose report is there is over, though a crash kept that from being written down.
    fn settle_reported(&mut self) -> Result<()> {
        for (job, begun) in self.begun() {
            let Some((report, end)) = self.outbox.of(job)? else { continue };
            self.forget(job, end, report.ended_ms.unwrap_or(begun.report.started_ms))?;
        }
        Ok(())
    }

    /// What the service wanted protected when it was heard of last.
    pub(crate) fn protection(&self) -> Option<&Protection> {
        self.protection.as_ref().map(|kept| &kept.protection)
    }

    pub(crate) fn keep_protection(&mut self, protection: Protection, received_ms: i64) -> Result<()> {
        let kept = KeptProtection { received_ms, protection };
        files::write_json(&self.directory.join(PROTECTION), &kept)?;
        self.protection = Some(kept);
        Ok(())
    }

    /// Jobs that were begun and are not over.
    pub(crate) fn begun(&self) -> Vec<(JobId, Begun)> {
        self.kept.jobs.iter().filter_map(|(job, begun)| Some((job.parse().ok()?, begun.clone()))).collect()
    }

    pub(crate) fn item(&self, item: &ItemName) -> ItemRecord {
        self.kept.items.get(item.as_str()).cloned().unwrap_or_default()
    }

    /// A job begins: it is written down before anything is done for it.
    pub(crate) fn begin(&mut self, job: JobId, begun: Begun) -> Result<()> {
        let mut kept = self.kept.clone();
        kept.jobs.insert(job.to_string(), begun);
        self.replace(kept)
    }

    /// Nobody does the job for now: it was stopped with the agent, or the agent died in it.
    pub(crate) fn rest(&mut self, job: JobId, died: bool) -> Result<()> {
        let mut kept = self.kept.clone();
        if let Some(begun) = kept.jobs.get_mut(&job.to_string()) {
            (begun.rests, begun.deaths) = (true, begun.deaths.saturating_add(u32::from(died)));
        }
        self.replace(kept)
    }

    /// A hook is about to run whose counterpart has to run however the job ends; or it has run.
    pub(crate) fn note_thaw(&mut self, job: JobId, thaw: Option<Hook>) -> Result<()> {
        let mut kept = self.kept.clone();
        if let Some(begun) = kept.jobs.get_mut(&job.to_string()) {
            begun.thaw = thaw;
        }
        self.replace(kept)
    }

    /// A job is over: first its report, then what follows from it. A crash in between is made good when the state is opened. Answers
    /// the job whose report had to go for it.
    pub(crate) fn end(&mut self, job: JobId, report: &JobReport, end: SlotEnd, now_ms: i64) -> Result<Option<JobId>> {
        let lost = self.outbox.put(job, report, end)?;
        self.forget(job, end, now_ms)?;
        Ok(lost)
    }

    /// A job is nobody's any more: somebody else has taken it, or the service does not know it.
    pub(crate) fn forget(&mut self, job: JobId, end: SlotEnd, now_ms: i64) -> Result<()> {
        let mut kept = self.kept.clone();
        if let Some(begun) = kept.jobs.remove(&job.to_string())
            && let (Some(slot_ms), Some(item)) = (begun.slot_ms(), begun.item())
        {
            kept.items.entry(item.as_str().to_owned()).or_default().end(slot_ms, end, now_ms);
        }
        self.replace(kept)
    }

    /// The service is back. Answers the items whose runs failed for want of it, and are tried anew.
    pub(crate) fn forgive(&mut self) -> Result<Vec<ItemName>> {
        let mut kept = self.kept.clone();
        let forgiven: Vec<ItemName> =
            kept.items.iter_mut().filter_map(|(item, record)| record.forgive().then(|| item.parse().ok()).flatten()).collect();
        if !forgiven.is_empty() {
            self.replace(kept)?;
        }
        Ok(forgiven)
    }

    /// The report that waits longest.
    pub(crate) fn oldest_report(&self) -> Result<Option<(u64, Waiting)>> {
        self.outbox.oldest()
    }

    pub(crate) fn reports(&self) -> usize {
        self.outbox.len()
    }

    /// The service has taken a report, or never will.
    pub(crate) fn drop_report(&mut self, number: u64) -> Result<()> {
        self.outbox.remove(number)
    }

    fn replace(&mut self, kept: Kept) -> Result<()> {
        files::write_json(&self.directory.join(RUNS), &kept)?;
        self.kept = kept;
        Ok(())
    }
}

const LOCK: &str = "lock";
const RUNS: &str = "runs.json";
const PROTECTION: &str = "protection.json";
const REPORTS: &str = "reports";

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let failed = |source| AgentError::Write { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AgentError::Running { path }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path, words: &mut Vec<String>) -> Result<Option<T>> {
    match files::read_json(path)? {
        Found::Whole(value) => Ok(Some(value)),
        Found::Nothing => Ok(None),
        Found::Damaged(why) => {
            let aside = files::set_aside(path)?;
            words.push(format!("'{}' is damaged ({why}): it is in '{}' now", path.display(), aside.display()));
            Ok(None)
        }
    }
}

/// An agent's state as anybody who may read it sees it, while the agent runs or not.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// Whether an agent runs.
    pub running: bool,
    /// What it protects.
    pub protection: Option<KeptProtection>,
    /// Jobs that are under way.
    pub jobs: Vec<Begun>,
    /// Reports that wait for the service.
    pub reports: usize,
    /// Files that cannot be read, and why.
    pub damaged: Vec<String>,
}

/// Looks at the state without changing anything.
pub fn glance(directory: &Path) -> Result<Glance> {
    let mut glance = Glance::default();
    let lock = directory.join(LOCK);
    if let Ok(file) = File::open(&lock) {
        glance.running = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    }
    let mut damaged = Vec::new();
    let mut note = |name: &str, why: String| damaged.push(format!("'{}': {why}", directory.join(name).display()));
    match files::read_json::<KeptProtection>(&directory.join(PROTECTION))? {
        Found::Whole(kept) => glance.protection = Some(kept),
        Found::Damaged(why) => note(PROTECTION, why),
        Found::Nothing => {}
    }
    match files::read_json::<Kept>(&directory.join(RUNS))? {
        Found::Whole(kept) => glance.jobs = kept.jobs.into_values().collect(),
        Found::Damaged(why) => note(RUNS, why),
        Found::Nothing => {}
    }
    if directory.join(REPORTS).exists() {
        glance.reports = outbox::numbers(&directory.join(REPORTS))?.len();
    }
    Ok(Glance { damaged, ..glance })
}

#[cfg(test)]
mod tests;
