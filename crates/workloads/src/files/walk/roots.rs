//! The paths that make up a file set, merged into one tree.

use super::ways::Way;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The paths of a file set with the directories that lead to them.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    nodes: Vec<RootNode>,
}

#[derive(Debug, Clone, Default)]
struct RootNode {
    /// Whether everything below belongs to the file set.
    whole: bool,
    children: BTreeMap<Vec<u8>, u32>,
}

/// What of a directory belongs to the file set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Its node, where a root is it or lies below it.
    node: Option<u32>,
    /// Whether everything in it belongs to the file set; otherwise only the ways to roots below it.
    pub(crate) whole: bool,
    /// Where it is among what changed.
    pub(super) way: Way,
}

impl Scope {
    /// Length of [`Scope::to_bytes`].
    pub(super) const BYTES: usize = 9;

    /// A directory within a root.
    #[cfg(test)]
    pub(super) fn whole() -> Self {
        Self { node: None, whole: true, way: Way::Everything }
    }

    /// The same at another place among what changed.
    pub(super) fn at(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// For the queue of subdirectories.
    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = self.node.unwrap_or(u32::MAX).to_le_bytes();
        let [e, f, g, h] = self.way.to_number().to_le_bytes();
        [a, b, c, d, e, f, g, h, u8::from(self.whole)]
    }

    /// From the queue of subdirectories.
    pub(super) fn from_bytes([a, b, c, d, e, f, g, h, whole]: [u8; Self::BYTES]) -> Self {
        let node = u32::from_le_bytes([a, b, c, d]);
        let way = Way::from_number(u32::from_le_bytes([e, f, g, h]));
        Self { node: (node != u32::MAX).then_some(node), whole: whole != 0, way }
    }
}

/// A name in a directory, as the roots see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// Whether it is a root or leads to one: never left out by a pattern or for its file system.
    pub(super) named: bool,
    /// Its scope if nothing leaves it out.
    pub(super) scope: Scope,
    /// Its scope if something that does not apply to named paths leaves it out.
    pub(super) reduced: Scope,
}

impl Roots {
    /// Merges paths in the tree: without `/` at the start, empty for everything.
    pub(crate) fn merge(paths: &[Vec<u8>]) -> Self {
        let mut roots = Self { nodes: vec![RootNode::default()] };
        for path in paths {
            let mut at = 0;
            for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
                let next = roots.nodes.len() as u32;
                let child = *roots.nodes[at].children.entry(name.to_vec()).or_insert(next);
                if child == next {
                    roots.nodes.push(RootNode::default());
                }
                at = child as usize;
            }
            roots.nodes[at].whole = true;
        }
        roots
    }

    /// The scope of `/`.
    pub(super) fn top(&self) -> Scope {
        Scope { node: Some(0), whole: self.nodes[0].whole, way: Way::Everything }
    }

    /// The names in a directory that are roots or lead to one, sorted.
    pub(super) fn names(&self, scope: Scope) -> impl Iterator<Item = &[u8]> {
        let node = scope.node.and_then(|node| self.nodes.get(node as usize));
        node.into_iter().flat_map(|node| node.children.keys().map(Vec::as_slice))
    }

    /// What a name in a directory of this scope is.
    pub(super) fn claim(&self, scope: Scope, name: &[u8]) -> Claim {
        let node = scope.node.and_then(|node| self.nodes.get(node as usize)).and_then(|node| node.children.get(name).copied());
        let named = node.is_some();
        let own = node.is_some_and(|node| self.nodes[node as usize].whole);
        let reduced = Scope { node, whole: own, way: scope.way };
        Claim { named, scope: Scope { whole: own || scope.whole, ..reduced }, reduced }
    }
}

/// The path in the tree of a path that a user named: absolute, symlinks resolved except the last component's own (unless it
/// ends in `/`, as everywhere in Unix).
pub(crate) fn resolve(path: &Path) -> io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let absolute = std::path::absolute(path)?;
    let bytes = path.as_os_str().as_bytes();
    let ends_in_slash = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    let resolved = match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) if !ends_in_slash => parent.canonicalize()?.join(name),
        _ => absolute.canonicalize()?,
    };
    Ok(tree_path(&resolved))
}

/// The path in the tree of something that may not exist (yet).
pub(crate) fn resolve_loosely(path: &Path) -> Vec<u8> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    tree_path(&absolute.canonicalize().unwrap_or(absolute))
}

fn tree_path(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().strip_prefix(b"/").unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_repeated_roots_are_merged() {
        let roots = Roots::merge(&[b"a/b".to_vec(), b"a/b/c/d".to_vec(), b"x".to_vec(), b"a/b".to_vec()]);
        let top = roots.top();
        assert_eq!(roots.names(top).collect::<Vec<_>>(), [b"a", b"x"]);
        let a = roots.claim(top, b"a");
        assert!(a.named && !a.scope.whole);
        let b = roots.claim(a.scope, b"b");
        assert!(b.named && b.scope.whole);
        // Below a root everything belongs to it, and what leads to a further root stays known.
        let c = roots.claim(b.scope, b"c");
        assert!(c.named && c.scope.whole && !c.reduced.whole);
        assert_eq!(roots.names(c.reduced).collect::<Vec<_>>(), [b"d"]);
        let other = roots.claim(b.scope, b"other");
        assert!(!other.named && other.scope.whole);
        assert!(!roots.claim(a.scope, b"other").scope.whole);
    }

    #[test]
    fn the_last_component_of_a_root_is_not_resolved_without_a_slash() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("real")).unwrap();
        std::os::unix::fs::symlink("real", real.join("link")).unwrap();
        std::fs::write(real.join("real/file"), "").unwrap();
        let inside = |name: &str| tree_path(&real.join(name));
        assert_eq!(resolve(&real.join("link")).unwrap(), inside("link"));
        assert_eq!(resolve(&real.join("link/")).unwrap(), inside("real"));
        assert_eq!(resolve(&real.join("link/file")).unwrap(), inside("real/file"));
        assert_eq!(resolve(&real.join("real/..")).unwrap(), tree_path(&real));
        assert_eq!(resolve(Path::new("/")).unwrap(), b"");
        assert!(resolve(&real.join("missing/file")).is_err());
    }
}
