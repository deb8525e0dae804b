//! Directories that are made elsewhere and moved to their places, where making entries is much work.
//!
//! ext4 gives an entry an inode near that of its directory. Without a journal it searches past every inode that was deleted there within the
//! last minutes: hundreds of microseconds for each entry, where a tree of some ten thousand files was just deleted, which is when many a
//! restore begins. The directories of one that is marked as the top of a hierarchy (`chattr +T`), however, are spread over the whole
//! file system, and a directory that is moved keeps its inode. So one that is made in such a place and moved to its own draws
//! all that is made in it away from the deleted ones.
//!
//! Only where the destination was empty: what is made in it inherits what the nursery does (group, quota, label).

use super::effort::Effort;
use super::unfinished::TemporaryNames;
use crate::platform;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Directories are made elsewhere where one takes so much processor time, or more: two to three times what it takes without a search.
const WORK_NS_MIN: u64 = 60_000;
/// A place is judged by so many directories.
const JUDGED: u32 = 32;
/// After so many places in a row that are no better, what makes the work is something else.
const FRUITLESS_MAX: u32 = 4;

/// Where directories are made that are moved to their places.
#[derive(Debug)]
pub(super) struct Nursery {
    destination: OwnedFd,
    /// Of making a directory.
    effort: Effort,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Nothing speaks for one yet.
    Unopened,
    Open(Open),
    /// None can be had, or none is of use.
    GivenUp,
}

/// A place for directories, in a directory that spreads its own. They are removed in this order.
#[derive(Debug)]
struct Open {
    place: Scratch,
    spread: Scratch,
    made: u32,
    fruitless: u32,
}

impl Nursery {
    /// None is ever opened in the destination unless it `may` have one.
    pub(super) fn new(destination: OwnedFd, may: bool) -> Self {
        let state = if may { State::Unopened } else { State::GivenUp };
        Self { destination, effort: Effort::default(), state: Mutex::new(state) }
    }

    /// As if making directories were much work from now on.
    #[cfg(test)]
    pub(super) fn much_work(&self) {
        (0..200).for_each(|_| self.effort.note(1_000_000, 1_100_000));
    }

    #[cfg(test)]
    pub(super) fn give_up(&self) {
        *self.state.lock().unwrap() = State::GivenUp;
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        matches!(*self.state.lock().unwrap(), State::Open(_))
    }

    /// Makes a directory that nobody else can enter: elsewhere, where that is less work.
    pub(super) fn make_directory(&self, names: &TemporaryNames, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.choose(&mut state, names);
        let moved = match &mut *state {
            State::Open(open) => open.make_directory(&self.effort, names, parent, name),
            State::Unopened | State::GivenUp => return self.effort.of(|| platform::make_directory(parent, name)),
        };
        match moved {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                // What a move stumbles over (another quota, another key) does not stand in its way here.
                *state = State::GivenUp;
                platform::make_directory(parent, name)
            }
            moved => moved,
        }
    }

    /// Opens one, looks for another place or gives it up.
    fn choose(&self, state: &mut State, names: &TemporaryNames) {
        let is_much = self.effort.is_much(WORK_NS_MIN);
        match state {
            State::Unopened if is_much => {
                *state = Open::new(self.destination.as_fd(), names).map_or(State::GivenUp, State::Open);
            }
            State::Open(open) if open.made >= JUDGED => {
                if open.judge(is_much, names).is_err() {
                    *state = State::GivenUp;
                }
            }
            _ => return,
        }
        self.effort.forget();
    }
}

impl Open {
    fn new(destination: BorrowedFd<'_>, names: &TemporaryNames) -> io::Result<Self> {
        let spread = Scratch::new(destination, names)?;
        platform::spread_directories(spread.open.as_fd())?;
        Ok(Self { place: Scratch::new(spread.open.as_fd(), names)?, spread, made: 0, fruitless: 0 })
    }

    fn make_directory(&mut self, effort: &Effort, names: &TemporaryNames, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        let (place, temporary) = (self.place.open.as_fd(), names.next());
        effort.of(|| platform::make_directory(place, &temporary))?;
        self.made += 1;
        let moved = platform::move_new(place, &temporary, parent, name);
        if moved.is_err() {
            platform::remove_directory(place, &temporary)?;
        }
        moved
    }

    /// Looks for another place if this one is no better; fails where none is.
    fn judge(&mut self, is_much: bool, names: &TemporaryNames) -> io::Result<()> {
        self.made = 0;
        self.fruitless = if is_much { self.fruitless + 1 } else { 0 };
        if self.fruitless >= FRUITLESS_MAX {
            return Err(ErrorKind::Unsupported.into());
        }
        if is_much {
            self.place = Scratch::new(self.spread.open.as_fd(), names)?;
        }
        Ok(())
    }
}

/// An empty directory of the restore's own, removed when dropped. One that a killed process leaves is removed by the restore that resumes.
#[derive(Debug)]
struct Scratch {
    parent: OwnedFd,
    name: Vec<u8>,
    open: OwnedFd,
}

