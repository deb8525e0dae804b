//! Limits of the process.

/// Most files that the limit is raised to, where that is allowed.
const OPEN_FILES_WANTED: u64 = 16_384;

/// Raises the soft limit of open files towards the hard one and answers what it is now.
pub fn raise_open_files() -> u64 {
    system::raise_open_files(OPEN_FILES_WANTED)
}
