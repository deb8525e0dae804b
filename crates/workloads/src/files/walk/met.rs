//! What a walk met of the paths that its file set names.

use engine::path::is_within;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The paths, and what became of them.
#[derive(Debug)]
pub(super) struct Met(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Nothing was met of these yet: neither the entry nor why there is none.
    unmet: BTreeSet<Vec<u8>>,
    /// These are always left out.
    left_out: BTreeSet<Vec<u8>>,
    /// One was kept.
    any_kept: bool,
}

impl Met {
    /// Of paths in the tree; the top of it is always met.
    pub(super) fn new(paths: &[Vec<u8>]) -> Self {
        let unmet = paths.iter().filter(|path| !path.is_empty()).cloned().collect();
        let any_kept = paths.iter().any(Vec::is_empty);
        Self(Mutex::new(State { unmet, left_out: BTreeSet::new(), any_kept }))
    }

    /// An entry is kept that is one of the paths, or leads to one.
    pub(super) fn keep(&self, path: &[u8]) {
        let mut state = self.state();
        state.any_kept |= state.unmet.remove(path);
    }

    /// It was told why an entry is not kept.
    pub(super) fn tell(&self, path: &[u8]) {
        self.state().unmet.remove(path);
    }

    /// An entry is always left out, with all below it.
    pub(super) fn leave_out(&self, path: &[u8]) {
        let state = &mut *self.state();
        state.left_out.extend(state.unmet.extract_if(.., |named| is_within(named, path)));
    }

    /// Once all is walked: the paths of which nothing is kept and nobody knows why. That some are always left out is as it should be, unless
    /// there is nothing else.
    pub(super) fn rest(&self) -> BTreeSet<Vec<u8>> {
        let state = &mut *self.state();
        let mut rest = std::mem::take(&mut state.unmet);
        if !state.any_kept {
            rest.append(&mut state.left_out);
        }
        rest
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(paths: &[&str]) -> Met {
        Met::new(&paths.iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    fn rest(met: &Met) -> Vec<String> {
        met.rest().into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn what_was_neither_kept_nor_told_is_left_and_only_once() {
        let met = met(&["a", "b", "c/d", "e"]);
        met.keep(b"a");
        met.keep(b"c");
        met.tell(b"e");
        assert_eq!(rest(&met), ["b", "c/d"]);
        assert!(rest(&met).is_empty());
    }

    #[test]
    fn what_is_always_left_out_counts_only_where_there_is_nothing_else() {
        let both = met(&["kept", "never", "never/deep", "nevermore"]);
        both.leave_out(b"never");
        both.keep(b"kept");
        assert_eq!(rest(&both), ["nevermore"]);
        let alone = met(&["never/deep"]);
        alone.leave_out(b"never");
        assert_eq!(rest(&alone), ["never/deep"]);
        let top = met(&["", "never"]);
        top.leave_out(b"never");
        assert!(rest(&top).is_empty());
    }
}
