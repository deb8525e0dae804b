//! The second mark, and what is done with what it did not reach either.

use super::mark::Marks;
use super::roots::{Since, all_roots, running_sessions};
use crate::fault::Outcome;
use crate::heavy::compute_aside;
use crate::index::{Index, Slot};
use crate::ledger::{
    CondemnedRow, DamageRow, DomainRow, JournalRow, PackRow, PackState, PointRowState, SessionKind, SessionRow, SessionState,
    Transaction,
};
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::unread::refuse_lacking;
use crate::{Sabotage, sabotaged};
use contract::{CollectOptions, CollectReport, Progress, ProgressSink};
use format::journal::Payload;
use format::{PackName, SessionId, names};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Most packs on one deletion list.
const LIST_PACKS_MAX: usize = in_tests(2, 10_000);
/// A session that is older than this, in milliseconds, by a clock that nobody should trust (sabotage only).
const SABOTAGED_SESSION_AGE_MS: i64 = 7 * 86_400_000;

/// What the second mark decided.
struct Verdict {
    /// Places that are dead for good, by pack.
    dead: BTreeMap<PackName, BTreeSet<u32>>,
    /// Condemned places that a root of now reaches.
    pardoned: HashSet<(PackName, u32)>,
}

impl Inner {
    pub(crate) async fn sweep(
        &self,
        options: &CollectOptions,
        report: &mut CollectReport,
        progress: &ProgressSink,
    ) -> Outcome<()> {
        let (mut transaction, index) = self.snapshot_with_index().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        let now = self.environment.clock.now_ms();
        let waits_for = |row: &SessionRow| {
            let too_old = sabotaged(Sabotage::ClockEndsSessions) && row.opened_ms < now.saturating_sub(SABOTAGED_SESSION_AGE_MS);
            row.kind == SessionKind::Write && !too_old && !sabotaged(Sabotage::SweepDoesNotWaitForSessions)
        };
        let running = running_sessions(transaction.as_mut(), self.domain).await?;
        let oldest = running.iter().filter(|row| waits_for(row)).map(|row| row.generation).min();
        report.waiting_for_sessions =
            running.iter().filter(|row| waits_for(row) && row.generation < domain.generation).count() as u64;
        let limit = oldest.unwrap_or(domain.generation).min(domain.generation);
        let roots = all_roots(transaction.as_mut(), self.domain, Since::Now, now).await?;
        let roots_since = all_roots(transaction.as_mut(), self.domain, Since::Generation(limit), now).await?;
        let condemned = transaction.condemned(self.domain).await?;
        let has_given_up = self.has_given_up(transaction.as_mut()).await?;
        drop(transaction);

        let running: HashSet<SessionId> = running.iter().map(|row| row.id).collect();
        let (pages, verdict) = compute_aside(|| {
            index.verify()?;
            let mut marks = Marks::new(&index);
            let mut pardoned = HashSet::new();
            for (roots, are_of_now) in [(roots, true), (roots_since, false)] {
                if !sabotaged(Sabotage::NoSecondMark) {
                    marks.reach(&index, &roots, progress)?;
                }
                if are_of_now {
                    refuse_lacking(&marks, has_given_up)?;
                    pardoned = reached_places(&index, &marks);
                }
            }
            let dead = dead_places(&index, &marks, &condemned, limit, &running);
            Outcome::Ok((marks.pages, Verdict { dead, pardoned }))
        })?;
        report.pages_marked += pages;
        self.pardon(&verdict.pardoned).await?;
        self.delete_remains(&index, &verdict, report, progress).await?;
        self.rewrite_packs(&index, &verdict.dead, &running, options, report, progress).await?;
        self.delete_keys(report).await?;
        self.forget_old_rows(limit).await
    }

