//! Sessions that an earlier process of a service had open: their views are made anew, so that their writers go on.
//!
//! "Why a revived session is safe": its view is what a session would see that opens now, and its own packs. Whatever was
//! condemned since it opened counts as absent, so a page of its own that names such a copy does not resolve and the commit
//! fails; nothing is proven that a session opened now could not prove. Its row keeps the generation of its opening, for which
//! collections wait, and its packs were kept because its row is open.

use crate::fault::{Fault, Outcome};
use crate::index::{Index, Table};
use crate::ledger::{SessionKind, SessionRow, SessionState};
use crate::repository::Inner;
use crate::view::SessionView;
use contract::ErrorKind;
use format::SessionId;
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
        let index = self.fresh_index().await?;
        let own = own_tables(&index, row.id);
        let view = SessionView::new(index);
        for (segment, table, is_own) in own {
            match (table.as_ref(), segment) {
                (Table::Tail(tail), _) => view.add_own(tail.footer.name, table.clone()),
                (Table::Segment(_), Some(segment)) => view.add_merged(segment, table, is_own),
                (Table::Segment(_), None) => {
                    return Err(Fault::answer(ErrorKind::Internal, "a segment's packs are in no segment"));
                }
            }
        }
        // The row names a key before its object is durable.
        if let Some(key) = row.key
            && self.key_object(key).await.is_ok()
        {
            view.set_key(key);
        }
        Ok(view)
    }
}

/// Tables with packs of the session: the segment that each is, and which of its packs those are.
fn own_tables(index: &Index, session: SessionId) -> Vec<(Option<u64>, Arc<Table>, Vec<bool>)> {
    let row = |pack: &Option<u32>| pack.map(|pack| &index.packs[pack as usize].row);
    let is_own = |pack: &Option<u32>| row(pack).is_some_and(|row| row.session == Some(session));
    let tables = index.tables.iter().zip(&index.table_packs);
    let marked = tables.map(|(table, packs)| {
        let segment = packs.iter().find_map(|pack| row(pack)?.segment);
        (segment, table.clone(), packs.iter().map(is_own).collect::<Vec<_>>())
    });
    marked.filter(|(_, _, is_own)| is_own.contains(&true)).collect()
}
