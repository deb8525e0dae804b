//! A hook: a command of this machine around a run, with an end in any case.
//!
//! Invariant: it runs in a process group of its own, with nothing of the agent's environment or files, and when its time is over the
//! whole group is ended. What it prints is kept up to a limit and read to its end all the same, so that it never waits for a reader.

use crate::limits::{HOOK_GRACE, HOOK_OUTPUT_BYTES_MAX};
use crate::trouble::{Trouble, TroubleKind};
use engine::Cancel;
use format::{ItemName, JobId};
use policy::Hook;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Where programs are looked for that a hook starts.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A wish to stop is looked for this often.
const LOOK: Duration = Duration::from_millis(200);
/// What a hook left behind gets so long to close its output.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Which of a run's hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Before the item is read.
    Before,
    /// After it.
    After,
}

impl When {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// What is around a hook.
pub(super) struct Surroundings<'a> {
    pub(super) when: When,
    pub(super) item: &'a ItemName,
    pub(super) job: JobId,
    /// Ends it early. What has to run in any case has none.
    pub(super) cancel: Option<&'a Cancel>,
}

/// Runs a hook to its end; answers what it printed, as it printed it: who shows it escapes what has to be.
pub(super) async fn run(hook: &Hook, around: Surroundings<'_>) -> Result<String, Trouble> {
    let when = around.when.as_str();
    let Some((program, words)) = hook.command.split_first() else {
        return Err(Trouble::refused(format!("the hook {when} the run has no command")));
    };
    let mut command = Command::new(program);
    command.args(words).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
    command.env("PATH", PATH).env("HOLDFAST_HOOK", when);
    command.env("HOLDFAST_ITEM", around.item.as_str()).env("HOLDFAST_JOB", around.job.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error| Trouble::io(format!("cannot run the hook {when} the run, '{program}'"), &error);
    let mut child = command.spawn().map_err(failed)?;
    let printed = Arc::new(Mutex::new(Vec::new()));
    let readers = [
        child.stdout.take().map(|pipe| tokio::spawn(drain(pipe, printed.clone()))),
        child.stderr.take().map(|pipe| tokio::spawn(drain(pipe, printed.clone()))),
    ];
    let ended = wait(&mut child, Duration::from_secs(u64::from(hook.timeout_seconds)), around.cancel).await;
    for reader in readers.into_iter().flatten() {
        let handle = reader.abort_handle();
        if tokio::time::timeout(LAST_WORDS, reader).await.is_err() {
            handle.abort();
        }
    }
    let output = String::from_utf8_lossy(&printed.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    match ended.map_err(failed)? {
        End::Over(status) if status.success() => Ok(output),
        End::Over(status) => Err(with_output(format!("the hook {when} the run, '{program}', ended with {status}"), &output)),
        End::TooLong => {
            let what = format!("the hook {when} the run, '{program}', took longer than {} s and was ended", hook.timeout_seconds);
            Err(with_output(what, &output))
        }
        End::Stopped => Err(Trouble::new(TroubleKind::Stopped, format!("the hook {when} the run, '{program}', was stopped"))),
    }
}

/// With all that it printed, in one line: a message is shown in tables, too.
fn with_output(what: String, output: &str) -> Trouble {
    let lines: Vec<&str> = lines_of(output).collect();
    let message = if lines.is_empty() { what } else { format!("{what}: {}", lines.join("; ")) };
    Trouble::new(TroubleKind::Failed, message)
}

/// The lines that a hook printed, without empty ones.
pub(super) fn lines_of(output: &str) -> impl Iterator<Item = &str> {
    output.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

/// How a hook ended.
enum End {
    Over(ExitStatus),
    TooLong,
    Stopped,
}

async fn wait(child: &mut Child, most: Duration, cancel: Option<&Cancel>) -> std::io::Result<End> {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let stopped = async {
        match cancel {
            Some(cancel) => {
                while !cancel.is_cancelled() {
                    tokio::time::sleep(LOOK).await;
                }
            }
            None => std::future::pending().await,
        }
    };
    let early = tokio::select! {
        status = child.wait() => return status.map(End::Over),
        () = tokio::time::sleep(most) => End::TooLong,
        () = stopped => End::Stopped,
    };
    signal(group, Signal::TERM);
    let gone = tokio::time::timeout(HOOK_GRACE, child.wait()).await;
    // The others of its group may be there still.
    signal(group, Signal::KILL);
    if gone.is_err() {
        child.wait().await?;
    }
    Ok(early)
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It may be gone.
        let _ = kill_process_group(group, signal);
    }
}

async fn drain(mut pipe: impl AsyncRead + Unpin, printed: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        let room = HOOK_OUTPUT_BYTES_MAX.saturating_sub(printed.len()).min(count);
        printed.extend_from_slice(&buffer[..room]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    async fn shell(script: &str, timeout_seconds: u32, cancel: Option<&Cancel>) -> Result<String, Trouble> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let hook = Hook { command, timeout_seconds, on_failure: policy::HookFailure::Fail };
        let item = ItemName::new("files").unwrap();
        run(&hook, Surroundings { when: When::Before, item: &item, job: JobId([7; 16]), cancel }).await
    }

    #[tokio::test]
    async fn a_hook_has_a_clean_environment_and_what_it_prints_is_kept() {
        let output = shell("echo $HOLDFAST_HOOK $HOLDFAST_ITEM; env | grep -c CARGO; pwd; echo to stderr >&2", 10, None).await;
        let output = output.unwrap();
        assert!(output.contains("before files") && output.contains('0') && output.contains("to stderr"), "{output}");
    }

    #[tokio::test]
    async fn a_hook_that_fails_says_how_and_what_it_printed() {
        let error = shell("echo no space; exit 3", 10, None).await.unwrap_err();
        assert!(error.message().contains('3') && error.message().contains("no space"), "{}", error.message());
    }

    #[tokio::test]
    async fn what_a_hook_prints_is_lines_and_nothing_of_it_is_escaped_before_it_is_shown() {
        let output = shell(r"printf 'first\tof two\n\nC:\\second\r\n'", 10, None).await.unwrap();
        assert_eq!(lines_of(&output).collect::<Vec<_>>(), ["first\tof two", r"C:\second"]);
        let error = shell("echo one; echo two; exit 3", 10, None).await.unwrap_err();
        assert!(error.message().ends_with(": one; two"), "{}", error.message());
    }

    #[tokio::test]
    async fn a_hook_that_takes_too_long_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let marker = directory.path().join("marker");
        let script = format!("trap '' TERM; (sleep 9; touch '{}') & sleep 30", marker.display());
        let started = Instant::now();
        let error = shell(&script, 1, None).await.unwrap_err();
        assert!(error.message().contains("longer than 1 s"), "{}", error.message());
        assert!(started.elapsed() < Duration::from_secs(9));
        tokio::time::sleep(Duration::from_secs(10).saturating_sub(started.elapsed())).await;
        assert!(!marker.exists(), "a process of its group went on");
    }

    #[tokio::test]
    async fn a_hook_stops_when_its_run_does_and_a_flood_of_output_is_bounded() {
        let cancel = Cancel::new();
        let later = cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            later.cancel();
        });
        let error = shell("exec yes", 60, Some(&cancel)).await.unwrap_err();
        assert_eq!(error.kind, TroubleKind::Stopped);
        let flood = shell("head -c 1000000 /dev/zero | tr '\\0' x", 10, None).await.unwrap();
        assert_eq!(flood.len(), HOOK_OUTPUT_BYTES_MAX);
    }
}
