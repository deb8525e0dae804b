//! Which entries of a point are restored, and under which path.

use crate::read::LeafFilter;
use format::page::{TreeKey, compare_paths};
use std::cmp::Ordering;
use std::sync::Arc;

/// How an entry stands to the selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selected {
    /// Not at all.
    No,
    /// A directory on the way to something selected.
    OnTheWay,
    /// It is selected itself, or something above it is.
    Yes,
}

/// Paths whose entries, with all that is below them, are restored.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Without `/` at start and end; the empty path is everything.
    paths: Arc<Vec<Vec<u8>>>,
    strip: usize,
}

impl Selection {
    /// No paths mean everything.
    pub(crate) fn new(paths: &[Vec<u8>], strip: usize) -> Self {
        let trimmed = |path: &Vec<u8>| {
            let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
            parts.join(&b'/')
        };
        let mut paths: Vec<Vec<u8>> = paths.iter().map(trimmed).collect();
        if paths.is_empty() {
            paths.push(Vec::new());
        }
        Self { paths: Arc::new(paths), strip }
    }

    pub(crate) fn paths(&self) -> &[Vec<u8>] {
        &self.paths
    }

    /// How the entry at this path stands to the selection.
    pub(crate) fn of(&self, path: &[u8]) -> Selected {
        if self.paths.iter().any(|selected| is_at_or_below(path, selected)) {
            return Selected::Yes;
        }
        if self.paths.iter().any(|selected| is_at_or_below(selected, path)) { Selected::OnTheWay } else { Selected::No }
    }

    /// Places of the selected paths that the entry at this path is proof of.
    pub(crate) fn naming<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.paths.iter().enumerate().filter(|(_, selected)| is_at_or_below(path, selected)).map(|(place, _)| place)
    }

    /// Where the entry at this path is restored to; nowhere if it is stripped whole.
    pub(crate) fn target<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = path;
        for _ in 0..self.strip {
            let slash = rest.iter().position(|byte| *byte == b'/')?;
            rest = &rest[slash + 1..];
        }
        Some(rest)
    }

    /// The parts of the tree that hold anything of the selection.
    pub(crate) fn filter(&self) -> LeafFilter {
        let selection = self.clone();
        Arc::new(move |first, end| {
            let Some(first) = first else { return true };
            selection.paths.iter().any(|path| touches(path, first, end))
        })
    }
}

/// Whether `path` is `above` or lies below it.
fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Whether entries from `first` on, before `end`, may hold the entry of the path, of a directory on the way to it, or of
/// something below it.
fn touches(path: &[u8], first: &TreeKey, end: Option<&TreeKey>) -> bool {
    let not_past_end = |directory: &[u8], name: &[u8]| {
        end.is_none_or(|end| {
            compare_paths(directory, &end.directory).then_with(|| name.cmp(end.name.as_slice())) == Ordering::Less
        })
    };
    let below = not_past_end(path, b"")
        && (is_at_or_below(&first.directory, path) || compare_paths(&first.directory, path) == Ordering::Less);
    let mut on_the_way = (0..path.len()).filter(|place| path[*place] == b'/').chain([path.len()]).map(|end| &path[..end]);
    below
        || on_the_way.any(|step| {
            let slash = step.iter().rposition(|byte| *byte == b'/');
            let (directory, name) = slash.map_or((&b""[..], step), |slash| (&step[..slash], &step[slash + 1..]));
            let not_before_first =
                compare_paths(&first.directory, directory).then_with(|| first.name.as_slice().cmp(name)) != Ordering::Greater;
            not_before_first && not_past_end(directory, name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(directory: &str, name: &str) -> TreeKey {
        TreeKey { directory: directory.as_bytes().into(), name: name.into() }
    }

    #[test]
    fn a_selected_directory_brings_what_is_below_it_and_what_is_on_the_way() {
        let selection = Selection::new(&[b"/usr/lib/".to_vec()], 0);
        assert_eq!(selection.of(b"usr"), Selected::OnTheWay);
        assert_eq!(selection.of(b"usr/lib"), Selected::Yes);
        assert_eq!(selection.of(b"usr/lib/a/b"), Selected::Yes);
        assert_eq!(selection.of(b"usr/library"), Selected::No);
        assert_eq!(selection.of(b"us"), Selected::No);
    }

    #[test]
    fn a_path_within_another_selected_one_is_found_too() {
        let selection = Selection::new(&[b"usr".to_vec(), b"usr/lib".to_vec(), b"var".to_vec()], 0);
        assert_eq!(selection.naming(b"usr/lib/a").collect::<Vec<_>>(), [0, 1]);
        assert_eq!(selection.naming(b"usr").collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn stripped_paths_lose_their_first_components() {
        let selection = Selection::new(&[], 2);
        assert_eq!(selection.target(b"a/b/c/d"), Some(&b"c/d"[..]));
        assert_eq!(selection.target(b"a/b"), None);
    }

    #[test]
    fn the_filter_wants_every_part_that_holds_something_selected() {
        let selection = Selection::new(&[b"usr/lib".to_vec()], 0);
        let filter = selection.filter();
        let wants = |first: TreeKey, end: Option<TreeKey>| filter(Some(&first), end.as_ref());
        assert!(wants(key("", "a"), Some(key("usr", "a"))), "holds the entry 'usr'");
        assert!(wants(key("usr", "a"), Some(key("usr", "z"))), "holds the entry 'usr/lib'");
        assert!(!wants(key("usr", "a"), Some(key("usr", "b"))));
        assert!(wants(key("usr/bin", "a"), Some(key("usr/lib", "b"))));
        assert!(wants(key("usr/lib/x", "a"), Some(key("usr/lib/y", "b"))));
        assert!(wants(key("usr/lib/x", "a"), None));
        assert!(!wants(key("usr/libx", "a"), None));
        assert!(!wants(key("usr/bin", "a"), Some(key("usr/lib", ""))));
    }
}
