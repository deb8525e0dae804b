//! Small files opened before their turn, so that the disk is asked for several at once and nobody waits for each of them.

use super::reading_threads;
use crate::backup::leaf_job::Task;
use crate::backup::shared::Shared;
use crate::error::Result;
use crate::source::SourceFile;
use std::collections::VecDeque;
use std::io;
use std::vec;

/// Files that a reading thread opens ahead of the one that it reads.
const OPEN_AHEAD: usize = 32;

/// How many each of so many threads opens, where no more than so many files may be open.
pub(crate) fn open_ahead(open_files_max: usize, readers: usize) -> usize {
    (open_files_max / reading_threads(readers)).saturating_sub(1).min(OPEN_AHEAD)
}

/// A file, or why it cannot be opened.
type Opened = (Task, io::Result<Box<dyn SourceFile>>);

/// Files in their order, each opened some turns before its own.
pub(super) struct Ahead<'a> {
    shared: &'a Shared,
    tasks: vec::IntoIter<Task>,
    opened: VecDeque<Opened>,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(shared: &'a Shared, tasks: Vec<Task>) -> Self {
        Self { shared, tasks: tasks.into_iter(), opened: VecDeque::with_capacity(shared.open_ahead + 1) }
    }

    /// The next file.
    pub(super) fn next(&mut self) -> Result<Option<Opened>> {
        while self.opened.len() <= self.shared.open_ahead
            && let Some(task) = self.tasks.next()
        {
            self.shared.gate.pass(1, &self.shared.stop)?;
            let file = task.handle.open(&task.found.name);
            if let Ok(file) = &file {
                file.will_read(task.found.metadata.size);
            }
            self.opened.push_back((task, file));
        }
        let Some((task, file)) = self.opened.pop_front() else { return Ok(None) };
        // it was counted when it was opened, but nothing is read while the gate is closed
        self.shared.gate.pass(0, &self.shared.stop)?;
        // it may have been one too many: those before it are closed by now
        let file = file.or_else(|_| task.handle.open(&task.found.name));
        Ok(Some((task, file)))
    }
}

#[cfg(test)]
mod tests {
    use super::{open_ahead, reading_threads};

    #[test]
    fn readers_share_the_files_that_may_be_open() {
        assert_eq!(open_ahead(usize::MAX, 16), 32);
        for (open_files_max, readers) in [(256, 16), (24, 16), (16, 16), (4, 16), (0, 2), (40, 1), (40, 0)] {
            let each = open_ahead(open_files_max, readers) + 1;
            let all = each * reading_threads(readers);
            assert!(each == 1 || all <= open_files_max, "{open_files_max}, {readers}: {each}");
        }
    }
}
