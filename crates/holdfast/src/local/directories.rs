//! Where Holdfast keeps its own files: XDG directories for users, system directories for root.
//!
//! An XDG variable that is set counts for root too.

use std::env;
use std::path::PathBuf;

/// Configuration (keys, pins) and state (what was seen last).
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    pub(crate) config: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) cache: PathBuf,
}

impl Directories {
    /// The directories of the current user.
    pub(crate) fn of_user() -> Self {
        Self {
            config: find("XDG_CONFIG_HOME", ".config", "/etc/holdfast"),
            state: find("XDG_STATE_HOME", ".local/state", "/var/lib/holdfast"),
            cache: find("XDG_CACHE_HOME", ".cache", "/var/cache/holdfast"),
        }
    }
}

fn find(variable: &str, below_home: &str, of_root: &str) -> PathBuf {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    if let Some(directory) = env::var_os(variable).map(PathBuf::from).and_then(absolute) {
        return directory.join("holdfast");
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from(of_root);
    }
    let home = env::var_os("HOME").map(PathBuf::from).and_then(absolute).unwrap_or_else(|| PathBuf::from("/"));
    home.join(below_home).join("holdfast")
}
