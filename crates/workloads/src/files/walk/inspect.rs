//! Looking at the names of a directory: what is kept, what is left out, what is gone.

use super::Place;
use super::children::Child;
use super::met::Met;
use super::names::{NameBudget, NameSorter, Names, SortedNames};
use super::roots::{Claim, Roots, Scope};
use super::rules::{CACHE_TAG, CACHE_TAG_SIGNATURE, Rules, Skipped};
use super::ways::{Change, Way, Ways};
use crate::files::source::{Directory, Machine};
use crate::platform::{self, Found, Stat};
use engine::source::{LeftOut, SourceEntry, WalkBatch, WalkEvent, Warning, WarningKind};
use format::limits::PATH_BYTES_MAX;
use format::page::{EntryKind, Metadata};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Memory for names of directories being listed.
const NAMES_BYTES_MAX: usize = 32 << 20;

/// What a walk knows about its file set.
pub(crate) struct Inspector {
    machine: Arc<Machine>,
    roots: Roots,
    rules: Arc<Rules>,
    skipped: Skipped,
    budget: Arc<NameBudget>,
    met: Met,
    /// Where only what changed is walked.
    ways: Option<Ways>,
    /// Pseudo file systems by device number.
    file_systems: Mutex<HashMap<u64, Option<&'static str>>>,
}

/// A directory that was opened and listed.
pub(super) struct Listed {
    pub(super) directory: Arc<Directory>,
    pub(super) path: Arc<[u8]>,
    pub(super) names: SortedNames,
    /// What went wrong on the way.
    pub(super) events: Vec<WalkEvent>,
}

/// What is known of some names of a directory.
#[derive(Default)]
pub(super) struct Inspected {
    pub(super) events: Vec<WalkEvent>,
    /// Subdirectories to walk.
    pub(super) children: Vec<Child>,
}

/// The directory that names are looked at in.
struct Looking<'a> {
    descriptor: BorrowedFd<'a>,
    directory: &'a Directory,
    path: &'a [u8],
    scope: Scope,
    /// Path of the name looked at, where something needed it.
    entry_path: Vec<u8>,
    entries: Vec<SourceEntry>,
    inspected: Inspected,
}

