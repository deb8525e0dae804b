//! Retention: which points expire, by the policies of their items and the vault's clock.
//!
//! Invariant: in a domain one at a time changes which points are listed, and looks at them within its turn: what a person brings back
//! or takes away meanwhile is seen or comes after. Nothing is expired or purged by a time that is not stored, nor by the policy of an item
//! once somebody was answered that it has another.

mod by_hand;
mod item_points;
mod plan;
mod round;

pub(crate) use round::Round;

use format::DomainId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::OwnedMutexGuard;

/// Of each domain one at a time.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<DomainId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for this domain's turn, which lasts until the answer is dropped.
    pub(crate) async fn of(&self, domain: DomainId) -> OwnedMutexGuard<()> {
        let turn = self.0.lock().expect("no panic under this lock").entry(domain).or_default().clone();
        turn.lock_owned().await
    }

    /// Waits until whoever has this domain's turn now is done.
    pub(crate) async fn pass(&self, domain: DomainId) {
        drop(self.of(domain).await);
    }
}
