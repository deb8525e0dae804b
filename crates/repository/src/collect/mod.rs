//! Collection: frees what no point needs.
//!
//! 1. *First mark* from one transaction's roots. Copies that it does not reach are condemned, as one more generation:
//!    sessions that open from now on count them as absent.
//! 2. *Second mark*, once the sessions that opened before a generation have ended: from every root since, through condemned
//!    pages. What it reaches stays; what a root of now reaches is pardoned.
//! 3. *Sweep*: packs whose copies are all dead go on a deletion list, partly dead ones are rewritten without keys.
//!
//! "Why nothing is lost". Take a copy that is swept. It was condemned by generation g, so sessions that opened since count it
//! as absent, and those that opened before have ended. Could an open session rest on it through a page that it sees? Such a
//! page is proven and not condemned, so a root reached it when the newest generation was marked, or one that came later. Every
//! root since that marking is a root of the second mark, purged ones included ([`roots::Since`]); it would have reached the copy.
//!
//! Data of open sessions is never condemned. Data of a session that ended without a point is condemned only by the second
//! collection that finds it unreferenced, so that an interrupted backup can be taken up again.

mod condemn;
mod keys;
mod mark;
mod rewrite;
mod roots;
mod sweep;

pub(crate) use mark::Marks;
pub(crate) use roots::{Root, all_roots_now, running_sessions};

use crate::fault::{Fault, Outcome};
use crate::ledger::{SessionKind, SessionState};
use crate::repository::Inner;
use crate::{Sabotage, sabotaged};
use contract::{CollectOptions, CollectReport, Error, ErrorKind, ProgressSink};
use format::SessionId;

impl Inner {
    /// Runs one collection. One at a time in a domain.
    pub(crate) async fn collect(&self, options: &CollectOptions, progress: &ProgressSink) -> Outcome<CollectReport> {
        self.recover().await?;
        self.end_dead_sessions().await?;
        let session = SessionId(self.environment.random());
        // No lease: a second collection would take what this one is about to swap in for left-overs of one that died.
        let held = if sabotaged(Sabotage::CollectorsExpire) { self.hold(session)? } else { self.hold_here(session)? };
        let outcome = match self.insert_collector(session).await {
            Ok(()) => self.collect_as(options, progress).await,
            Err(fault) => Err(fault),
        };
        drop(held);
        let ended = self.end_collector(session).await;
        let report = outcome?;
        ended?;
        Ok(report)
    }

    async fn collect_as(&self, options: &CollectOptions, progress: &ProgressSink) -> Outcome<CollectReport> {
        let mut report = CollectReport::default();
        {
            let mut transaction = self.ledger.snapshot().await?;
            let domain = self.domain_row(transaction.as_mut()).await?;
            self.refuse_unread(transaction.as_mut()).await?;
            drop(transaction);
            self.fence(domain.incarnation).await?;
            self.check_not_behind().await?;
        }
        // Two markings look for every link in every segment. Without room for a merge they take longer.
        if let Err(fault) = self.merge_for_marking().await {
            tracing::warn!(%fault, "cannot merge the index before the collection");
        }
        self.condemn(&mut report, progress).await?;
        self.sweep(options, &mut report, progress).await?;
        let merged = match self.merge_for_marking().await {
            Ok(()) => self.remove_left_files().await,
            failed => failed,
        };
        // Packs went, whatever became of the merge.
        self.forget_index();
        if let Err(fault) = merged {
            let error = Error::from(fault);
            if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Full) {
                return Err(error.into());
            }
            tracing::warn!(%error, "cannot merge the index after the collection");
        }
        Ok(report)
    }

    pub(crate) async fn insert_collector(&self, session: SessionId) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        let open = transaction.sessions(self.domain, SessionState::Open).await?;
        if open.iter().any(|row| row.kind == SessionKind::Collect && self.environment.liveness.is_alive(row.id)) {
            return Err(Fault::answer(ErrorKind::Conflict, "another collection of this vault is running"));
        }
        let row = self.new_session(&mut domain, session, SessionKind::Collect);
        transaction.put_session(&row).await?;
        transaction.put_domain(&domain).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn end_collector(&self, session: SessionId) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        transaction.remove_session(self.domain, session).await?;
        transaction.commit().await?;
        Ok(())
    }
}
