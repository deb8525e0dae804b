//! Turns: of everything that has the same key, one at a time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use tokio::sync::OwnedMutexGuard;

/// So many turns that nobody has or waits for are kept.
const IDLE_MAX: usize = 1024;

/// Of each key one at a time.
pub(crate) struct Turns<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Turns<K> {
    /// Waits for this key's turn, which lasts until the answer is dropped.
    pub(crate) async fn of(&self, key: K) -> OwnedMutexGuard<()> {
        self.turn(key).lock_owned().await
    }

    /// This key's turn, if nobody has it.
    pub(crate) fn free(&self, key: K) -> Option<OwnedMutexGuard<()>> {
        self.turn(key).try_lock_owned().ok()
    }

    fn turn(&self, key: K) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().expect("no panic under this lock");
        if turns.len() >= IDLE_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        turns.entry(key).or_default().clone()
    }

    /// Waits until whoever has this key's turn now is done.
    pub(crate) async fn pass(&self, key: K) {
        drop(self.of(key).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_waited_for_and_one_that_nobody_has_is_forgotten() {
        let turns = Turns::default();
        let first = turns.of(0).await;
        for key in 1..5000 {
            turns.pass(key).await;
        }
        assert!(turns.0.lock().unwrap().len() <= IDLE_MAX + 1);
        let wait = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, turns.pass(0)).await.is_err(), "somebody has it");
        assert!(turns.free(0).is_none() && turns.free(1).is_some());
        drop(first);
        assert!(turns.free(0).is_some());
        turns.pass(0).await;
    }
}
