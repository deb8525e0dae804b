//! Sessions that an earlier process of a service had open: their views are made anew, so that their writers go on.
//!
//! "Why a revived session is safe": its view is what a session would see that opens now, and its own packs. Whatever was
//! condemned since it opened counts as absent, so a page of its own that names such a copy does not resolve and the commit
//! fails; nothing is proven that a session opened now could not prove. Its row keeps the generation of its opening, for which
//! collections wait, and its packs were kept because its row is open.

use crate::fault::Outcome;
use crate::index::Table;
use crate::ledger::{PackRow, PackState, SessionKind, SessionRow, SessionState, Transaction};
use crate::repository::Inner;
use crate::view::SessionView;
use format::pack::Footer;
use std::sync::Arc;

impl Inner {
    /// For a process that is the only one of its vault: nobody else has these sessions.
    pub(crate) async fn revive_sessions(&self) -> Outcome<()> {
        let open = self.ledger.snapshot().await?.sessions(self.domain, SessionState::Open).await?;
        for row in open.into_iter().filter(|row| row.kind == SessionKind::Write) {
            let view = Arc::new(self.revived_view(&row).await?);
            self.views.lock().expect("no panic under this lock").entry(row.id).or_insert(view);
        }
        Ok(())
    }

    async fn revived_view(&self, row: &SessionRow) -> Outcome<SessionView> {
        let (mut transaction, index) = self.snapshot_with_index().await?;
        let packs = self.own_packs(transaction.as_mut(), row).await?;
        drop(transaction);
        let view = SessionView::new(index);
        for pack in packs {
            let footer = match &pack.footer {
                Some(footer) => Footer::parse(footer)?,
                // It is in a segment by now.
                None => Footer::parse(&self.stored_footer(pack.name).await?.0)?,
            };
            view.add_own(pack.name, Arc::new(Table::Tail(footer)));
        }
        // The row names a key before its object is durable.
        if let Some(key) = row.key
            && self.key_object(key).await.is_ok()
        {
            view.set_key(key);
        }
        Ok(view)
    }

    async fn own_packs(&self, transaction: &mut dyn Transaction, row: &SessionRow) -> Outcome<Vec<PackRow>> {
        let mut packs = transaction.packs_of_session(self.domain, row.id).await?;
        packs.retain(|pack| matches!(pack.state, PackState::Registered | PackState::Proven));
        Ok(packs)
    }
}
