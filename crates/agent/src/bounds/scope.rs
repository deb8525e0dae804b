//! What of an item's scope this machine lets be backed up.

use super::{Bounds, LeastScope, is_plain};
use crate::trouble::{Trouble, TroubleKind};
use api::FileScope;
use format::ItemName;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use workloads::files::FileSetOptions;

/// A path that the service wants and this machine does not give, or not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The path, as the service wrote it.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What an item has in it on this machine.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// What is backed up, resolved: a symlink on the way to it led here.
    pub roots: Vec<PathBuf>,
    /// What is wanted and not there.
    pub missing: Vec<(PathBuf, String)>,
    /// What is wanted and not allowed.
    pub refused: Vec<Refusal>,
    /// Whether this machine's least scope counts instead of what the service leaves out.
    pub is_least: bool,
    excludes: Vec<String>,
    includes: Vec<String>,
    one_file_system: bool,
    exclude_caches: bool,
    exclude_nodump: bool,
}

impl Bounds {
    /// What of this is allowed. Whether there is anything left is for the caller to see.
    #[must_use]
    pub fn scope(&self, item: &ItemName, wanted: &FileScope) -> Scope {
        let mut scope = match self.least.get(item.as_str()) {
            Some(least) => Scope::of_least(least),
            None => Scope::of_service(wanted),
        };
        let least = self.least.get(item.as_str()).map(|least| least.paths.as_slice()).unwrap_or_default();
        for path in least.iter().cloned().chain(wanted.paths.iter().map(PathBuf::from)) {
            match is_plain(&path) {
                // What the machine's own configuration wants is allowed by it.
                true if least.contains(&path) => match resolve(&path) {
                    Ok(root) => scope.roots.push(root),
                    Err(error) => scope.missing.push((path, error.to_string())),
                },
                true => self.add(&mut scope, path),
                false => scope.refused.push(Refusal { path, why: "it is not absolute, or has '..' in it".to_owned() }),
            }
        }
        scope.roots.sort();
        scope.roots.dedup();
        // Both may name the same path: of one that is missing there is one warning.
        let (mut missing, mut refused) = (BTreeSet::new(), BTreeSet::new());
        scope.missing.retain(|(path, _)| missing.insert(path.clone()));
        scope.refused.retain(|refusal| refused.insert(refusal.path.clone()));
        scope
    }

    fn add(&self, scope: &mut Scope, path: PathBuf) {
        let root = match resolve(&path) {
            Ok(root) => root,
            // Whether something is there is no business of who may not have it.
            Err(_) if !self.allowed.iter().any(|allowed| path.starts_with(allowed)) => {
                let why = "this machine does not allow it to be backed up".to_owned();
                return scope.refused.push(Refusal { path, why });
            }
            Err(error) => return scope.missing.push((path, error.to_string())),
        };
        let allowed: Vec<PathBuf> = self.allowed.iter().map(|path| resolve(path).unwrap_or_else(|_| path.clone())).collect();
        if allowed.iter().any(|allowed| root.starts_with(allowed)) {
            return scope.roots.push(root);
        }
        let parts: Vec<PathBuf> = allowed.into_iter().filter(|allowed| allowed.starts_with(&root)).collect();
        let shown = parts.iter().map(|part| format!("'{}'", part.display())).collect::<Vec<_>>().join(", ");
        let why = match parts.as_slice() {
            [] => "this machine does not allow it to be backed up".to_owned(),
            _ => format!("of it this machine allows only {shown} to be backed up"),
        };
        scope.refused.push(Refusal { path, why });
        for part in parts {
            match std::fs::symlink_metadata(&part) {
                Ok(_) => scope.roots.push(part),
                Err(error) => scope.missing.push((part, error.to_string())),
            }
        }
    }

    /// Whether a root that was resolved again is still within what is allowed: it may have been replaced by a symlink meanwhile.
    pub(crate) fn still_allows(&self, scope: &Scope, roots: &[Vec<u8>]) -> Result<(), Trouble> {
        let known =
            |root: &Vec<u8>| scope.roots.iter().any(|known| known.as_os_str().as_bytes().strip_prefix(b"/") == Some(root));
        match roots.iter().find(|root| !known(root)) {
            None => Ok(()),
            Some(_) => Err(Trouble::refused("a path of the item led somewhere else when it was looked at again")),
        }
    }
}

impl Scope {
    fn of_service(wanted: &FileScope) -> Self {
        Self {
            excludes: wanted.excludes.clone(),
            includes: wanted.includes.clone(),
            one_file_system: wanted.one_file_system,
            exclude_caches: wanted.exclude_caches,
            exclude_nodump: wanted.exclude_nodump,
            ..Self::default()
        }
    }

    fn of_least(least: &LeastScope) -> Self {
        Self {
            is_least: true,
            excludes: least.excludes.clone(),
            one_file_system: least.one_file_system,
            exclude_caches: least.exclude_caches,
            exclude_nodump: least.exclude_nodump,
            ..Self::default()
        }
    }