impl Inspector {
    /// Starts with a look at the roots: one that is missing or on a pseudo file system fails the walk.
    pub(crate) fn new(machine: Arc<Machine>, roots: Roots, rules: Arc<Rules>, paths: &[Vec<u8>]) -> io::Result<Self> {
        for path in paths.iter().filter(|path| !path.is_empty()) {
            let shown = || format!("/{}", String::from_utf8_lossy(path));
            let fail = |error: io::Error| io::Error::new(error.kind(), format!("cannot back up {}: {error}", shown()));
            let (parent, name) = platform::split_name(path);
            let parent = platform::descend(machine.slash(), parent).map_err(fail)?;
            platform::stat_at(parent.as_fd(), name).map_err(fail)?;
            if let Some(kind) = platform::pseudo_file_system(parent.as_fd(), name).map_err(fail)? {
                let why = format!("cannot back up {}: it is a pseudo file system ({kind})", shown());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        }
        let skipped = rules.skipped();
        let budget = NameBudget::new(NAMES_BYTES_MAX);
        let met = Met::new(paths);
        Ok(Self { machine, roots, rules, skipped, budget, met, ways: None, file_systems: Mutex::default() })
    }

    /// The same, of what changed alone.
    pub(crate) fn of_changes(mut self, ways: Ways) -> Self {
        // Of what is not walked nothing is met.
        self.met = Met::new(&[]);
        self.ways = Some(ways);
        self
    }

    /// The same with another amount of memory for names.
    #[cfg(test)]
    pub(super) fn with_names_in(mut self, bytes: usize) -> Self {
        self.budget = NameBudget::new(bytes);
        self
    }

    /// Once all is walked: the paths that no walk came to, for something above them was in the way, or that are never kept.
    pub(super) fn not_met(&self) -> Vec<WalkEvent> {
        let detail = "nothing of it is kept: what leads to it could not be read, or it is always left out";
        let event = |path| WalkEvent::Warning(Warning { path, kind: WarningKind::Unreadable, detail: detail.into() });
        self.met.rest().into_iter().map(event).collect()
    }

    /// The scope of `/`.
    pub(super) fn top(&self) -> Scope {
        let way = if self.ways.is_some() { Way::At(0) } else { Way::Everything };
        self.roots.top().at(way)
    }

    /// What changed of a directory; none where everything is walked.
    fn change(&self, scope: Scope) -> Option<Change> {
        self.ways.as_ref().and_then(|ways| ways.change(scope.way))
    }

    /// The way on to a name in a directory of this scope; none if it is as it was.
    fn on(&self, scope: Scope, name: &[u8]) -> Option<Way> {
        match &self.ways {
            None => Some(Way::Everything),
            Some(ways) => ways.on(scope.way, name),
        }
    }

    /// Opens a directory in its parent (`/` without one) and reads its names. A directory that cannot be opened is an event.
    pub(super) fn list(
        &self,
        parent: Option<&Directory>,
        place: Arc<Place>,
        scope: Scope,
    ) -> io::Result<Result<Listed, Vec<WalkEvent>>> {
        let change = self.change(scope).filter(|change| *change != Change::Below);
        let begin = |change| WalkEvent::Listed { path: place.path().into(), whole: change == Change::Whole };
        let mut events: Vec<WalkEvent> = change.map(begin).into_iter().collect();
        if place.length() > PATH_BYTES_MAX {
            let detail = format!("{} bytes", place.length());
            events.push(WalkEvent::Warning(Warning { path: place.path(), kind: WarningKind::PathTooLong, detail }));
            return Ok(Err(events));
        }
        let opened = match self.open(parent, place.name(), scope) {
            Ok(opened) => opened,
            Err(_) if self.change(scope) == Some(Change::Below) => return Ok(Err(vec![WalkEvent::Lost])),
            Err(error) => {
                events.push(WalkEvent::Warning(warning(place.path(), &error)));
                return Ok(Err(events));
            }
        };
        let names = self.names(opened.as_fd(), scope, &place, &mut events)?;
        let path: Arc<[u8]> = place.path().into();
        let directory = match Directory::new(&self.machine, place, opened) {
            Ok(directory) => Arc::new(directory),
            Err(error) => {
                events.push(WalkEvent::Warning(warning(path.to_vec(), &error)));
                return Ok(Err(events));
            }
        };
        Ok(Ok(Listed { directory, path, names, events }))
    }

    fn open(&self, parent: Option<&Directory>, name: &[u8], scope: Scope) -> io::Result<OwnedFd> {
        let handle = parent.map(Directory::handle).transpose()?;
        let (parent, name) = match &handle {
            Some(handle) => (handle.as_fd(), name),
            None => (self.machine.slash(), b".".as_slice()),
        };
        // What only leads to a root need not be listed, and may not allow it.
        if scope.whole { platform::open_directory(parent, name) } else { platform::open_path_directory(parent, name) }
    }

    /// The names to look at. An error here is one of the temporary file; one of the directory is an event.
    fn names(
        &self,
        directory: BorrowedFd<'_>,
        scope: Scope,
        place: &Place,
        events: &mut Vec<WalkEvent>,
    ) -> io::Result<SortedNames> {
        let mut sorter = NameSorter::new(&self.budget);
        let mut only_named = !scope.whole;
        if !only_named && self.rules.exclude_caches && is_cache(directory) {
            only_named = true;
            sorter.push(CACHE_TAG)?;
            let why = "content of a cache directory (CACHEDIR.TAG)".into();
            events.push(WalkEvent::LeftOut(LeftOut { path: place.path(), why }));
        }
        let on_the_way = self.change(scope) == Some(Change::Below);
        if only_named {
            for name in self.roots.names(scope).filter(|name| !on_the_way || self.on(scope, name).is_some()) {
                sorter.push(name)?;
            }
            return sorter.finish();
        }
        if let (true, Some(ways)) = (on_the_way, &self.ways) {
            ways.names(scope.way).try_for_each(|name| sorter.push(name))?;
            return sorter.finish();
        }
        let mut failed = None;
        let mut any = false;
        let listed = platform::list_names(directory, |name| {
            any = true;
            let pushed = sorter.push(name);
            pushed.map_err(|error| {
                failed = Some(io::Error::new(error.kind(), format!("temporary file for names: {error}")));
                error
            })
        });
        match (failed, listed) {
            (Some(error), _) => return Err(error),
            (None, Err(error)) => {
                let warning = if any { partly(place.path(), &error) } else { warning(place.path(), &error) };
                events.push(WalkEvent::Warning(warning));
            }
            (None, Ok(())) => {}
        }
        sorter.finish()
    }

    /// Looks at names of a directory, in order.
    pub(super) fn inspect(&self, directory: &Arc<Directory>, path: &Arc<[u8]>, scope: Scope, names: &Names) -> Inspected {
        let handle = match directory.handle() {
            Ok(handle) => handle,
            Err(error) => {
                let lost = self.change(scope) == Some(Change::Below);
                let event = if lost { WalkEvent::Lost } else { WalkEvent::Warning(partly(path.to_vec(), &error)) };
                return Inspected { events: vec![event], children: Vec::new() };
            }
        };
        let mut looking = Looking {
            descriptor: handle.as_fd(),
            directory,
            path,
            scope,
            entry_path: Vec::new(),
            entries: Vec::with_capacity(names.len()),
            inspected: Inspected::default(),
        };
        for name in names.iter() {
            self.look_at(&mut looking, name);
        }
        let Looking { entries, mut inspected, .. } = looking;
        if !entries.is_empty() {
            let batch = WalkBatch { path: path.clone(), directory: directory.clone(), entries };
            inspected.events.push(WalkEvent::Batch(batch));
        }
        inspected
    }

    fn look_at(&self, looking: &mut Looking<'_>, name: &[u8]) {
        let observed_ns = platform::now_ns();
        let stat = match platform::stat_at(looking.descriptor, name) {
            Ok(stat) => stat,
            Err(error) => return self.not_seen(looking, name, &error),
        };
        let claim = self.roots.claim(looking.scope, name);
        if self.skipped.contains((stat.file_system, stat.inode), || looking.path_of(name).to_vec()) {
            if claim.named {
                self.met.leave_out(looking.path_of(name));
            }
            return looking.leave_out(name, "the vault, or Holdfast's own state".into());
        }
        if !claim.scope.whole && !stat.is_directory() {
            let error = io::Error::new(io::ErrorKind::NotFound, "it led to a path of the file set and is no directory any more");
            return looking.warn(name, &error);
        }
        let mut scope = claim.scope;
        match self.excluded(looking, name, &stat) {
            Some(why) if !claim.named => return looking.leave_out(name, why),
            // A path of the file set lies below: only the way there stays.
            Some(why) if looking.scope.whole && !claim.reduced.whole => {
                looking.leave_out(name, why);
                scope = claim.reduced;
            }
            _ => {}
        }
        let kind = match stat.found {
            Found::Kept(kind) => kind,
            Found::Socket => return looking.push_warning(name, WarningKind::NotKept, "a socket"),
            Found::Unknown => return looking.push_warning(name, WarningKind::NotKept, "of an unknown kind"),
        };
        let mut descend = kind == EntryKind::Directory;
        if let Some(why) = self.on_other_mount(looking, name, &stat, claim) {
            looking.leave_out(name, why);
            // Of a directory the mount point itself stays, empty, so that a restored system can be mounted again.
            if !descend {
                return;
            }
            descend = false;
        }
        let Ok(metadata) = self.machine.metadata(&stat) else { return };
        if claim.named {
            self.met.keep(looking.path_of(name));
        }
        let on = if descend { self.on(looking.scope, name) } else { None };
        if let Some(way) = on {
            let scope = scope.at(way);
            looking.inspected.children.push(Child { name: name.to_vec(), scope });
        }
        looking.keep(name, metadata, stat.file_system, observed_ns);
    }

    /// A name that could not be looked at: not worth a warning if a pattern leaves it out anyway.
    fn not_seen(&self, looking: &mut Looking<'_>, name: &[u8], error: &io::Error) {
        if self.change(looking.scope) == Some(Change::Below) {
            // Nobody said that it is there: the way to a change led by it.
            let is_gone = platform::is_gone(error) && !self.roots.claim(looking.scope, name).named;
            looking.inspected.events.extend((!is_gone).then_some(WalkEvent::Lost));
            return;
        }
        if self.rules.has_patterns() && !self.roots.claim(looking.scope, name).named {
            let path = looking.path_of(name);
            let rules = &self.rules;
            if let Some(pattern) = rules.excluded_by(path, false).or_else(|| rules.excluded_by(path, true)) {
                let why = format!("excluded by {pattern:?}");
                return looking.leave_out(name, why);
            }
        }
        self.met.tell(looking.path_of(name));
        looking.warn(name, error);
    }

    fn excluded(&self, looking: &mut Looking<'_>, name: &[u8], stat: &Stat) -> Option<String> {
        if self.rules.exclude_nodump && stat.nodump {
            return Some("it has the nodump flag".into());
        }
        if !self.rules.has_patterns() {
            return None;
        }
        let pattern = self.rules.excluded_by(looking.path_of(name), stat.is_directory())?;
        Some(format!("excluded by {pattern:?}"))
    }

    /// Why something is left out for the file system that it is on.
    fn on_other_mount(&self, looking: &Looking<'_>, name: &[u8], stat: &Stat, claim: Claim) -> Option<String> {
        // On an overlay, files may have other device numbers than their directory without being mounted.
        let is_mount = if stat.is_directory() { stat.mount_root != Some(false) } else { stat.mount_root == Some(true) };
        let other = is_mount && stat.file_system != looking.directory.file_system();
        if !other || claim.named {
            return None;
        }
        let known = |systems: &Mutex<HashMap<_, _>>| {
            systems.lock().unwrap_or_else(PoisonError::into_inner).get(&stat.file_system).copied()
        };
        let pseudo = known(&self.file_systems).unwrap_or_else(|| {
            let pseudo = platform::pseudo_file_system(looking.descriptor, name).ok()?;
            self.file_systems.lock().unwrap_or_else(PoisonError::into_inner).insert(stat.file_system, pseudo);
            pseudo
        });
        match pseudo {
            Some(kind) => Some(format!("a pseudo file system ({kind})")),
            None => self.rules.one_file_system.then(|| "another file system".into()),
        }
    }
}

impl Looking<'_> {
    fn path_of(&mut self, name: &[u8]) -> &[u8] {
        self.entry_path.clear();
        self.entry_path.extend_from_slice(self.path);
        if !self.path.is_empty() {
            self.entry_path.push(b'/');
        }
        self.entry_path.extend_from_slice(name);
        &self.entry_path
    }

