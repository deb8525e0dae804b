//! Limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most files that the limit is raised to, where that is allowed.
const OPEN_FILES_WANTED: u64 = 16_384;

/// Raises the soft limit of open files towards the hard one and answers what it is now.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return OPEN_FILES_WANTED };
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(OPEN_FILES_WANTED);
    if wanted > current && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).is_ok() {
        return wanted;
    }
    current
}
