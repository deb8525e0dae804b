//! Reports of jobs that are over and that the service has not heard of yet.
//!
//! Invariant: a report is on the disk before it is sent, and leaves it only when the service has taken it, or said that it never will.

use super::files::{self, Found};
use super::runs::SlotEnd;
use crate::error::{AgentError, Result};
use crate::limits::REPORTS_MAX;
use api::JobReport;
use format::JobId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A report that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    job: String,
    /// The report.
    pub(crate) report: JobReport,
    /// What it means for its slot.
    end: SlotEnd,
}

impl Waiting {
    /// The job that it is about.
    pub(crate) fn job(&self) -> Option<JobId> {
        self.job.parse().ok()
    }
}

/// The reports that wait, oldest first; on the disk, and not in memory.
#[derive(Debug)]
pub(super) struct Outbox {
    directory: PathBuf,
    /// By number; the job.
    waiting: BTreeMap<u64, JobId>,
    next: u64,
}

impl Outbox {
    /// What is there. Damaged ones are set aside, with a word about each.
    pub(super) fn open(directory: &Path, words: &mut Vec<String>) -> Result<Self> {
        files::make_directory(directory)?;
        let mut outbox = Self { directory: directory.to_owned(), waiting: BTreeMap::new(), next: 1 };
        for number in numbers(directory)? {
            outbox.next = outbox.next.max(number + 1);
            let path = outbox.path(number);
            match files::read_json::<Waiting>(&path)? {
                Found::Whole(waiting) if let Some(job) = waiting.job() => drop(outbox.waiting.insert(number, job)),
                Found::Nothing => {}
                Found::Whole(_) | Found::Damaged(_) => {
                    let aside = files::set_aside(&path)?;
                    words.push(format!("a report that the service has not heard of is damaged: it is in '{}'", aside.display()));
                }
            }
        }
        Ok(outbox)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.json"))
    }

    /// Keeps a report. Of more than there may be the oldest goes; answers which job's that was.
    pub(super) fn put(&mut self, job: JobId, report: &JobReport, end: SlotEnd) -> Result<Option<JobId>> {
        let number = self.next;
        files::write_json(&self.path(number), &Waiting { job: job.to_string(), report: report.clone(), end })?;
        self.next += 1;
        self.waiting.insert(number, job);
        if self.waiting.len() <= REPORTS_MAX {
            return Ok(None);
        }
        let Some((oldest, lost)) = self.waiting.first_key_value().map(|(number, job)| (*number, *job)) else { return Ok(None) };
        self.remove(oldest)?;
        Ok(Some(lost))
    }

    /// The oldest.
    pub(super) fn oldest(&self) -> Result<Option<(u64, Waiting)>> {
        for number in self.waiting.keys() {
            if let Found::Whole(waiting) = files::read_json(&self.path(*number))? {
                return Ok(Some((*number, waiting)));
            }
        }
        Ok(None)
    }

    /// The report of a job, if it is over, and what it means for its slot.
    pub(super) fn of(&self, job: JobId) -> Result<Option<(JobReport, SlotEnd)>> {
        let Some((number, _)) = self.waiting.iter().rev().find(|(_, waiting)| **waiting == job) else { return Ok(None) };
        match files::read_json::<Waiting>(&self.path(*number))? {
            Found::Whole(waiting) => Ok(Some((waiting.report, waiting.end))),
            _ => Ok(None),
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Result<()> {
        files::remove(&self.path(number))?;
        self.waiting.remove(&number);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Numbers of the reports in a directory.
pub(super) fn numbers(directory: &Path) -> Result<Vec<u64>> {
    let failed = |source| AgentError::Read { path: directory.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
