//! Traces of the machine that something was written on: paths of its users, hosts of package registries.

use super::Finding;
use super::rust_source::is_name;
use super::tree::Tree;
use std::collections::BTreeSet;
use std::path::Path;

/// Put together here so that this file does not find itself.
const PATHS: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];
const HOSTS: [&str; 9] = [
    concat!("crates", ".io"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
    concat!("npm", "js.com"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
    concat!("localhost:", "8081"),
];
/// Written by tools, which name the registry as they must.
const WRITTEN_BY_TOOLS: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// The paths of the machine that this runs on: the checkout and the user's home.
pub(super) fn own_paths(root: &Path) -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let paths = [root.to_string_lossy().into_owned(), home].map(|path| format!("{}/", path.trim_end_matches('/')));
    paths.into_iter().filter(|path| path.len() > 2).collect()
}

/// Findings about traces; `own` are the paths of the machine at hand.
pub(super) fn check(tree: &Tree, own: &[String]) -> Vec<Finding> {
    let paths: BTreeSet<&str> = PATHS.into_iter().chain(own.iter().map(String::as_str)).collect();
    let written = |path: &str| WRITTEN_BY_TOOLS.iter().any(|name| path.ends_with(name));
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| !written(path)) {
        for (number, line) in text.lines().enumerate() {
            let traces =
                paths.iter().filter(|word| has_path(line, word)).chain(HOSTS.iter().filter(|host| line.contains(**host)));
            findings.extend(traces.map(|trace| Finding::at(path, number + 1, format!("a trace of somebody's machine: {trace}"))));
        }
    }
    findings
}

/// Whether the line has a path that starts like this (and not one that only contains it).
fn has_path(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    line.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let behind = bytes.get(at + word.len()).copied();
        let starts = !before.is_some_and(|byte| is_name(byte) || matches!(byte, b'.' | b'-' | b'/' | b'}' | b'>' | b')' | b'*'));
        let ends = if word.ends_with('/') {
            behind.is_some_and(is_name)
        } else {
            !behind.is_some_and(|byte| is_name(byte) || byte == b'-')
        };
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::{HOSTS, PATHS, Tree, check};

    fn findings(text: &str) -> usize {
        check(&Tree::of(&[("docs/a.md", text)]), &["/home/anna/".to_owned()]).len()
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for path in [PATHS[0], PATHS[1], "/home/anna/"] {
            let whole = format!("{path}x");
            assert_eq!(findings(&whole), 1, "{whole}");
            assert_eq!(findings(&format!("see `{whole}`")), 1, "{whole}");
            assert_eq!(findings(&format!("vault{whole}")), 0, "{whole}");
        }
        assert_eq!(findings("/homework, /home/a, /rootless/x, /home, the /home/ directory, root:x:0:0:root:/root:/bin/sh"), 0);
    }

    #[test]
    fn registry_hosts_are_found_but_not_in_lock_files() {
        for host in HOSTS {
            assert_eq!(findings(&format!("https://{host}/x")), 1, "{host}");
        }
        assert!(check(&Tree::of(&[("Cargo.lock", HOSTS[0])]), &[]).is_empty());
    }
}
