//! Roots of a marking.

use crate::fault::Outcome;
use crate::ledger::{PointRow, PointRowState, SessionRow, SessionState, Transaction};
use crate::{Sabotage, sabotaged};
use format::{BlobId, DomainId, PointId};
use std::collections::HashSet;

/// From when on purged points count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Only what is a root now.
    Now,
    /// Also what was one when this generation was marked, or later.
    Generation(u64),
}

/// A root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) page: BlobId,
    /// Its closure may not be complete: a rebuild set it aside.
    pub(crate) set_aside: bool,
}

/// Sessions that are not over.
pub(crate) async fn running_sessions(transaction: &mut dyn Transaction, domain: DomainId) -> Outcome<Vec<SessionRow>> {
    let mut running = transaction.sessions(domain, SessionState::Open).await?;
    if !sabotaged(Sabotage::CommitUnderWayIsForgotten) {
        running.extend(transaction.sessions(domain, SessionState::Committing).await?);
    }
    Ok(running)
}

/// All roots: points that are not purged, points that a session pins, and purged ones as `since` says.
pub(crate) async fn all_roots(
    transaction: &mut dyn Transaction,
    domain: DomainId,
    since: Since,
    now_ms: i64,
) -> Outcome<Vec<Root>> {
    let pinned: HashSet<PointId> = running_sessions(transaction, domain).await?.iter().filter_map(|row| row.pinned).collect();
    let counts = |row: &PointRow| match row.state {
        PointRowState::Pending if sabotaged(Sabotage::CommitUnderWayIsForgotten) => false,
        PointRowState::Committed
            if sabotaged(Sabotage::ClockDropsRoots) && row.time_ms < now_ms.saturating_sub(30 * 86_400_000) =>
        {
            false
        }
        PointRowState::Pending | PointRowState::Committed | PointRowState::SoftDeleted | PointRowState::SetAside => true,
        PointRowState::Purged => pinned.contains(&row.id) || was_root(row, since),
    };
    let rows = transaction.points(domain).await?;
    // Of a purged point that a rebuild found nobody knows any more whether it was set aside.
    let set_aside = |row: &PointRow| match row.state {
        PointRowState::SetAside => true,
        PointRowState::Purged => row.session.is_none(),
        PointRowState::Pending | PointRowState::Committed | PointRowState::SoftDeleted => false,
    };
    let root = |row: &PointRow| Root { page: row.root, set_aside: set_aside(row) };
    Ok(rows.iter().filter(|row| counts(row)).map(root).collect())
}

/// What is a root now.
pub(crate) async fn all_roots_now(transaction: &mut dyn Transaction, domain: DomainId) -> Outcome<Vec<Root>> {
    all_roots(transaction, domain, Since::Now, i64::MIN).await
}

fn was_root(row: &PointRow, since: Since) -> bool {
    match since {
        Since::Now => false,
        Since::Generation(_) if sabotaged(Sabotage::SecondMarkForgetsPurgedPoints) => false,
        Since::Generation(generation) => row.purged_at.is_none_or(|purged_at| purged_at >= generation),
    }
}
