//! The record of a job: what it warns of, its log, how far it is. Threads of the engine write it, reports are made of it.
//!
//! Invariant: every warning is counted; the first are kept, and all that is kept fits into one report.

use crate::clock::Clock;
use crate::limits::{LOG_BYTES_MAX, WARNINGS_BYTES_MAX};
use crate::trouble::shortened;
use api::limits::{JOB_LOG_LINES_MAX, JOB_TEXT_BYTES_MAX, JOB_WARNINGS_MAX};
use api::{Completeness, JobLog, JobProblem, JobReport, JobResult, JobState, JobWarning, LogLine, ProgressBody};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::Progress;
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a job shows while it reads what is protected and sends what is new of it.
pub(crate) const BACKING_UP: &str = "backing up";

/// A record.
pub(crate) struct Record {
    begun: JobReport,
    clock: Arc<dyn Clock>,
    /// Whether the service hears the names of what is warned of.
    tells_paths: bool,
    /// Counted by the engine.
    pub(crate) progress: Progress,
    said: Mutex<Said>,
}

/// How much is warned of.
#[derive(Default, Clone, Copy)]
struct Warned {
    kept: usize,
    bytes: usize,
    count: u64,
    lacks_a_part: bool,
}

#[derive(Default)]
struct Said {
    phase: &'static str,
    /// Why nothing of it is done now.
    paused: Option<&'static str>,
    /// So many bytes a second may be sent. None: there is no limit.
    sends_per_second: Option<u64>,
    warnings: Vec<JobWarning>,
    warnings_bytes: usize,
    warnings_count: u64,
    lacks_a_part: bool,
    /// When what there is began to be read last.
    reading_since_ms: Option<i64>,
    /// What was warned of before.
    before_reading: Warned,
    /// A point may have been committed, and nobody here has heard of it.
    commit_sent: bool,
    log: Vec<LogLine>,
    log_bytes: usize,
}

impl Record {
    pub(crate) fn new(begun: JobReport, clock: Arc<dyn Clock>, tells_paths: bool) -> Self {
        Self { begun, clock, tells_paths, progress: Progress::default(), said: Mutex::default() }
    }

    /// What is being done now.
    pub(crate) fn phase(&self, phase: &'static str) {
        self.said().phase = phase;
    }

    /// Nothing is done now, for this reason; or something is again.
    pub(crate) fn pause(&self, why: Option<&'static str>) {
        self.said().paused = why;
    }

    /// How fast it may send from now on.
    pub(crate) fn limit(&self, bytes_per_second: Option<u64>) {
        self.said().sends_per_second = bytes_per_second;
    }

