//! `holdfast agent run`

use crate::cli::Global;
use crate::failure::{Exit, Failure, Outcome};
use crate::local::Protector;
use crate::terminal;
use agent::{Agent, Bounds, JobCounts, SystemClock};
use clap::Args;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Protect this machine: back its items up by their schedules, and do what the vault service asks, within this machine's own bounds.
///
/// Runs until SIGTERM or Ctrl-C; jobs that run then go on at the next start, and a second signal ends it at once. What the service may ask
/// for is bounded by agent.toml in the configuration directory. The agent starts also while the service is away, and goes on by what it
/// knows. Without --vault it protects with the vault that this machine is enrolled in.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Do what is due and what is asked for now, then end.
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> Outcome<Exit> {
    write_log(global);
    let end = end_on_signals()?;
    let protector = Protector::find(global)?;
    let bounds = Bounds::load(&protector.bounds_path())?;
    let agent = Agent {
        service: protector.login.options()?,
        domain: protector.domain,
        secrets: protector.secrets.clone(),
        trust: Arc::new(protector.witness()),
        places: protector.places(bounds.staging.as_ref()),
        bounds,
        host: terminal::host_name(),
        program: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        clock: Arc::new(SystemClock),
        once: arguments.once,
    };
    let open = agent.open()?;
    tell_supervisor("READY=1");
    let is_ended = AtomicBool::new(false);
    let outcome = open
        .run(async {
            // Its other end lives as long as the process.
            let _ = end.await;
            is_ended.store(true, Ordering::Relaxed);
            tell_supervisor("STOPPING=1");
        })
        .await;
    let counts = outcome?;
    match (arguments.once, is_ended.into_inner()) {
        // To be ended is how it ends.
        (false, _) => Ok(Exit::Clean),
        (true, true) => Ok(Exit::Interrupted),
        (true, false) => exit_of(&counts),
    }
}

/// What doing once what there was to do ends with, as a command that waits for one job does.
fn exit_of(counts: &JobCounts) -> Outcome<Exit> {
    if counts.failed > 0 {
        let heading = format!("{} of {} failed", counts.failed, terminal::counted(counts.jobs, "job", "jobs"));
        return Err(Failure::new(Exit::Failed, heading).with_hint("the lines above say why, and so does 'holdfast job list'"));
    }
    Ok(match (counts.cancelled, counts.warned) {
        (1.., _) => Exit::Interrupted,
        (0, 1..) => Exit::Warnings,
        (0, 0) => Exit::Clean,
    })
}

/// Lines on standard error; a supervisor adds the time.
fn write_log(global: &Global) {
    let most = if global.quiet { tracing::Level::WARN } else { tracing::Level::INFO };
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(most).with_ansi(false).with_target(false);
    // Only one who has set another before can be in the way, and that is nobody.
    let _ = match global.json {
        true => log.json().try_init(),
        false => log.without_time().try_init(),
    };
}

/// Resolves at the first signal to end. The second ends the process.
fn end_on_signals() -> Outcome<oneshot::Receiver<()>> {
    let listen = |kind| signal(kind).map_err(|error| Failure::io("cannot listen for signals", &error));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (end, ended) = oneshot::channel();
    tokio::spawn(async move {
        let mut end = Some(end);
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match end.take() {
                // Whoever waited may have ended by itself.
                Some(end) => drop(end.send(())),
                None => std::process::exit(i32::from(Exit::Interrupted as u8)),
            }
        }
    });
    Ok(ended)
}

/// Tells systemd, if it started this process and wants to know (sd_notify(3)).
fn tell_supervisor(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let send = || UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address?);
    if let Err(error) = send() {
        tracing::warn!(%error, "cannot tell the supervisor that the agent runs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_once_ends_as_its_jobs_did() {
        let code = |failed, cancelled, warned| {
            let counts = JobCounts { jobs: 9, failed, cancelled, warned };
            exit_of(&counts).unwrap_or_else(|failure| failure.exit) as u8
        };
        assert_eq!((code(0, 0, 0), code(0, 0, 1), code(0, 1, 1), code(1, 1, 1)), (0, 3, 130, 1));
    }
}
