//! What this machine lets the service ask for: its own configuration, which the service cannot change.
//!
//! Invariant: what is not in here, or cannot be read, is the safe default: nothing runs but backups and restores into a directory of
//! the agent's own. What the service asks beyond is refused, and the refusal stands on the job's record.

mod commands;
mod places;
mod scope;
mod way;

pub(crate) use places::Destination;
pub use scope::{Refusal, Scope};

use crate::error::{AgentError, Result};
use crate::limits;
use crate::power::SUPPLIES;
use format::ItemName;
use rustix::process::geteuid;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Others may not write the file: group and everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What the service may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// What may be backed up, with everything below.
    pub allowed: Vec<PathBuf>,
    /// What is always left out.
    pub never: Vec<PathBuf>,
    /// Where restores may go besides the staging directory.
    pub restore_to: Vec<PathBuf>,
    /// Where restores go that name no directory. None: a directory in the agent's state.
    pub staging: Option<PathBuf>,
    /// Whether hooks may run at all.
    pub hooks: bool,
    /// The commands that may, each word of them.
    pub hook_commands: Vec<Vec<String>>,
    /// What items have in them at least, whatever the service says.
    pub least: BTreeMap<String, LeastScope>,
    /// Scheduled jobs at once.
    pub jobs: usize,
    /// Level of compression. None: the usual ones.
    pub level: Option<i32>,
    /// Threads that read, of one backup. None: the usual number.
    pub readers: Option<usize>,
    /// Whether the service hears the paths that jobs warn of; otherwise kinds and counts only.
    pub tell_paths: bool,
    /// Whether only what has changed is walked, where the kernel told it.
    pub journal: JournalUse,
    /// After so many days everything is walked whatever is known.
    pub walk_everything_days: u32,
    /// Where the machine shows what powers it. None: where Linux does.
    pub power_supplies: Option<PathBuf>,
}

/// When a backup may go by what the kernel told of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalUse {
    /// Never: everything is walked.
    #[default]
    Off,
    /// Where nothing can have changed unseen.
    Safe,
    /// Also where something that writes cannot be looked at, and may be changing files that it has open.
    Lenient,
}

/// What an item has in it at least.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeastScope {
    /// These paths.
    pub paths: Vec<PathBuf>,
    /// This is left out of it, and nothing that the service wants left out.
    #[serde(default)]
    pub excludes: Vec<String>,
    /// Other mounted file systems are left out.
    #[serde(default)]
    pub one_file_system: bool,
    /// Directories with a CACHEDIR.TAG are left out.
    #[serde(default)]
    pub exclude_caches: bool,
    /// What has the nodump flag is left out.
    #[serde(default)]
    pub exclude_nodump: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            allowed: vec![PathBuf::from("/")],
            never: Vec::new(),
            restore_to: Vec::new(),
            staging: None,
            hooks: false,
            hook_commands: Vec::new(),
            least: BTreeMap::new(),
            jobs: 2,
            level: None,
            readers: None,
            tell_paths: true,
            journal: JournalUse::Off,
            walk_everything_days: 7,
            power_supplies: None,
        }
    }
}

impl Bounds {
    /// Reads the configuration; the defaults where there is none. Whoever could write it could make the agent do anything: a file
    /// that others can write is refused.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |source| AgentError::Read { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        let is_own = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
        if !is_own || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(AgentError::Unguarded { path: path.to_owned() });
        }
        let mut text = String::new();
        file.take(limits::CONFIGURATION_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > limits::CONFIGURATION_BYTES_MAX {
            return Err(wrong(path, format!("it has more than {} bytes", limits::CONFIGURATION_BYTES_MAX)));
        }
        let bounds: Self =
            toml::from_str(&text).map_err(|error| AgentError::Syntax { path: path.to_owned(), source: Box::new(error) })?;
        bounds.check().map_err(|what| wrong(path, what))?;
        Ok(bounds)
    }

    /// Where the machine shows what powers it.
    #[must_use]
    pub fn power_supplies(&self) -> &Path {
        self.power_supplies.as_deref().unwrap_or(Path::new(SUPPLIES))
    }

    fn check(&self) -> Result<(), String> {
        for (name, paths) in [("allowed", &self.allowed), ("never", &self.never), ("restore_to", &self.restore_to)] {
            check_paths(name, paths)?;
        }
        for (name, path) in [("staging", &self.staging), ("power_supplies", &self.power_supplies)] {
            check_paths(name, path.as_slice())?;
        }
        if self.least.len() > limits::LEAST_SCOPES_MAX {
            return Err(format!("there are more than {} least scopes", limits::LEAST_SCOPES_MAX));
        }
        for (item, least) in &self.least {
            ItemName::new(item).map_err(|error| format!("least.{item}: {error}"))?;
            check_paths(&format!("least.{item}.paths"), &least.paths)?;
            if least.paths.is_empty() || least.excludes.len() > limits::PATHS_MAX {
                return Err(format!("least.{item} has 1 to {max} paths and up to {max} excludes", max = limits::PATHS_MAX));
            }
        }
        if self.hook_commands.len() > limits::HOOK_COMMANDS_MAX {
            return Err(format!("hook_commands has more than {} commands", limits::HOOK_COMMANDS_MAX));
        }
        if let Some(command) = self.hook_commands.iter().find(|words| !is_command(words)) {
            return Err(format!("hook_commands: {command:?} does not begin with the absolute path of a program"));
        }
        let in_range = |name: &str, value: usize, most: usize| match value {
            1.. if value <= most => Ok(()),
            _ => Err(format!("{name} is from 1 to {most}")),
        };
        in_range("jobs", self.jobs, limits::JOBS_MAX)?;
        in_range("walk_everything_days", self.walk_everything_days as usize, limits::WALK_EVERYTHING_DAYS_MAX)?;
        in_range("readers", self.readers.unwrap_or(1), limits::READERS_MAX)?;
        in_range("level", usize::try_from(self.level.unwrap_or(1)).unwrap_or(0), limits::LEVEL_MAX as usize)
    }
}

