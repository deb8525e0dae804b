//! What a backup noticed: warnings, and what was left out on purpose.

use crate::progress::Progress;
use crate::source::{LeftOut, Warning, WarningKind};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Most warnings, and most things left out, that are kept with their paths. All are counted.
pub const FINDINGS_KEPT_MAX: usize = 1000;

/// What happens during a backup.
#[derive(Debug, Clone)]
pub enum BackupEvent {
    /// A warning.
    Warning(Warning),
    /// Left out on purpose.
    LeftOut(LeftOut),
    /// Everything is walked, for what was known of changes was no use: what was told of before is told again, if it still is so.
    Anew,
    /// A checkpoint is durable: what was done until now needs not be read again after an interruption.
    Checkpoint {
        /// Entries in it.
        entries: u64,
    },
    /// All is read, and the point is about to be committed.
    Committing {
        /// Whether a whole part of the item, or of one of its paths, will be missing.
        incomplete: bool,
        /// Warnings there were.
        warnings: u64,
    },
}

/// Told about events as they happen; must be quick.
pub type BackupSink = Arc<dyn Fn(&BackupEvent) + Send + Sync>;

/// Warnings and things left out: the first ones with their paths, all of them counted.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The first warnings.
    pub warnings: Vec<Warning>,
    /// How many there were, by kind.
    pub warnings_by_kind: BTreeMap<WarningKind, u64>,
    /// The first things left out.
    pub left_out: Vec<LeftOut>,
    /// How many things were left out.
    pub left_out_count: u64,
    /// Those of the backup's paths of which nothing is in the point, or not all, each with what happened.
    pub unread_paths: BTreeMap<Vec<u8>, String>,
    /// Those of them of which something may be in the point.
    pub partly_read: BTreeSet<Vec<u8>>,
}

impl Findings {
    /// How many warnings there were.
    #[must_use]
    pub fn warnings_count(&self) -> u64 {
        self.warnings_by_kind.values().sum()
    }

    /// Whether a whole part of the item is missing.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !self.unread_paths.is_empty()
    }
}

/// Where threads tell what they noticed.
pub(crate) struct Notices {
    findings: Mutex<Findings>,
    /// The backup's paths, as warnings name them.
    paths: HashSet<Vec<u8>>,
    sink: BackupSink,
    progress: Progress,
}

impl Notices {
    /// For a backup of these paths, some of which the source does not have, each with the reason.
    pub(crate) fn new(paths: &[Vec<u8>], missing: &BTreeMap<Vec<u8>, String>, sink: BackupSink, progress: Progress) -> Self {
        let named = |path: &Vec<u8>| path.strip_prefix(b"/").unwrap_or(path).to_vec();
        let unread_paths = missing.iter().map(|(path, why)| (named(path), why.clone())).collect();
        let findings = Mutex::new(Findings { unread_paths, ..Findings::default() });
        Self { findings, paths: paths.iter().map(named).collect(), sink, progress }
    }

    pub(crate) fn warn(&self, warning: Warning) {
        self.progress.warnings.add(1);
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        *findings.warnings_by_kind.entry(warning.kind).or_default() += 1;
        let is_partly = warning.kind == WarningKind::PartlyListed;
        if (is_partly || warning.kind.is_absence()) && self.paths.contains(&warning.path) {
            findings.unread_paths.insert(warning.path.clone(), warning.detail.clone());
            if is_partly {
                findings.partly_read.insert(warning.path.clone());
            }
        }
        if findings.warnings.len() < FINDINGS_KEPT_MAX {
            findings.warnings.push(warning.clone());
        }
        drop(findings);
        (self.sink)(&BackupEvent::Warning(warning));
    }

    pub(crate) fn left_out(&self, what: LeftOut) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.left_out_count += 1;
        if findings.left_out.len() < FINDINGS_KEPT_MAX {
            findings.left_out.push(what.clone());
        }
        drop(findings);
        (self.sink)(&BackupEvent::LeftOut(what));
    }

    /// Why there is nothing to make a point of: none of the paths could be read.
    pub(crate) fn nothing_read(&self) -> Option<String> {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let unread = findings.unread_paths.keys().filter(|path| !findings.partly_read.contains(*path)).count();
        let is_nothing = !self.paths.is_empty() && unread == self.paths.len();
        findings.unread_paths.first_key_value().filter(|_| is_nothing).map(|(_, detail)| detail.clone())
    }

    pub(crate) fn tell(&self, event: &BackupEvent) {
        (self.sink)(event);
    }

    /// What was noticed so far; warnings sorted by path, since threads find them in any order.
    pub(crate) fn findings(&self) -> Findings {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        findings.warnings.sort_by(|left, right| left.path.cmp(&right.path));
        findings
    }
}