    fn leave_out(&mut self, name: &[u8], why: String) {
        let path = self.path_of(name).to_vec();
        self.inspected.events.push(WalkEvent::LeftOut(LeftOut { path, why }));
    }

    fn warn(&mut self, name: &[u8], error: &io::Error) {
        let path = self.path_of(name).to_vec();
        self.inspected.events.push(WalkEvent::Warning(warning(path, error)));
    }

    fn push_warning(&mut self, name: &[u8], kind: WarningKind, detail: &str) {
        let path = self.path_of(name).to_vec();
        self.inspected.events.push(WalkEvent::Warning(Warning { path, kind, detail: detail.into() }));
    }

    fn keep(&mut self, name: &[u8], metadata: Metadata, file_system: u64, observed_ns: i128) {
        self.entries.push(SourceEntry { name: name.to_vec(), metadata, file_system, observed_ns });
    }
}

/// A directory of which more is to come that cannot be read.
fn partly(path: Vec<u8>, error: &io::Error) -> Warning {
    Warning { path, kind: WarningKind::PartlyListed, detail: error.to_string() }
}

/// Something that was listed and cannot be reached: gone, or kept away.
fn warning(path: Vec<u8>, error: &io::Error) -> Warning {
    let kind = if platform::is_gone(error) { WarningKind::Vanished } else { WarningKind::Unreadable };
    Warning { path, kind, detail: error.to_string() }
}

