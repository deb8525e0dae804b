//! A file set: paths of this machine with what is left out of them.

use crate::error::WorkloadError;
use crate::files::source::Machine;
use crate::files::walk::{Inspector, Roots, RuleOptions, Rules, Walk, Ways, resolve};
use engine::source::{self, TreeSource};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Threads of a walk unless another number is asked for: enough to keep a disk busy that answers in parallel.
const READERS_DEFAULT: usize = 16;

/// What belongs to a file set.
#[derive(Debug, Clone, Default)]
pub struct FileSetOptions {
    /// Paths, absolute or relative to the working directory. Symlinks in them are resolved, except a last component without a
    /// `/` behind it: that symlink itself is kept.
    pub roots: Vec<PathBuf>,
    /// Lines with the meaning of a `.gitignore` file in `/`. They do not apply to the roots themselves.
    pub excludes: Vec<String>,
    /// Lines that are read after the excludes, as if with `!` before them: they bring back what those leave out. As in
    /// `.gitignore`, nothing below an excluded directory is brought back: exclude `/home/*`, not `/home`, to include `/home/a`.
    pub includes: Vec<String>,
    /// Leave out what is mounted below the roots. Its mount points stay, empty.
    pub one_file_system: bool,
    /// Leave out what is in directories with a `CACHEDIR.TAG`.
    pub exclude_caches: bool,
    /// Leave out what has the `nodump` flag (`chattr +d`).
    pub exclude_nodump: bool,
    /// Always left out, even where a root names it: the vault and Holdfast's own state.
    pub skip: Vec<PathBuf>,
    /// Threads that read directories; 0 for the usual number.
    pub readers: usize,
}

/// A file set. Pseudo file systems mounted below its roots (`/proc`, `/sys` and their like) are always left out.
pub struct FileSet {
    machine: Arc<Machine>,
    rules: Arc<Rules>,
    /// Paths in the tree.
    roots: Vec<Vec<u8>>,
    readers: usize,
    /// What it was made of, in words: to compare.
    made_of: String,
}

impl FileSet {
    /// Resolves the paths and compiles the patterns. Whether a path is there is seen when a walk starts, unless a directory on
    /// the way to it is missing already.
    pub fn new(options: FileSetOptions) -> Result<Self, WorkloadError> {
        let made_of = format!("{options:?}");
        if options.roots.is_empty() {
            return Err(WorkloadError::NoRoots);
        }
        let root = |path: &PathBuf| resolve(path).map_err(|source| WorkloadError::Root { path: path.clone(), source });
        let mut roots = options.roots.iter().map(root).collect::<Result<Vec<_>, _>>()?;
        roots.sort();
        roots.dedup();
        let machine = Machine::new().map_err(|source| WorkloadError::System { what: "open the root directory", source })?;
        let rules = Rules::new(RuleOptions {
            excludes: options.excludes,
            includes: options.includes,
            skip: options.skip,
            one_file_system: options.one_file_system,
            exclude_caches: options.exclude_caches,
            exclude_nodump: options.exclude_nodump,
        })?;
        let readers = if options.readers == 0 { READERS_DEFAULT } else { options.readers };
        Ok(Self { machine: Arc::new(machine), rules: Arc::new(rules), roots, readers, made_of })
    }

    /// The paths in the tree, resolved, sorted, without `/` at the start; an empty one is the whole machine.
    #[must_use]
    pub fn roots(&self) -> &[Vec<u8>] {
        &self.roots
    }
}

impl FileSet {
    fn inspector(&self) -> io::Result<Inspector> {
        let roots = Roots::merge(&self.roots);
        Inspector::new(self.machine.clone(), roots, self.rules.clone(), &self.roots)
    }

    /// Whether flags of files matter, of whose changes nobody is told.
    pub(super) fn minds_flags(&self) -> bool {
        self.rules.excludes_nodump()
    }

    /// Says whether two file sets are of the same.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:?} {}", self.roots, self.made_of)
    }

    pub(super) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Walks what changed alone.
    pub(super) fn walk_changes(&self, ways: Ways) -> io::Result<source::Walk> {
        if ways.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        Ok(Box::new(Walk::start(self.inspector()?.of_changes(ways), self.readers)?))
    }
}

impl TreeSource for FileSet {
    fn walk(&self) -> io::Result<source::Walk> {
        Ok(Box::new(Walk::start(self.inspector()?, self.readers)?))
    }

    fn open_files_max(&self) -> usize {
        self.machine.files_max()
    }
}
