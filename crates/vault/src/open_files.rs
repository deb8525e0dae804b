//! How many connections the process may hold: each is an open file.

/// Files that are open beside connections: objects, databases, segments of the index.
const OTHERS: u64 = 512;

/// Raises the limit of open files as far as so many connections need it and it goes, and answers how many there may be.
pub(crate) fn connections_within(wanted: usize) -> usize {
    let files = system::raise_open_files((wanted as u64).saturating_add(OTHERS));
    let connections = capped(wanted, files);
    if connections < wanted {
        tracing::warn!(wanted, connections, files, "the limit of open files allows fewer connections than are configured");
    }
    connections
}

/// At least one: a service that accepts nothing is of no use, and says why when files run out.
fn capped(wanted: usize, files: u64) -> usize {
    let free = files.saturating_sub(OTHERS).max(files / 2).max(1);
    wanted.min(usize::try_from(free).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::capped;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(capped(10_000, 20_000), 10_000);
        assert_eq!(capped(10_000, 1024), 512);
        assert_eq!(capped(10_000, 4096), 3584);
        assert_eq!(capped(10_000, 100), 50);
        assert_eq!(capped(10_000, 0), 1);
    }
}