fn is_cache(directory: BorrowedFd<'_>) -> bool {
    platform::open_marker(directory, CACHE_TAG, CACHE_TAG_SIGNATURE.len()).is_ok_and(|start| start == CACHE_TAG_SIGNATURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::walk::{RuleOptions, resolve};
    use std::fs;
    use std::path::Path;

    /// An inspector of one root, and the root listed.
    fn listed(root: &Path) -> (Inspector, Listed) {
        let path = resolve(root).unwrap();
        let machine = Arc::new(Machine::new().unwrap());
        let rules = Arc::new(Rules::new(RuleOptions::default()).unwrap());
        let paths = std::slice::from_ref(&path);
        let inspector = Inspector::new(machine, Roots::merge(paths), rules, paths).unwrap();
        let mut place = Place::top();
        let mut scope = inspector.top();
        let mut at = inspector.list(None, place.clone(), scope).unwrap().ok().unwrap();
        for name in path.split(|byte| *byte == b'/') {
            place = place.child(name);
            scope = inspector.roots.claim(scope, name).scope;
            at = inspector.list(Some(&at.directory), place.clone(), scope).unwrap().ok().unwrap();
        }
        (inspector, at)
    }

    fn kinds(events: &[WalkEvent]) -> Vec<String> {
        let kind = |event: &WalkEvent| match event {
            WalkEvent::Warning(warning) => {
                format!("{:?} {}", warning.kind, warning.path.rsplit(|b| *b == b'/').next().unwrap().escape_ascii())
            }
            WalkEvent::LeftOut(_) => "left out".into(),
            WalkEvent::Listed { .. } => "listed".into(),
            WalkEvent::Lost => "lost".into(),
            WalkEvent::Batch(batch) => format!("{} entries", batch.entries.len()),
        };
        events.iter().map(kind).collect()
    }

    #[test]
    fn what_went_away_after_it_was_listed_has_vanished() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["gone", "stays", "replaced"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let (inspector, mut root) = listed(directory.path());
        let whole = Scope::whole();
        let names = root.names.next_batch(10).unwrap();
        assert_eq!(names.len(), 3);
        fs::remove_dir(directory.path().join("gone")).unwrap();
        let inspected = inspector.inspect(&root.directory, &root.path, whole, &names);
        assert_eq!(kinds(&inspected.events), ["Vanished gone", "2 entries"]);
        assert_eq!(inspected.children.len(), 2);

        // Between looking at a directory and listing it.
        fs::remove_dir(directory.path().join("replaced")).unwrap();
        std::os::unix::fs::symlink("stays", directory.path().join("replaced")).unwrap();
        for (name, expected) in [("gone", Some("Vanished gone")), ("replaced", Some("Vanished replaced")), ("stays", None)] {
            let place = root_place(&root).child(name.as_bytes());
            let listed = inspector.list(Some(&root.directory), place, whole).unwrap();
            assert_eq!(listed.err().map(|events| kinds(&events)), expected.map(|kind| vec![kind.to_owned()]));
        }
        // The directory itself, while its descriptor is still open.
        fs::remove_dir_all(directory.path()).unwrap();
        let inspected = inspector.inspect(&root.directory, &root.path, whole, &names);
        assert_eq!(kinds(&inspected.events), ["Vanished gone", "Vanished replaced", "Vanished stays"]);
    }

    fn root_place(root: &Listed) -> Arc<Place> {
        root.path.split(|byte| *byte == b'/').fold(Place::top(), |place, name| place.child(name))
    }
}
