//! Progress of long work: a line on a terminal, JSON lines on standard error with `--json`, nothing when piped.

use super::text;
use crate::cli::Global;
use crate::terminal::note;
use contract::ProgressSink;
use engine::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at the counters on a terminal.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between two JSON lines.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Where progress goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    None,
    Terminal,
    Json,
}

impl Channel {
    fn of(global: &Global) -> Self {
        match (global.quiet, global.json) {
            (true, _) => Self::None,
            (false, true) => Self::Json,
            (false, false) if std::io::stderr().is_terminal() => Self::Terminal,
            _ => Self::None,
        }
    }

    fn line(self) -> Option<ProgressBar> {
        (self == Self::Terminal).then(|| {
            let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            line.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is right"));
            line
        })
    }
}

/// Progress of the engine: bytes, files, rate, time left.
pub(crate) struct EngineProgress {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EngineProgress {
    /// Starts to watch the counters.
    pub(crate) fn watch(global: &Global, what: &'static str, counters: Progress) -> Self {
        let channel = Channel::of(global);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = (channel != Channel::None).then(|| {
            let stop = stop.clone();
            std::thread::spawn(move || watch(channel, what, &counters, &stop))
        });
        Self { stop, thread }
    }

    /// Clears the line.
    pub(crate) fn finish(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn watch(channel: Channel, what: &'static str, counters: &Progress, stop: &AtomicBool) {
    let line = channel.line();
    let started = Instant::now();
    let mut last = None::<Instant>;
    while !stop.load(Ordering::Acquire) {
        if let Some(line) = &line {
            line.set_message(sentence(what, counters, started.elapsed()));
            line.tick();
        } else if last.is_none_or(|last| last.elapsed() >= JSON_EVERY) {
            last = Some(Instant::now());
            print_json(what, counters, started.elapsed());
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    if let Some(line) = line {
        line.finish_and_clear();
    }
}

/// Bytes and entries expected, where they are known.
fn expected(counters: &Progress) -> (u64, u64) {
    (
        counters.bytes_expected.get().max(counters.bytes_found.get()),
        counters.entries_expected.get().max(counters.entries_found.get()),
    )
}

fn sentence(what: &str, counters: &Progress, took: Duration) -> String {
    let points = counters.points_expected.get();
    if points > 0 {
        return format!("{what}: {} of {points} points, {} entries", counters.points_done.get(), counters.entries_done.get());
    }
    let done = counters.bytes_done_so_far();
    let (total, entries_total) = expected(counters);
    let files = |count: u64| text::counted(count, "file", "files");
    let mut text = format!("{what}: {}, {}", files(counters.entries_done.get()), text::bytes(done));
    if total > 0 {
        text.push_str(&format!(" of {}, {}", files(entries_total), text::bytes(total)));
    }
    text.push_str(&format!(", {}", text::rate(done, took)));
    if let Some(left) = time_left(done, total, took) {
        text.push_str(&format!(", {} left", text::seconds(left)));
    }
    if counters.warnings.get() > 0 {
        text.push_str(&format!(", {}", text::counted(counters.warnings.get(), "warning", "warnings")));
    }
    text
}

fn time_left(done: u64, total: u64, took: Duration) -> Option<Duration> {
    if done == 0 || total <= done || took < Duration::from_secs(2) {
        return None;
    }
    Some(took.mul_f64((total - done) as f64 / done as f64))
}

fn print_json(what: &str, counters: &Progress, took: Duration) {
    let (bytes_total, entries_total) = expected(counters);
    let done = counters.bytes_done_so_far();
    let line = json!({
        "schema": "holdfast.progress/1",
        "phase": what,
        "seconds": text::json_seconds(took),
        "entries_done": counters.entries_done.get(),
        "entries_total": entries_total,
        "bytes_done": done,
        "bytes_total": bytes_total,
        "bytes_read": counters.bytes_read.get(),
        "bytes_stored": counters.bytes_stored.get(),
        "points_done": counters.points_done.get(),
        "points_total": counters.points_expected.get(),
        "warnings": counters.warnings.get(),
        "seconds_left": time_left(done, bytes_total, took).map(text::json_seconds),
    });
    note!("{line}");
}

/// Progress of the vault's own work: check and collect.
pub(crate) struct VaultProgress {
    channel: Channel,
    line: Option<ProgressBar>,
    sink: ProgressSink,
}

impl VaultProgress {
    pub(crate) fn new(global: &Global) -> Self {
        let channel = Channel::of(global);
        let line = channel.line();
        let (shown, last_ms) = (line.clone(), Arc::new(AtomicU64::new(0)));
        let (started, phase) = (Instant::now(), Arc::new(Mutex::new("")));
        let sink: ProgressSink = Arc::new(move |progress: contract::Progress| {
            let now = started.elapsed().as_millis() as u64;
            let every = if shown.is_some() { LOOK_EVERY } else { JSON_EVERY }.as_millis() as u64;
            let same = std::mem::replace(&mut *phase.lock().expect("no panic under this lock"), progress.phase) == progress.phase;
            if same && now < last_ms.load(Ordering::Relaxed) + every {
                return;
            }
            last_ms.store(now, Ordering::Relaxed);
            if let Some(line) = &shown {
                let total = progress.total.map_or(String::new(), |total| format!(" of {total}"));
                line.set_message(format!("{}: {}{total}, {}", progress.phase, progress.done, text::bytes(progress.bytes)));
                line.tick();
            } else if channel == Channel::Json {
                let line = json!({
                    "schema": "holdfast.progress/1",
                    "phase": progress.phase,
                    "seconds": text::json_seconds(started.elapsed()),
                    "done": progress.done,
                    "total": progress.total,
                    "bytes_done": progress.bytes,
                });
                note!("{line}");
            }
        });
        Self { channel, line, sink }
    }

    pub(crate) fn sink(&self) -> ProgressSink {
        self.sink.clone()
    }

    pub(crate) fn finish(self) {
        if let (Channel::Terminal, Some(line)) = (self.channel, self.line) {
            line.finish_and_clear();
        }
    }
}

/// Progress of a job that somebody else does.
pub(crate) struct JobProgress {
    channel: Channel,
    line: Option<ProgressBar>,
    started: Instant,
    last: Mutex<Option<Instant>>,
}

impl JobProgress {
    pub(crate) fn new(global: &Global) -> Self {
        let channel = Channel::of(global);
        Self { channel, line: channel.line(), started: Instant::now(), last: Mutex::new(None) }
    }

    /// Shows how far it is; of one that waits, perhaps for what.
    pub(crate) fn show(&self, job: &api::Job, waits: Option<&str>) {
        let (phase, done, total, bytes) = match &job.progress {
            Some(progress) => (progress.phase.as_str(), progress.done, progress.total, progress.bytes),
            None => (job.state.as_str(), 0, None, 0),
        };
        if let Some(line) = &self.line {
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            let phase = text::printable(phase.as_bytes());
            line.set_message(match waits {
                Some(waits) => waits.to_owned(),
                None => format!("{phase}: {done}{of}, {}", text::bytes(bytes)),
            });
            line.tick();
        }
        let mut last = self.last.lock().expect("no panic under this lock");
        if self.channel == Channel::Json && last.is_none_or(|last| last.elapsed() >= JSON_EVERY) {
            *last = Some(Instant::now());
            let line = json!({
                "schema": "holdfast.progress/1",
                "job": job.job.to_string(),
                "state": job.state.as_str(),
                "phase": phase,
                "seconds": text::json_seconds(self.started.elapsed()),
                "done": done,
                "total": total,
                "bytes_done": bytes,
                "waits": waits,
            });
            note!("{line}");
        }
    }

    pub(crate) fn finish(self) {
        if let Some(line) = self.line {
            line.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_tells_points_and_other_work_bytes() {
        let counters = Progress::default();
        counters.bytes_expected.set(2048);
        assert_eq!(sentence("backup", &counters, Duration::from_secs(1)), "backup: 0 files, 0 B of 0 files, 2.0 KiB, 0 B/s");
        counters.points_expected.set(7);
        counters.points_done.set(3);
        counters.entries_done.set(500);
        assert_eq!(sentence("find", &counters, Duration::from_secs(1)), "find: 3 of 7 points, 500 entries");
    }
}
