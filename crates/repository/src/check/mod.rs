//! Check without keys: what storage holds against what the ledger says.
//!
//! Damage that is found is remembered, so that it counts as absent and the next backup heals it; what has another copy, in
//! storage or in the ledger, is mended at once. A scan never stops at damage.

mod objects;
mod packs;

use crate::collect::{Marks, Root, all_roots_now};
use crate::fault::Outcome;
use crate::heavy::compute;
use crate::index::{Index, Slot};
use crate::ledger::{PointRow, PointRowState};
use crate::repository::Inner;
use contract::{CheckOptions, CheckReport, DamagedCopy, DomainStatus, Progress, ProgressSink, SetAside};
use format::record::{RecordKind, SignedRecord};
use format::{DomainId, KeyId, names};
use objects::LostKeys;
use std::collections::HashSet;

/// Points that are walked between two words about progress.
const ROOTS_TOGETHER: usize = 64;

impl Inner {
    pub(crate) async fn check(&self, options: &CheckOptions, progress: &ProgressSink) -> Outcome<CheckReport> {
        let mut transaction = self.ledger.snapshot().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        drop(transaction);
        self.fence(domain.incarnation).await?;
        self.check_not_behind().await?;
        self.recover().await?;
        let mut report = CheckReport::default();
        let lost = self.check_keys(&mut report).await?;
        self.check_packs(options, &lost, &mut report, progress).await?;
        self.check_journal(&mut report, progress).await?;
        self.check_claim(&mut report).await?;
        self.check_closures(&lost, &mut report, progress).await?;
        self.forget_index();
        Ok(report)
    }

    /// Every point's closure must be in proven packs; damaged copies count if another one is sound.
    async fn check_closures(&self, lost: &LostKeys, report: &mut CheckReport, progress: &ProgressSink) -> Outcome<()> {
        let (mut transaction, index) = self.snapshot_with_index().await?;
        let roots = all_roots_now(transaction.as_mut(), self.domain).await?;
        let points = transaction.points(self.domain).await?;
        drop(transaction);
        let mut marks = Marks::new(&index);
        // Name everything that is missing instead of stopping at the first.
        let roots: Vec<Root> = roots.into_iter().map(|root| Root { set_aside: true, ..root }).collect();
        for (done, roots) in roots.chunks(ROOTS_TOGETHER).enumerate() {
            compute(|| marks.reach(&index, roots, progress))?;
            let done = (done * ROOTS_TOGETHER + roots.len()) as u64;
            progress(Progress { phase: "walking points", done, total: None, bytes: 0 });
        }
        let listed = |state| matches!(state, PointRowState::Committed | PointRowState::SoftDeleted);
        report.points = points.iter().filter(|row| row.kind == RecordKind::Point && listed(row.state)).count() as u64;
        report.set_aside.extend(points.iter().filter(|row| row.state == PointRowState::SetAside).map(|row| SetAside {
            point: Some(row.id),
            number: row.number,
            why: self.why_set_aside(row),
        }));
        let mut needed = self.report_damage(&index, &marks, report);
        needed.extend(compute(|| needed_of(&index, &marks, &lost.unreadable)));
        let living = points.iter().filter(|row| row.state != PointRowState::Purged);
        needed.extend(living.filter_map(|row| SignedRecord::parse_unverified(&row.record).ok()).map(|record| record.body.key));
        report_lost_keys(self.domain, needed.into_iter().filter(|key| lost.contains(key)).collect(), report);
        report.missing.append(&mut marks.missing);
        report.missing.sort_unstable();
        report.missing.dedup();
        Ok(())
    }

    fn why_set_aside(&self, row: &PointRow) -> String {
        let record = SignedRecord::parse_unverified(&row.record).ok();
        let unauthorised = record.and_then(|record| self.lacks_authority(&record));
        unauthorised.unwrap_or_else(|| "parts of it are not in storage".to_owned())
    }