fn wrong(path: &Path, what: String) -> AgentError {
    AgentError::Configuration { path: path.to_owned(), what }
}

fn check_paths(name: &str, paths: &[PathBuf]) -> Result<(), String> {
    if paths.len() > limits::PATHS_MAX {
        return Err(format!("{name} has more than {} paths", limits::PATHS_MAX));
    }
    match paths.iter().find(|path| !is_plain(path)) {
        Some(path) => Err(format!("{name}: '{}' is not absolute, or has '..' in it", path.display())),
        None => Ok(()),
    }
}

fn is_command(words: &[String]) -> bool {
    words.first().is_some_and(|program| is_plain(Path::new(program)) && program != "/")
}

/// Absolute, and without steps back.
pub(crate) fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn load(text: &str) -> Result<Bounds> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Bounds::load(&path)
    }

    #[test]
    fn without_a_configuration_nothing_runs_but_backups_and_restores_into_staging() {
        let bounds = Bounds::load(Path::new("/nowhere/agent.toml")).unwrap();
        assert_eq!(bounds, Bounds::default());
        assert!(!bounds.hooks && bounds.restore_to.is_empty() && bounds.hook_commands.is_empty());
    }

    #[test]
    fn a_whole_configuration_is_read() {
        let bounds = load(
            "allowed = ['/srv', '/etc']\nnever = ['/srv/secret']\nrestore_to = ['/srv/restored']\nstaging = '/srv/staging'\n\
             hooks = true\nhook_commands = [['/usr/local/bin/freeze', '--all']]\njobs = 3\nlevel = 5\nreaders = 4\n\
             journal = 'safe'\nwalk_everything_days = 1\n\
             [least.files]\npaths = ['/etc']\nexcludes = ['*.tmp']\n",
        );
        let bounds = bounds.unwrap();
        assert_eq!((bounds.jobs, bounds.level, bounds.readers, bounds.hooks), (3, Some(5), Some(4), true));
        assert_eq!((bounds.journal, bounds.walk_everything_days), (JournalUse::Safe, 1));
        assert_eq!(bounds.least["files"].excludes, ["*.tmp"]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, expected) in [
            ("allowed = ['srv']", "allowed"),
            ("never = ['/srv/../etc']", "never"),
            ("power_supplies = 'sys'", "power_supplies"),
            ("jobs = 0", "jobs"),
            ("jobs = 99", "jobs"),
            ("level = 20", "level"),
            ("level = -1", "level"),
            ("readers = 0", "readers"),
            ("walk_everything_days = 0", "walk_everything_days"),
            ("walk_everything_days = 100", "walk_everything_days"),
            ("hook_commands = [['sh', '-c', 'x']]", "hook_commands"),
            ("hook_commands = [[]]", "hook_commands"),
            ("[least.Files]\npaths = ['/etc']", "least.Files"),
            ("[least.files]\npaths = []", "least.files"),
        ] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        for misspelt in ["allow = ['/']", "journal = true", "journal = 'sometimes'"] {
            assert!(matches!(load(misspelt), Err(AgentError::Syntax { .. })), "a misspelt bound is no bound");
        }
    }

    #[test]
    fn a_configuration_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        fs::write(&path, "jobs = 1").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        assert!(matches!(Bounds::load(&path), Err(AgentError::Unguarded { .. })));
    }
}
