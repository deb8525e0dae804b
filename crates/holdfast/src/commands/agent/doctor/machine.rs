//! What can be seen of the machine alone: files and their rights, the agent that runs, its supervisor.

use super::Findings;
use crate::local::Directories;
use crate::terminal;
use agent::{Glance, JournalUse};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Less room than this is soon none.
const ROOM_BYTES_MIN: u64 = 1 << 30;
/// What was kept is old after so long without a word of the service.
const KEPT_MS_MAX: i64 = 24 * 3_600_000;
/// The capabilities with which everything can be read, all processes be looked at, and attributes 'trusted.*' be seen (capabilities(7)).
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
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
            let shown = terminal::counted(items as u64, "item", "items");
            let words = format!("{shown}, revision {}, received {age} ago", kept.protection.revision);
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
            let reports = terminal::counted(count as u64, "report of a job waits", "reports of jobs wait");
            findings.look("reports", format!("{reports} for the service"), mend);
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
    let state = ask_systemd(&["is-active", UNIT])?.trim().to_owned();
    Some(if state.is_empty() { "unknown".to_owned() } else { state })
}

fn ask_systemd(question: &[&str]) -> Option<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let asked = Command::new("systemctl").args(question).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&asked.stdout).into_owned())
}

/// What the agent may read: the process that systemd runs, or one that this user would start.
pub(super) fn rights(findings: &mut Findings) {
    let status = status_of_agent();
    if !reads_everything(&status) {
        let mend = "let the agent run as root, or with CAP_DAC_READ_SEARCH, as its unit does";
        return findings.look("rights", "this user does not read everything: what it cannot read is not backed up", mend);
    }
    let shown = if is_root(&status) { "root" } else { "not root" };
    if has_capability(&status, CAP_SYS_ADMIN) {
        return findings.well("rights", format!("{shown}: it reads everything"));
    }
    // So it is by default, and few machines have any: nothing to be looked at every time.
    let words = "it reads everything but extended attributes 'trusted.*' (overlayfs, GlusterFS), which take CAP_SYS_ADMIN";
    findings.well("rights", format!("{shown}: {words}"));
}

/// Whether the agent can follow changes, if it is to.
pub(super) fn journal(findings: &mut Findings, wanted: JournalUse) {
    if wanted == JournalUse::Off {
        return;
    }
    let status = status_of_agent();
    let needed =
        [("CAP_SYS_ADMIN", CAP_SYS_ADMIN), ("CAP_DAC_READ_SEARCH", CAP_DAC_READ_SEARCH), ("CAP_SYS_PTRACE", CAP_SYS_PTRACE)];
    let needed = needed.into_iter().filter(|(_, capability)| *capability != CAP_SYS_PTRACE || wanted == JournalUse::Safe);
    let lacks: Vec<&str> = needed.filter(|(_, capability)| !has_capability(&status, *capability)).map(|(name, _)| name).collect();
    if lacks.is_empty() {
        return findings.well("journal", "the agent may follow changes; each job's log says whether it could");
    }
    let mend = "docs/agent.md, 'Change journal', has the lines for the unit; or take 'journal' out of agent.toml";
    findings.look("journal", format!("the agent lacks {}: everything is walked", lacks.join(", ")), mend);
}

/// The status of the process that systemd runs, or of one that this user would start.
fn status_of_agent() -> String {
    let process = ask_systemd(&["show", "--property=MainPID", "--value", UNIT]);
    let process = process.map(|process| process.trim().to_owned()).filter(|process| !matches!(process.as_str(), "" | "0"));
    let status = process.and_then(|process| std::fs::read_to_string(format!("/proc/{process}/status")).ok());
    status.or_else(|| std::fs::read_to_string("/proc/self/status").ok()).unwrap_or_default()
}

/// Whether a process reads all files, by its status as `/proc` shows it.
fn reads_everything(status: &str) -> bool {
    [CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE].into_iter().any(|capability| has_capability(status, capability))
}

fn is_root(status: &str) -> bool {
    // Real, effective, saved, of the file system.
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    users.is_some_and(|users| users.split_whitespace().nth(1) == Some("0"))
}

fn has_capability(status: &str, capability: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    effective >> capability & 1 == 1
}

/// Whether the unit lets restores be written where they go.
pub(super) fn sandbox(findings: &mut Findings, staging: &Path, restore_to: &[PathBuf]) {
    let question =
        ["ProtectSystem", "ReadWritePaths", "StateDirectory", "CacheDirectory"].map(|name| format!("--property={name}"));
    let question: Vec<&str> = ["show", UNIT].into_iter().chain(question.iter().map(String::as_str)).collect();
    let Some(properties) = ask_systemd(&question) else { return };
    let places = [("staging", staging)].into_iter().chain(restore_to.iter().map(|path| ("restore_to", path.as_path())));
    for (field, path) in places.filter(|(_, path)| is_read_only(&properties, path)) {
        let shown = path.display();
        let mend = format!("'systemctl edit {UNIT}', below [Service] a line 'ReadWritePaths={shown}', and make the directory");
        findings.look(field, format!("to the unit '{shown}' is read-only: restores that go there fail"), mend);
    }
}

/// Whether a path is read-only to a unit with these properties, as `systemctl show` prints them (systemd.exec(5)).
fn is_read_only(properties: &str, path: &Path) -> bool {
    let words = |name: &str| {
        let value = properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let below =
        |directory: &str, names: Vec<String>| names.into_iter().map(|name| Path::new(directory).join(name)).collect::<Vec<_>>();
    let named = words("ReadWritePaths").into_iter().map(|word| PathBuf::from(word.trim_start_matches(['-', '+'])));
    let mut open = named.chain(below("/var/lib", words("StateDirectory"))).chain(below("/var/cache", words("CacheDirectory")));
    words("ProtectSystem") == ["strict"] && !open.any(|open| path.starts_with(open))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_the_unit_read_everything_but_trusted_attributes() {
        let unit = "Name:\tholdfast\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000004\n";
        assert!(is_root(unit) && reads_everything(unit) && !has_capability(unit, CAP_SYS_ADMIN));
        let root = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n";
        assert!(reads_everything(root) && has_capability(root, CAP_SYS_ADMIN));
        let user = "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\n";
        assert!(!is_root(user) && !reads_everything(user));
    }

    #[test]
    fn to_the_unit_everything_is_read_only_but_its_own_directories_and_those_that_are_named() {
        let unit =
            "ProtectSystem=strict\nReadWritePaths=/srv/restored -/mnt/later\nStateDirectory=holdfast\nCacheDirectory=holdfast\n";
        for (path, expected) in [
            ("/var/lib/holdfast/restores", false),
            ("/srv/restored", false),
            ("/srv/restored/below", false),
            ("/mnt/later/x", false),
            ("/srv/staging", true),
            ("/srv/restored2", true),
        ] {
            assert_eq!(is_read_only(unit, Path::new(path)), expected, "{path}");
        }
        assert!(!is_read_only("ProtectSystem=no\nReadWritePaths=\n", Path::new("/srv/staging")));
    }
}
