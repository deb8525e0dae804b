//! The first mark, and the condemnation of what it did not reach.

use super::mark::Marks;
use super::roots::{Since, all_roots};
use crate::fault::Outcome;
use crate::heavy::compute_aside;
use crate::index::{Index, Slot};
use crate::ledger::{CondemnedRow, PackRow, PackState, SessionState};
use crate::repository::Inner;
use crate::unread::refuse_lacking;
use crate::{Sabotage, sabotaged};
use contract::{CollectReport, ProgressSink};
use format::blob::BlobKind;
use format::{PackName, SessionId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How the session that wrote a pack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It has not ended.
    Running,
    /// With a point; or there was none (a rebuild found the pack).
    Settled,
    /// Without one.
    Interrupted,
}

impl Inner {
    pub(crate) async fn condemn(&self, report: &mut CollectReport, progress: &ProgressSink) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        domain.marking = domain.marking.max(domain.generation) + 1;
        let generation = domain.marking;
        transaction.put_domain(&domain).await?;
        let roots = all_roots(transaction.as_mut(), self.domain, Since::Now, self.environment.clock.now_ms()).await?;
        let has_given_up = self.has_given_up(transaction.as_mut()).await?;
        let index = Index::load(transaction.as_mut(), self.domain, &self.files, &self.cache).await?;
        let mut origins = HashMap::new();
        for state in [SessionState::Open, SessionState::Committing, SessionState::Expired] {
            if state == SessionState::Committing && sabotaged(Sabotage::CommitUnderWayIsForgotten) {
                continue;
            }
            let origin = if state == SessionState::Expired { Origin::Interrupted } else { Origin::Running };
            origins.extend(transaction.sessions(self.domain, state).await?.iter().map(|row| (row.id, origin)));
        }
        transaction.commit().await?;

        let (pages, candidates) = compute_aside(|| {
            index.verify()?;
            let mut marks = Marks::new(&index);
            marks.reach(&index, &roots, progress)?;
            refuse_lacking(&marks, has_given_up)?;
            Outcome::Ok((marks.pages, candidates(&index, &marks, &origins)))
        })?;
        let Candidates { condemned, sighted, spared } = candidates;
        report.pages_marked += pages;
        report.bytes_spared = spared.values().sum();
        report.copies_condemned = condemned.values().map(|places| places.len() as u64).sum();

        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        for (pack, mut places) in condemned {
            // A pack's row may be gone or rewritten only by a collector, and this is the only one.
            places.sort_unstable();
            transaction.put_condemned(&CondemnedRow { domain: self.domain, pack, generation, places }).await?;
        }
        for pack in sighted {
            if let Some(row) = transaction.pack(self.domain, pack).await? {
                transaction.update_pack(&PackRow { sightings: row.sightings.saturating_add(1), ..row }).await?;
            }
        }
        domain.generation = generation;
        transaction.put_domain(&domain).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// What a first mark did not reach.
#[derive(Default)]
struct Candidates {
    /// Copies to condemn, by their places in packs.
    condemned: BTreeMap<PackName, Vec<u32>>,
    /// Packs of interrupted sessions.
    sighted: BTreeSet<PackName>,
    /// Those of them with data that is spared this once, and their bytes.
    spared: BTreeMap<PackName, u64>,
}

/// Copies to condemn, and packs of interrupted sessions.
///
/// Data of a running session, or of one that was interrupted a while ago, stays for the next to find. Pages do not: what a
/// page names may be condemned, so a page that no root reaches must be seen by nobody either (see `collect`, "Why nothing is
/// lost"). Its own session sees it all the same, and if that commits it, the second mark pardons it.
fn candidates(index: &Index, marks: &Marks, origins: &HashMap<SessionId, Origin>) -> Candidates {
    let mut candidates = Candidates::default();
    for (number, table) in index.tables.iter().enumerate() {
        for (place_in_table, pack) in (0..).zip(&index.table_packs[number]) {
            let Some(pack) = pack.map(|pack| &index.packs[pack as usize]) else { continue };
            if pack.row.state != PackState::Proven {
                continue;
            }
            let origin = pack.row.session.and_then(|session| origins.get(&session)).copied().unwrap_or(Origin::Settled);
            if origin == Origin::Interrupted {
                candidates.sighted.insert(pack.row.name);
            }
            let has_grace = pack.row.kind == Some(BlobKind::Data) || sabotaged(Sabotage::PagesHaveGrace);
            let is_marked = |ordinal| marks.is_marked(Slot { table: number as u32, ordinal });
            let unreached = (0..).zip(table.ordinals(place_in_table)).filter(|(_, ordinal)| !is_marked(*ordinal));
            for (place, _) in unreached.filter(|(place, _)| !pack.condemned.contains_key(place)) {
                match origin {
                    Origin::Running if has_grace => {}
                    Origin::Interrupted if has_grace && pack.row.sightings == 0 => {
                        candidates.spared.insert(pack.row.name, pack.row.length);
                    }
                    Origin::Running | Origin::Interrupted | Origin::Settled => {
                        candidates.condemned.entry(pack.row.name).or_default().push(place);
                    }
                }
            }
        }
    }
    candidates
}