    /// Takes what a root of now reaches out of the condemned rows as they are now: commits may have added to them. What only
    /// a root of before reaches is not deleted yet, and is condemned still. Pages that are hidden because their own links do
    /// not resolve stay hidden.
    async fn pardon(&self, pardoned: &HashSet<(PackName, u32)>) -> Outcome<()> {
        if pardoned.is_empty() {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        for mut row in transaction.condemned(self.domain).await? {
            let condemned = row.places.len();
            row.places.retain(|place| !pardoned.contains(&(row.pack, *place)));
            if row.generation != CondemnedRow::UNPROVEN && row.places.len() < condemned {
                transaction.put_condemned(&row).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Packs without a living copy, page packs of sessions that ended without a point, and names that were issued to sessions
    /// that are over.
    async fn delete_remains(
        &self,
        index: &Index,
        verdict: &Verdict,
        report: &mut CollectReport,
        progress: &ProgressSink,
    ) -> Outcome<()> {
        let mut transaction = self.ledger.snapshot().await?;
        let running: HashSet<SessionId> =
            running_sessions(transaction.as_mut(), self.domain).await?.iter().map(|row| row.id).collect();
        let rows = transaction.packs(self.domain).await?;
        drop(transaction);
        let is_over = |row: &PackRow| row.session.is_none_or(|session| !running.contains(&session));
        let is_dead = |row: &PackRow| match row.state {
            PackState::Issued | PackState::Registered => is_over(row),
            PackState::Proven => {
                let known = index.by_name.contains_key(&row.name);
                known && verdict.dead.get(&row.name).is_some_and(|dead| dead.len() == row.entries as usize)
            }
            PackState::Deleting => false,
        };
        let dead: Vec<&PackRow> = rows.iter().filter(|row| is_dead(row)).collect();
        for (done, list) in dead.chunks(LIST_PACKS_MAX).enumerate() {
            let mut transaction = self.ledger.begin().await?;
            let mut domain = self.domain_row(transaction.as_mut()).await?;
            let wanted = wanted_again(index, &transaction.damage(self.domain).await?);
            let list: Vec<&PackRow> = list.iter().copied().filter(|row| !wanted.contains_key(&row.name)).collect();
            let entry = self.list_for_deletion(transaction.as_mut(), &mut domain, &list).await?;
            transaction.commit().await?;
            let Some(entry) = entry else { continue };
            self.delete_listed(&entry).await?;
            report.packs_deleted += list.iter().filter(|row| row.state != PackState::Issued).count() as u64;
            report.bytes_deleted += list.iter().map(|row| row.length).sum::<u64>();
            let done = (done * LIST_PACKS_MAX + list.len()) as u64;
            progress(Progress { phase: "deleting", done, total: Some(dead.len() as u64), bytes: report.bytes_deleted });
        }
        Ok(())
    }

    /// Takes packs from everybody and enters a deletion list of them. Packs whose state is no longer the one given stay.
    pub(crate) async fn list_for_deletion(
        &self,
        transaction: &mut dyn Transaction,
        domain: &mut DomainRow,
        packs: &[&PackRow],
    ) -> Outcome<Option<JournalRow>> {
        let mut names = Vec::with_capacity(packs.len());
        for row in packs {
            let Some(now) = transaction.pack(self.domain, row.name).await? else { continue };
            if now.state != row.state {
                continue;
            }
            transaction.update_pack(&PackRow { state: PackState::Deleting, ..now }).await?;
            names.push(names::pack(self.domain, row.name));
        }
        if names.is_empty() {
            return Ok(None);
        }
        let payload = Payload::Deletion { names };
        Ok(Some(self.enter(transaction, domain, self.environment.clock.now_ms(), payload).await?))
    }

    /// Makes a deletion list durable and carries it out.
    pub(crate) async fn delete_listed(&self, entry: &JournalRow) -> Outcome<()> {
        if !sabotaged(Sabotage::DeleteWithoutList) {
            self.make_durable(entry).await?;
        }
        self.conclude(entry).await
    }

    /// The list is durable and the incarnation was checked: the objects go, then their rows.
    pub(crate) async fn conclude_deletion(&self, entry: &JournalRow, objects: &[String]) -> Outcome<()> {
        for object in objects {
            self.store.delete(&self.object(object.clone())?).await?;
        }
        let mut transaction = self.ledger.begin().await?;
        if self.finish_entry(transaction.as_mut(), entry.number).await? {
            for object in objects {
                let Ok(pack) = names::parse_pack(object) else { continue };
                transaction.remove_condemned(self.domain, pack).await?;
                transaction.remove_damage(self.domain, pack).await?;
                transaction.remove_pack(self.domain, pack).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Rows that nothing refers to any more: purged points that no running session can rest on, sessions that are over.
    async fn forget_old_rows(&self, limit: u64) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        let pinned: HashSet<_> =
            running_sessions(transaction.as_mut(), self.domain).await?.iter().filter_map(|row| row.pinned).collect();
        for point in transaction.points(self.domain).await? {
            let old = point.purged_at.is_some_and(|purged_at| purged_at < limit);
            if point.state == PointRowState::Purged && old && !pinned.contains(&point.id) {
                transaction.remove_point(self.domain, point.id).await?;
            }
        }
        for state in [SessionState::Committed, SessionState::Expired] {
            for session in transaction.sessions(self.domain, state).await? {
                let packs = transaction.packs_of_session(self.domain, session.id).await?;
                if state == SessionState::Committed || packs.iter().all(|pack| pack.sightings > 0) {
                    transaction.remove_session(self.domain, session.id).await?;
                }
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Condemned places that no root since reaches, and on which no session can rest.
///
/// What a rebuild or a checkpoint hid, without condemning it, is dead once its session is over and no root reaches it.
fn dead_places(
    index: &Index,
    marks: &Marks,
    condemned: &[CondemnedRow],
    limit: u64,
    running: &HashSet<SessionId>,
) -> BTreeMap<PackName, BTreeSet<u32>> {
    let reached = reached_places(index, marks);
    let mut dead: BTreeMap<PackName, BTreeSet<u32>> = BTreeMap::new();
    for row in condemned {
        let Some(pack) = index.by_name.get(&row.pack).map(|pack| &index.packs[*pack as usize].row) else { continue };
        let is_hidden = row.generation == CondemnedRow::UNPROVEN;
        let is_due =
            if is_hidden { pack.session.is_none_or(|session| !running.contains(&session)) } else { row.generation <= limit };
        if is_due {
            let unreached = row.places.iter().filter(|place| !reached.contains(&(row.pack, **place)));
            dead.entry(row.pack).or_default().extend(unreached);
        }
    }
    dead.retain(|_, places| !places.is_empty());
    dead
}

/// Copies of blobs of which another copy turned out to be damaged since the index was loaded: whatever the marks say, one of
/// these may be the only sound one. The next collection marks again.
pub(super) fn wanted_again(index: &Index, damage: &[DamageRow]) -> HashMap<PackName, Vec<u32>> {
    let is_known = |row: &DamageRow| {
        let pack = index.by_name.get(&row.pack).map(|pack| &index.packs[*pack as usize]);
        pack.is_some_and(|pack| pack.damaged.get(&row.place) == Some(&row.source))
    };
    let mut wanted: HashMap<PackName, Vec<u32>> = HashMap::new();
    for row in damage.iter().filter(|row| !is_known(row) && !sabotaged(Sabotage::DamageFoundMeanwhileIsForgotten)) {
        for copy in index.copies(&row.blob) {
            wanted.entry(index.packs[copy.pack as usize].row.name).or_default().push(copy.place);
        }
    }
    wanted
}

/// Condemned copies that the marking reached.
fn reached_places(index: &Index, marks: &Marks) -> HashSet<(PackName, u32)> {
    let mut reached = HashSet::new();
    for (number, table) in index.tables.iter().enumerate() {
        for (place_in_table, pack) in (0..).zip(&index.table_packs[number]) {
            let Some(pack) = pack.map(|pack| &index.packs[pack as usize]) else { continue };
            let ordinals = table.ordinals(place_in_table);
            let is_reached = |place: u32| {
                let ordinal = ordinals.start.checked_add(place).filter(|ordinal| *ordinal < ordinals.end);
                ordinal.is_some_and(|ordinal| marks.is_marked(Slot { table: number as u32, ordinal }))
            };
            let places = pack.condemned.keys().copied().filter(|place| is_reached(*place));
            reached.extend(places.map(|place| (pack.row.name, place)));
        }
    }
    reached
}