    /// A line of the log.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        let line = LogLine { time_ms: self.clock.now_ms(), text: shortened(text.as_ref()) };
        self.said().keep_line(line);
    }

    /// A line of the log that names a path.
    pub(crate) fn say_path(&self, text: impl AsRef<str>) {
        if self.tells_paths {
            self.say(text);
        }
    }

    /// Warns of a path, in bytes and without '/' at its start.
    pub(crate) fn warn(&self, path: &[u8], kind: &str, detail: &str) {
        let (path, detail) = if self.tells_paths || path.is_empty() { (path, detail) } else { (&b"(not told)"[..], "") };
        let path = &path[..path.len().min(JOB_TEXT_BYTES_MAX / 2)];
        let exact = std::str::from_utf8(path).is_err();
        let slash = if path.starts_with(b"/") || !self.tells_paths { "" } else { "/" };
        let warning = JobWarning {
            path: shortened(&format!("{slash}{}", String::from_utf8_lossy(path))),
            path_b64: exact.then(|| STANDARD.encode([slash.as_bytes(), path].concat())),
            kind: kind.to_owned(),
            detail: shortened(detail),
        };
        let mut said = self.said();
        said.warnings_count += 1;
        said.keep_warning(warning);
    }

    /// The work begins anew: what was warned of before is found again, if it still is so.
    pub(crate) fn begin_anew(&self) {
        let mut said = self.said();
        (said.warnings, said.warnings_bytes, said.warnings_count, said.lacks_a_part) = (Vec::new(), 0, 0, false);
    }

    /// What there is begins to be read.
    pub(crate) fn begin_reading(&self) {
        let now_ms = self.clock.now_ms();
        let mut said = self.said();
        (said.reading_since_ms, said.commit_sent) = (Some(now_ms), false);
        let (kept, bytes) = (said.warnings.len(), said.warnings_bytes);
        said.before_reading = Warned { kept, bytes, count: said.warnings_count, lacks_a_part: said.lacks_a_part };
    }

    /// All is read anew: what was warned of since its reading began is found again, if it still is so.
    pub(crate) fn read_anew(&self) {
        let mut said = self.said();
        let Warned { kept, bytes, count, lacks_a_part } = said.before_reading;
        said.warnings.truncate(kept);
        (said.warnings_bytes, said.warnings_count, said.lacks_a_part) = (bytes, count, lacks_a_part);
    }

    /// Whether a run that began at this time is this one: what it warned of stands here.
    pub(crate) fn is_of(&self, began_ms: i64) -> bool {
        self.said().reading_since_ms.is_some_and(|since_ms| began_ms >= since_ms)
    }

    /// The point is about to be committed; or what came of that is known.
    pub(crate) fn set_commit_sent(&self, sent: bool) {
        self.said().commit_sent = sent;
    }

    /// Whether a point may have been committed of which nobody here has heard.
    pub(crate) fn commit_sent(&self) -> bool {
        self.said().commit_sent
    }

    /// What the service has heard of the run before the agent died in it.
    pub(crate) fn take_over(&self, log: JobLog) {
        let JobLog { lines, warnings, warnings_count } = log;
        let mut said = self.said();
        said.warnings_count += warnings_count;
        for warning in warnings {
            said.keep_warning(warning);
        }
        for line in lines {
            said.keep_line(line);
        }
    }

    /// A whole part of the item is missing or cannot be read.
    pub(crate) fn lacks_a_part(&self) {
        self.said().lacks_a_part = true;
    }

    /// How much of the item is in what was read so far.
    pub(crate) fn completeness(&self) -> Completeness {
        let said = self.said();
        match said.warnings_count {
            _ if said.lacks_a_part => Completeness::Incomplete,
            0 => Completeness::Clean,
            _ => Completeness::Warnings,
        }
    }

    /// Counts warnings that others have counted and did not keep.
    pub(crate) fn warn_more(&self, count: u64) {
        self.said().warnings_count += count;
    }

    pub(crate) fn warnings_count(&self) -> u64 {
        self.said().warnings_count
    }

    /// As the service hears of it while it runs.
    pub(crate) fn live(&self) -> JobReport {
        let progress = &self.progress;
        let expected = progress.entries_expected.get().max(progress.entries_found.get());
        let said = self.said();
        JobReport {
            progress: Some(ProgressBody {
                phase: said.shown_phase(progress.bytes_stored.get()),
                done: progress.entries_done.get(),
                total: (expected > 0).then_some(expected),
                bytes: progress.bytes_done_so_far(),
            }),
            warnings: said.warnings.clone(),
            warnings_count: said.warnings_count,
            log: said.log.clone(),
            ..self.begun.clone()
        }
    }

    /// As the service hears of it when it is over.
    pub(crate) fn ended(&self, state: JobState, result: Option<JobResult>, problem: Option<JobProblem>) -> JobReport {
        let ended_ms = Some(self.clock.now_ms());
        JobReport { state, ended_ms, result, problem, ..self.live() }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    /// What is being done, and what holds it.
    fn shown_phase(&self, sent: u64) -> String {
        match (self.paused, self.phase, self.sends_per_second) {
            (Some(paused), ..) => paused.to_owned(),
            (None, "", _) => "starting".to_owned(),
            (None, phase @ BACKING_UP, Some(limit)) => {
                format!("{phase}, limited to {}/s, {} sent", size(limit), size(sent))
            }
            (None, phase, _) => phase.to_owned(),
        }
    }

    /// Keeps a line, if there is room.
    fn keep_line(&mut self, line: LogLine) {
        let bytes = json_bytes(&line);
        if self.log.len() < JOB_LOG_LINES_MAX && self.log_bytes + bytes <= LOG_BYTES_MAX {
            self.log_bytes += bytes;
            self.log.push(line);
        }
    }

    /// Keeps a warning, if there is room.
    fn keep_warning(&mut self, warning: JobWarning) {
        let bytes = json_bytes(&warning);
        if self.warnings.len() < JOB_WARNINGS_MAX && self.warnings_bytes + bytes <= WARNINGS_BYTES_MAX {
            self.warnings_bytes += bytes;
            self.warnings.push(warning);
        }
    }
}

