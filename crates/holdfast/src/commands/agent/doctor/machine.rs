//! What can be seen of the machine alone: files and their rights, the agent that runs, its supervisor.

use super::Findings;
use crate::local::Directories;
use crate::terminal;
use agent::Glance;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Less room than this is soon none.
const ROOM_BYTES_MIN: u64 = 1 << 30;
/// What was kept is old after so long without a word of the service.
const KEPT_MS_MAX: i64 = 24 * 3_600_000;
/// The capability with which everything can be read (capabilities(7)).
const CAP_DAC_READ_SEARCH: u32 = 2;
const UNIT: &str = "holdfast-agent.service";

pub(super) fn configuration(findings: &mut Findings, directories: &Directories) {
    let path = &directories.config;
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let mend = "'holdfast agent enroll' makes it; run the doctor as the user that the agent runs as";
            return findings.broken("configuration", format!("'{shown}' cannot be looked at: {error}"), mend);
        }
    };
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let words = format!("'{shown}' belongs to another user ({})", metadata.uid());
        return findings.look("configuration", words, "run the doctor as the user that the agent runs as");
    }
    if metadata.mode() & 0o022 != 0 {
        let words = format!("'{shown}' can be written by others: they could change what the service may ask for");
        return findings.broken("configuration", words, format!("chmod 700 '{shown}'"));
    }
    findings.well("configuration", format!("'{shown}'"));
}

pub(super) fn state(findings: &mut Findings, glance: &Glance) {
    for damaged in &glance.damaged {
        let mend = "the agent sets it aside when it starts, and asks the service again";
        findings.look("state", format!("damaged: {damaged}"), mend);
    }
    match &glance.protection {
        None => {
            findings.look("protection", "it is not known yet what is protected", "start the agent while the service is there")
        }
        Some(kept) => {
            let age_ms = terminal::now_ms().saturating_sub(kept.received_ms);
            let age = terminal::seconds(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)));
            let items = kept.protection.items.len();
            let words = format!("{items} items, revision {}, received {age} ago", kept.protection.revision);
            match items {
                0 => findings.look("protection", words, "'holdfast item set' where the administrator is protects something"),
                _ if age_ms < 0 => findings.look("protection", "it was received in the future", "set the clock"),
                // Without changes nothing new is received: an old one is no fault as long as the agent is connected.
                _ if age_ms > KEPT_MS_MAX && !glance.running => {
                    findings.look("protection", words, "start the agent: what is protected may have changed");
                }
                _ => findings.well("protection", words),
            }
        }
    }
    match glance.reports {
        0 => findings.well("reports", "the service has heard of everything"),
        count => {
            let mend = "they are sent when the service is there and the agent runs";
            findings.look("reports", format!("{count} reports of jobs wait for the service"), mend);
        }
    }
}

pub(super) fn supervisor(findings: &mut Findings, running: bool) {
    let unit = unit_state();
    let words = |state: &str| format!("{UNIT} is {state}");
    match (running, unit.as_deref()) {
        (true, Some("active")) => findings.well("agent", format!("it runs; {}", words("active"))),
        (true, Some(state)) => {
            let mend = format!("'systemctl enable --now {UNIT}' lets systemd start it, also after a restart");
            findings.look("agent", format!("it runs, started by hand: {}", words(state)), mend);
        }
        (true, None) => findings.well("agent", "it runs"),
        (false, Some(state)) => {
            let mend = format!("'systemctl enable --now {UNIT}', then 'journalctl -u {UNIT}' says what it did");
            findings.broken("agent", format!("no agent runs: {}; nothing is backed up by itself", words(state)), mend);
        }
        (false, None) => findings.broken("agent", "no agent runs; nothing is backed up by itself", "start 'holdfast agent run'"),
    }
}

/// What systemd says of the unit, where there is systemd.
fn unit_state() -> Option<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let asked = Command::new("systemctl").args(["is-active", UNIT]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let state = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    Some(if state.is_empty() { "unknown".to_owned() } else { state })
}

pub(super) fn rights(findings: &mut Findings) {
    if rustix::process::geteuid().is_root() {
        return findings.well("rights", "root: it reads everything");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    if effective >> CAP_DAC_READ_SEARCH & 1 == 1 {
        return findings.well("rights", "not root, and it may read everything");
    }
    let mend = "let the agent run as root, or with CAP_DAC_READ_SEARCH, as its unit does";
    findings.look("rights", "this user does not read everything: what it cannot read is not backed up", mend);
}

pub(super) fn staging(findings: &mut Findings, staging: &Path) {
    let shown = staging.display();
    if let Ok(metadata) = std::fs::symlink_metadata(staging) {
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            let words = format!("'{shown}' is no directory of this user: restores fail");
            return findings.broken("staging", words, "move it away, or set 'staging' in agent.toml to another directory");
        }
        if metadata.mode() & 0o077 != 0 {
            let words = format!("'{shown}' can be read by others: restored files of all users lie in it");
            return findings.look("staging", words, format!("chmod 700 '{shown}'"));
        }
    }
    let there = staging.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(room) => {
            let bytes = room.f_bavail.saturating_mul(room.f_frsize);
            let words = format!("restores go to '{shown}', where {} are free", terminal::bytes(bytes));
            match bytes < ROOM_BYTES_MIN {
                true => findings.look("staging", words, "make room, or set 'staging' in agent.toml to a larger disk"),
                false => findings.well("staging", words),
            }
        }
        Err(error) => {
            findings.look("staging", format!("'{}' cannot be looked at: {error}", there.display()), "restores may fail")
        }
    }
}