    /// Damaged copies that a point reaches, or whose blob has no other copy that it would. Answers the keys of blobs that have
    /// no sound copy at all.
    fn report_damage(&self, index: &Index, marks: &Marks, report: &mut CheckReport) -> HashSet<KeyId> {
        let (mut seen, mut keys) = (HashSet::new(), HashSet::new());
        for (number, table) in index.tables.iter().enumerate() {
            for (place_in_table, pack) in index.table_packs[number].iter().enumerate() {
                let Some(pack) = pack.map(|pack| &index.packs[pack as usize]) else { continue };
                if pack.damaged.is_empty() {
                    continue;
                }
                let footer = table.footer(place_in_table as u32, self.domain);
                for entry in pack.damaged.keys().filter_map(|place| footer.entries.get(*place as usize)) {
                    let reached = index.copies(&entry.id).iter().any(|copy| marks.is_marked(copy.slot));
                    if !reached || !seen.insert((pack.row.name, entry.id)) {
                        continue; // garbage: the next collections free it
                    }
                    let other_copy = index.has_sound_copy(&entry.id);
                    if !other_copy {
                        keys.insert(footer.keys[usize::from(entry.key)]);
                    }
                    report.damaged_copies.push(DamagedCopy { pack: pack.row.name, blob: entry.id, other_copy });
                }
            }
        }
        keys
    }

    pub(crate) async fn status(&self) -> Outcome<DomainStatus> {
        let mut transaction = self.ledger.snapshot().await?;
        let domain = self.domain_row(transaction.as_mut()).await?;
        let points = transaction.points(self.domain).await?;
        let points: Vec<_> = points.iter().filter(|row| row.kind == RecordKind::Point).collect();
        let in_state = |state| points.iter().filter(|row| row.state == state).count() as u64;
        let items: HashSet<_> = points.iter().filter(|row| row.state == PointRowState::Committed).map(|row| &row.item).collect();
        let packs = transaction.packs(self.domain).await?;
        let stored: Vec<_> = packs.iter().filter(|row| row.number > 0 || row.recovered).collect();
        let condemned = transaction.condemned(self.domain).await?;
        let running = crate::collect::running_sessions(transaction.as_mut(), self.domain).await?;
        Ok(DomainStatus {
            domain: self.domain,
            incarnation: domain.incarnation,
            points: in_state(PointRowState::Committed),
            points_deleted: in_state(PointRowState::SoftDeleted),
            items: items.len() as u64,
            packs: stored.len() as u64,
            pack_bytes: stored.iter().map(|row| row.length).sum(),
            blobs: stored.iter().map(|row| u64::from(row.entries)).sum(),
            copies_condemned: condemned.iter().map(|row| row.places.len() as u64).sum(),
            copies_damaged: transaction.damage(self.domain).await?.len() as u64,
            sessions_open: running.iter().filter(|row| self.environment.liveness.is_alive(row.id)).count() as u64,
            packs_unmerged: stored.iter().filter(|row| row.segment.is_none()).count() as u64,
            segments: transaction.segments(self.domain).await?.len() as u64,
        })
    }
}

/// Those of the keys that open anything that a point reaches.
fn needed_of(index: &Index, marks: &Marks, keys: &HashSet<KeyId>) -> HashSet<KeyId> {
    let mut needed = HashSet::new();
    for (number, table) in index.tables.iter().enumerate().filter(|_| !keys.is_empty()) {
        let reached = |ordinal: &u32| marks.is_marked(Slot { table: number as u32, ordinal: *ordinal });
        let of_table = (0..table.len() as u32).filter(reached).map(|ordinal| table.entry(ordinal).key);
        needed.extend(of_table.filter(|key| keys.contains(key)));
    }
    needed
}

fn report_lost_keys(domain: DomainId, mut lost: Vec<KeyId>, report: &mut CheckReport) {
    lost.sort_unstable();
    let what = "both copies of the key object are damaged, not readable or gone";
    let objects = lost.into_iter().map(|key| (names::key(domain, key, names::COPIES[0]), what.to_owned()));
    report.damaged_objects.extend(objects);
}
