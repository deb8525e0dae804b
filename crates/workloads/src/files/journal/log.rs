//! What changed, by the kernel's handles, each with the number of the last moment before it.

use std::collections::{BTreeSet, HashMap};
use system::fanotify::{Event, FileSystemId, Handle};

/// What changed since a moment.
pub(super) struct Since {
    /// Directories, with the subdirectories that came to them.
    pub(super) directories: Vec<(Handle, Vec<Vec<u8>>)>,
    /// Files and directories that something happened to, by whatever name.
    pub(super) objects: Vec<Handle>,
}

#[derive(Default)]
struct Seen {
    at: u64,
    brought: HashMap<Vec<u8>, u64>,
}

/// The log.
pub(super) struct Log {
    /// The number of the last moment.
    now: u64,
    /// What happened before this one is not known.
    lost: u64,
    broken: bool,
    entries: usize,
    entries_max: usize,
    directories: HashMap<Handle, Seen>,
    objects: HashMap<Handle, u64>,
    /// File systems, each with the number of the last moment before it was followed.
    followed: HashMap<FileSystemId, u64>,
    /// Numbers of moments behind which somebody may still ask.
    held: BTreeSet<u64>,
}

impl Log {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            now: 1,
            lost: 0,
            broken: false,
            entries: 0,
            entries_max,
            directories: HashMap::new(),
            objects: HashMap::new(),
            followed: HashMap::new(),
            held: BTreeSet::new(),
        }
    }

    /// A file system is followed from now on.
    pub(super) fn follow(&mut self, file_system: FileSystemId) {
        self.followed.insert(file_system, self.now);
    }

    /// Whether a file system was followed all the time since a moment.
    pub(super) fn is_followed_since(&self, number: u64, file_system: &FileSystemId) -> bool {
        self.followed.get(file_system).is_some_and(|at| *at <= number)
    }

    pub(super) fn note(&mut self, event: Event) {
        if event.is_overflow() || event.directory.is_none() && event.object.is_none() {
            return self.lose();
        }
        let (now, brings) = (self.now, event.brings_directory());
        let mut added = 0;
        if let Some(directory) = event.directory {
            let before = self.directories.len();
            let seen = self.directories.entry(directory).or_default();
            seen.at = now;
            if let (true, Some(name)) = (brings, event.name) {
                added += usize::from(seen.brought.insert(name, now).is_none());
            }
            added += self.directories.len() - before;
        }
        if let Some(object) = event.object {
            added += usize::from(self.objects.insert(object, now).is_none());
        }
        self.entries += added;
        while self.entries > self.entries_max {
            self.lose_oldest();
        }
    }

    /// There is more than is remembered: whoever asks for the longest time is not answered any more.
    fn lose_oldest(&mut self) {
        let mut held = self.held.iter().filter(|number| **number >= self.lost);
        match (held.next().copied(), held.next().copied()) {
            (Some(oldest), Some(next)) => {
                self.lost = oldest + 1;
                self.forget(next);
            }
            _ => self.lose(),
        }
    }

    /// Something happened of which nothing is known.
    pub(super) fn lose(&mut self) {
        self.lost = self.now;
        self.entries = 0;
        (self.directories, self.objects) = (HashMap::new(), HashMap::new());
    }

    /// Nothing will be known any more.
    pub(super) fn break_off(&mut self) {
        self.broken = true;
    }

    /// Begins a moment that somebody will ask for, and forgets what nobody asks for any more.
    pub(super) fn hold(&mut self) -> u64 {
        let number = self.cut();
        self.held.insert(number);
        self.forget(self.held.first().copied().unwrap_or(number));
        number
    }

    /// Nobody asks for this moment any more.
    pub(super) fn release(&mut self, number: u64) {
        self.held.remove(&number);
    }

    /// Forgets what happened up to a moment.
    fn forget(&mut self, number: u64) {
        self.directories.retain(|_, seen| seen.at > number);
        self.directories.values_mut().for_each(|seen| seen.brought.retain(|_, at| *at > number));
        self.objects.retain(|_, at| *at > number);
        let brought: usize = self.directories.values().map(|seen| seen.brought.len()).sum();
        self.entries = self.directories.len() + self.objects.len() + brought;
    }

    /// Begins a new moment: its number is less than that of all that comes.
    fn cut(&mut self) -> u64 {
        self.now += 1;
        self.now - 1
    }

    /// What happened behind a moment, if that is known.
    pub(super) fn since(&self, number: u64) -> Option<Since> {
        if self.broken || self.lost > number {
            return None;
        }
        let new = |at: &u64| *at > number;
        let directories = self.directories.iter().filter(|(_, seen)| new(&seen.at)).map(|(handle, seen)| {
            let brought = seen.brought.iter().filter(|(_, at)| new(at)).map(|(name, _)| name.clone()).collect();
            (handle.clone(), brought)
        });
        let objects = self.objects.iter().filter(|(_, at)| new(at)).map(|(handle, _)| handle.clone());
        Some(Since { directories: directories.collect(), objects: objects.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use system::fanotify::testing::{event, handle};

    fn paths(since: Option<Since>) -> Option<(Vec<Handle>, usize)> {
        since.map(|since| {
            let mut directories: Vec<Handle> = since.directories.into_iter().map(|(handle, _)| handle).collect();
            directories.sort();
            (directories, since.objects.len())
        })
    }

    #[test]
    fn each_who_asks_is_told_what_happened_behind_his_moment() {
        let mut log = Log::new(100);
        log.note(event(handle(1), b"a", Some(handle(11)), false));
        let first = log.cut();
        log.note(event(handle(2), b"b", None, false));
        let second = log.cut();
        log.note(event(handle(1), b"a", Some(handle(11)), false));
        assert_eq!(paths(log.since(first)), Some((vec![handle(1), handle(2)], 1)));
        assert_eq!(paths(log.since(second)), Some((vec![handle(1)], 1)));
        let last = log.cut();
        assert_eq!(paths(log.since(last)), Some((vec![], 0)));
    }

    #[test]
    fn directories_that_came_are_told_by_name_and_only_those_behind_the_moment() {
        let mut log = Log::new(100);
        log.note(event(handle(1), b"old", None, true));
        let moment = log.cut();
        log.note(event(handle(1), b"new", None, true));
        let since = log.since(moment).unwrap();
        assert_eq!(since.directories, [(handle(1), vec![b"new".to_vec()])]);
    }

    #[test]
    fn where_there_is_too_much_whoever_asks_for_the_longest_time_is_not_answered() {
        let mut log = Log::new(3);
        let first = log.hold();
        (0..2).for_each(|number| log.note(event(handle(number), b"x", None, false)));
        let second = log.hold();
        (2..4).for_each(|number| log.note(event(handle(number), b"x", None, false)));
        assert!(log.since(first).is_none());
        assert_eq!(paths(log.since(second)), Some((vec![handle(2), handle(3)], 0)));
        // Nobody waits for the first one any more, and the second one is alone with too much.
        log.release(first);
        (4..6).for_each(|number| log.note(event(handle(number), b"x", None, false)));
        assert!(log.since(second).is_none());
        let third = log.hold();
        log.release(second);
        assert_eq!(paths(log.since(third)), Some((vec![], 0)));
    }

    #[test]
    fn a_file_system_is_known_of_from_the_first_moment_behind_its_beginning() {
        let mut log = Log::new(3);
        let before = log.cut();
        log.follow([7; 8]);
        let first = log.cut();
        assert!(!log.is_followed_since(before, &[7; 8]) && log.is_followed_since(first, &[7; 8]));
        log.follow([7; 8]);
        let again = log.cut();
        assert!(!log.is_followed_since(first, &[7; 8]) && log.is_followed_since(again, &[7; 8]));
        assert!(!log.is_followed_since(again, &[8; 8]));
    }

    #[test]
    fn what_nobody_asks_for_any_more_makes_room() {
        let mut log = Log::new(4);
        log.note(event(handle(1), b"came", Some(handle(11)), true));
        let first = log.cut();
        log.note(event(handle(2), b"b", None, false));
        log.forget(first);
        log.note(event(handle(3), b"c", Some(handle(12)), false));
        assert_eq!(paths(log.since(first)), Some((vec![handle(2), handle(3)], 1)));
        let last = log.cut();
        log.forget(last);
        assert_eq!((log.entries, log.directories.len(), log.objects.len()), (0, 0, 0));
    }

    #[test]
    fn what_was_lost_is_known_to_be_and_what_comes_behind_it_is_known_again() {
        let mut log = Log::new(3);
        let first = log.cut();
        (0..4).for_each(|number| log.note(event(handle(number), b"x", None, false)));
        assert!(log.since(first).is_none(), "there was more than is remembered");
        let second = log.cut();
        log.note(event(handle(9), b"x", None, false));
        assert_eq!(paths(log.since(second)), Some((vec![handle(9)], 0)));
        log.lose();
        assert!(log.since(second).is_none());
        let third = log.cut();
        log.break_off();
        assert!(log.since(third).is_none());
    }
}