/// Bytes in binary units.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// How much of a report it takes.
fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 2, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use api::limits::JOB_REPORT_BYTES_MAX;
    use api::{JobOrigin, Work};
    use format::{AgentKey, ItemName};

    fn record() -> Record {
        let begun = JobReport::begun(
            AgentKey([1; 32]),
            4,
            Work::Backup { item: ItemName::new("files").unwrap(), reread: false },
            JobOrigin::Person,
            1,
            7,
        );
        Record::new(begun, Arc::new(SystemClock), true)
    }

    #[test]
    fn what_was_warned_of_before_the_reading_stays_when_all_is_read_anew() {
        let record = record();
        record.warn(b"missing", "missing", "not mounted");
        record.lacks_a_part();
        record.begin_reading();
        record.warn(b"file", "unreadable", "no");
        record.read_anew();
        assert_eq!((record.warnings_count(), record.live().warnings.len()), (1, 1));
        assert_eq!(record.completeness(), Completeness::Incomplete);
        record.warn(b"file", "unreadable", "no");
        assert_eq!(record.warnings_count(), 2);
    }

    #[test]
    fn whatever_a_job_says_its_report_fits_and_everything_is_counted() {
        let record = record();
        for _ in 0..5000 {
            record.warn(&[0xff; 20_000], "unreadable", &"\u{1}".repeat(20_000));
            record.say("x".repeat(20_000));
        }
        let report = record.ended(JobState::Warnings, None, None);
        assert_eq!((report.warnings_count, report.fence, report.state), (5000, 4, JobState::Warnings));
        assert!(!report.warnings.is_empty() && !report.log.is_empty());
        let bytes = serde_json::to_vec(&report).unwrap().len();
        assert!(bytes <= JOB_REPORT_BYTES_MAX, "{bytes}");
    }

    #[test]
    fn a_path_that_is_not_utf8_is_there_exactly() {
        let record = record();
        record.warn(b"a\xff", "changed", "");
        record.warn(b"/b", "changed", "");
        let warnings = record.live().warnings;
        assert_eq!(warnings[0].path_b64.as_deref(), Some("L2H/"));
        assert_eq!((warnings[1].path.as_str(), &warnings[1].path_b64), ("/b", &None));
    }

    #[test]
    fn a_run_that_sends_no_faster_than_it_may_says_so_and_how_much_it_has_sent() {
        let record = record();
        let phase = || record.live().progress.unwrap().phase;
        record.limit(Some(1 << 20));
        record.phase("looking at the vault");
        assert_eq!(phase(), "looking at the vault");
        record.phase(BACKING_UP);
        record.progress.bytes_stored.set(1536);
        assert_eq!(phase(), "backing up, limited to 1.0 MiB/s, 1.5 KiB sent");
        record.pause(Some("paused: on battery"));
        assert_eq!(phase(), "paused: on battery");
        record.pause(None);
        record.limit(None);
        assert_eq!(phase(), "backing up");
    }

    #[test]
    fn a_machine_that_keeps_names_to_itself_tells_kinds_and_counts() {
        let record = Record { tells_paths: false, ..record() };
        record.warn(b"secret/plans", "unreadable", "'/secret/plans' is closed");
        record.say_path("left out: /secret");
        let report = record.live();
        assert_eq!((report.warnings_count, report.warnings[0].kind.as_str()), (1, "unreadable"));
        assert!(!serde_json::to_string(&report).unwrap().contains("secret"));
    }
}