impl Scratch {
    fn new(parent: BorrowedFd<'_>, names: &TemporaryNames) -> io::Result<Self> {
        let (parent, name) = (parent.try_clone_to_owned()?, names.next());
        platform::make_directory(parent.as_fd(), &name)?;
        match platform::open_directory(parent.as_fd(), &name) {
            Ok(open) => Ok(Self { parent, name, open }),
            Err(error) => {
                platform::remove_directory(parent.as_fd(), &name)?;
                Err(error)
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that cannot be removed keeps a name that says what it is.
        let _ = platform::remove_directory(self.parent.as_fd(), &self.name);
    }
}

/// Removes what a killed restore left of a nursery: empty directories, and nothing else.
pub(super) fn remove_left(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let remove = |parent: BorrowedFd<'_>, name: &[u8], below: &dyn Fn(BorrowedFd<'_>, &[u8]) -> io::Result<()>| {
        let open = platform::open_directory(parent, name)?;
        platform::list_names(open.as_fd(), |name| below(open.as_fd(), name))?;
        platform::remove_directory(parent, name)
    };
    let empty = |parent: BorrowedFd<'_>, name: &[u8]| platform::remove_directory(parent, name);
    remove(parent, name, &|spread, name| remove(spread, name, &empty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    struct Ground {
        place: tempfile::TempDir,
        nursery: Nursery,
        names: TemporaryNames,
    }

    impl Ground {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let destination = platform::open_trusted_directory(place.path()).unwrap();
            Self { nursery: Nursery::new(destination, true), names: TemporaryNames::new(), place }
        }

        fn make(&self, parent: &Path, name: &str) -> io::Result<()> {
            let parent = platform::open_trusted_directory(parent).unwrap();
            self.nursery.make_directory(&self.names, parent.as_fd(), name.as_bytes())
        }

        /// Whether the file system takes the mark that spreads directories, as ext4 does.
        fn can_spread(&self) -> bool {
            let probe = tempfile::tempdir_in(self.place.path()).unwrap();
            platform::spread_directories(fs::File::open(probe.path()).unwrap().as_fd()).is_ok()
        }
    }

    fn names_in(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn directories_are_made_elsewhere_only_while_that_is_less_work_and_always_end_in_their_places() {
        let ground = Ground::new();
        let top = ground.place.path();
        ground.make(top, "before").unwrap();
        assert_eq!(names_in(top), ["before"]);
        let can_spread = ground.can_spread();
        ground.nursery.much_work();
        for number in 0..100 {
            ground.make(&top.join("before"), &number.to_string()).unwrap();
            fs::write(top.join(format!("before/{number}/file")), "x").unwrap();
        }
        assert_eq!(ground.nursery.is_open(), can_spread);
        assert_eq!(names_in(top).len(), 1 + usize::from(can_spread));
        assert_eq!(fs::metadata(top.join("before/7")).unwrap().permissions().mode() & 0o7777, 0o700);
        let Ground { place, nursery, .. } = ground;
        drop(nursery);
        assert_eq!(names_in(place.path()), ["before"]);
        assert_eq!(names_in(&place.path().join("before")).len(), 100);
    }

    #[test]
    fn what_stands_in_a_directorys_place_is_told_and_stays() {
        let ground = Ground::new();
        let top = ground.place.path();
        fs::write(top.join("file"), "somebody's").unwrap();
        ground.nursery.much_work();
        assert_eq!(ground.make(top, "file").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(ground.nursery.is_open(), ground.can_spread());
        assert_eq!(fs::read(top.join("file")).unwrap(), b"somebody's");
        let Ground { place, nursery, .. } = ground;
        drop(nursery);
        assert_eq!(names_in(place.path()), ["file"]);
    }

    #[test]
    fn places_that_are_no_better_are_given_up_and_so_is_one_that_nothing_can_be_moved_from() {
        let ground = Ground::new();
        for number in 0..(FRUITLESS_MAX + 2) * JUDGED {
            ground.nursery.much_work();
            ground.make(ground.place.path(), &number.to_string()).unwrap();
        }
        assert!(matches!(*ground.nursery.state.lock().unwrap(), State::GivenUp));
        assert_eq!(names_in(ground.place.path()).len() as u32, (FRUITLESS_MAX + 2) * JUDGED);

        let ground = Ground::new();
        ground.nursery.much_work();
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        ground.make(elsewhere.path(), "of another file system").unwrap();
        assert!(matches!(*ground.nursery.state.lock().unwrap(), State::GivenUp));
        assert_eq!(names_in(elsewhere.path()), ["of another file system"]);
        assert!(names_in(ground.place.path()).is_empty());
    }

    #[test]
    fn what_a_killed_restore_left_is_removed_unless_there_is_something_in_it() {
        let ground = tempfile::tempdir().unwrap();
        let top = platform::open_trusted_directory(ground.path()).unwrap();
        fs::create_dir_all(ground.path().join("left/place/made")).unwrap();
        remove_left(top.as_fd(), b"left").unwrap();
        fs::create_dir_all(ground.path().join("other/place/made/deep")).unwrap();
        remove_left(top.as_fd(), b"other").unwrap_err();
        fs::create_dir_all(ground.path().join("file/place")).unwrap();
        fs::write(ground.path().join("file/place/made"), "somebody's").unwrap();
        remove_left(top.as_fd(), b"file").unwrap_err();
        assert_eq!(names_in(ground.path()), ["file", "other"]);
        assert!(ground.path().join("file/place/made").exists() && ground.path().join("other/place/made/deep").exists());
    }
}