    /// Fails if nothing is left.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        if !self.roots.is_empty() {
            return Ok(());
        }
        match (self.missing.first(), self.refused.first()) {
            (Some((path, why)), _) => {
                let message = format!("no path of the item is there: '{}': {why}", path.display());
                Err(Trouble::new(TroubleKind::Failed, message))
            }
            (None, Some(Refusal { path, why })) => Err(Trouble::refused(format!("'{}': {why}", path.display()))
                .with_hint("'allowed' of agent.toml says what may be backed up")),
            (None, None) => Err(Trouble::new(TroubleKind::Failed, "the item has no paths")),
        }
    }

    /// As a file set. What `skip` names is left out always.
    pub(crate) fn to_options(&self, skip: Vec<PathBuf>, readers: usize) -> FileSetOptions {
        FileSetOptions {
            roots: self.roots.clone(),
            excludes: self.excludes.clone(),
            includes: self.includes.clone(),
            one_file_system: self.one_file_system,
            exclude_caches: self.exclude_caches,
            exclude_nodump: self.exclude_nodump,
            skip,
            readers,
        }
    }
}

/// Where a path leads: symlinks on the way to it are followed, itself it is not unless it ends in '/'. It has to be there.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let ends_in_slash = path.as_os_str().as_bytes().ends_with(b"/");
    let resolved = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !ends_in_slash => parent.canonicalize()?.join(name),
        _ => path.canonicalize()?,
    };
    std::fs::symlink_metadata(&resolved)?;
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn item() -> ItemName {
        ItemName::new("files").unwrap()
    }

    fn wanted(paths: &[&Path]) -> FileScope {
        let paths = paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
        FileScope { paths, excludes: vec!["*.tmp".to_owned()], one_file_system: true, ..FileScope::default() }
    }

    /// A directory with `open/` and `closed/`, and `open/way` that leads to `closed`.
    fn tree() -> (tempfile::TempDir, PathBuf, Bounds) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("open/inner")).unwrap();
        fs::create_dir_all(root.join("closed/inner")).unwrap();
        symlink(root.join("closed"), root.join("open/way")).unwrap();
        let bounds = Bounds { allowed: vec![root.join("open")], ..Bounds::default() };
        (directory, root, bounds)
    }

    #[test]
    fn what_is_allowed_is_there_and_what_is_not_is_named() {
        let (_directory, root, bounds) = tree();
        let scope = bounds.scope(&item(), &wanted(&[&root.join("open/inner"), &root.join("closed"), &root.join("open/gone")]));
        assert_eq!(scope.roots, [root.join("open/inner")]);
        assert_eq!(scope.refused[0].path, root.join("closed"));
        assert_eq!(scope.missing[0].0, root.join("open/gone"));
        scope.check().unwrap();
        let none = bounds.scope(&item(), &wanted(&[&root.join("closed")]));
        assert_eq!(none.check().unwrap_err().kind, TroubleKind::Refused);
        let gone = bounds.scope(&item(), &wanted(&[&root.join("closed/gone")]));
        assert!(gone.missing.is_empty(), "what is there and what not is not told of what is closed");
    }

    #[test]
    fn a_symlink_does_not_lead_out_of_what_is_allowed() {
        let (_directory, root, bounds) = tree();
        for path in ["open/way/inner", "open/way/", "open/../closed"] {
            let scope = bounds.scope(&item(), &wanted(&[&root.join(path)]));
            assert!(scope.roots.is_empty() && scope.refused.len() == 1, "{path}: {scope:?}");
        }
        // The link itself is no more than a link.
        assert_eq!(bounds.scope(&item(), &wanted(&[&root.join("open/way")])).roots, [root.join("open/way")]);
    }

    #[test]
    fn of_a_path_above_what_is_allowed_only_that_is_taken() {
        let (_directory, root, bounds) = tree();
        let scope = bounds.scope(&item(), &wanted(&[&root]));
        assert_eq!(scope.roots, [root.join("open")]);
        assert!(scope.refused[0].why.contains("only"), "{scope:?}");
    }

    #[test]
    fn a_root_that_became_a_symlink_meanwhile_is_noticed() {
        let (_directory, root, bounds) = tree();
        let scope = bounds.scope(&item(), &wanted(&[&root.join("open/inner")]));
        let tree_path = |path: PathBuf| path.as_os_str().as_bytes()[1..].to_vec();
        bounds.still_allows(&scope, &[tree_path(root.join("open/inner"))]).unwrap();
        assert!(bounds.still_allows(&scope, &[tree_path(root.join("closed/inner"))]).is_err());
    }

    #[test]
    fn the_service_cannot_narrow_a_least_scope() {
        let (_directory, root, mut bounds) = tree();
        let least = LeastScope { paths: vec![root.join("closed")], excludes: vec!["*.log".to_owned()], ..LeastScope::default() };
        bounds.least.insert("files".to_owned(), least);
        let scope = bounds.scope(&item(), &wanted(&[&root.join("open/inner")]));
        assert_eq!(scope.roots, [root.join("closed"), root.join("open/inner")]);
        let options = scope.to_options(Vec::new(), 0);
        assert!(scope.is_least && !options.one_file_system);
        assert_eq!(options.excludes, ["*.log"]);
        let other = bounds.scope(&ItemName::new("other").unwrap(), &wanted(&[&root.join("open/inner")]));
        assert_eq!(other.to_options(Vec::new(), 0).excludes, ["*.tmp"]);
    }

    #[test]
    fn what_machine_and_service_both_name_and_is_not_there_is_missing_once() {
        let (_directory, root, mut bounds) = tree();
        let gone = root.join("open/gone");
        bounds.least.insert("files".to_owned(), LeastScope { paths: vec![gone.clone()], ..LeastScope::default() });
        let scope = bounds.scope(&item(), &wanted(&[&gone, &root.join("closed"), &root.join("closed")]));
        assert_eq!(scope.missing.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&gone]);
        assert_eq!(scope.refused.len(), 1, "{scope:?}");
    }
}
