//! Rewriting packs without keys: sealed bytes do not depend on the pack that holds them.
//!
//! One pack is rewritten into one, which inherits its number, so that the order of copies stays what it was.

use super::sweep::wanted_again;
use crate::fault::{Fault, Outcome};
use crate::index::{Index, Pack};
use crate::ledger::{CondemnedRow, DamageRow, DamageSource, PackRow, PackState, Transaction};
use crate::repository::Inner;
use crate::simulated::in_tests;
use crate::stored::StoredCopy;
use crate::{Sabotage, sabotaged};
use bytes::Bytes;
use contract::{CollectOptions, CollectReport, ErrorKind, Progress, ProgressSink};
use format::pack::{self, Footer, SealedBlob};
use format::{PackName, SessionId, names};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Packs whose rows are swapped in one transaction.
const SWAP_PACKS: usize = in_tests(2, 16);
/// The same of bytes of their footers, which wait in memory for it.
const SWAP_FOOTER_BYTES: usize = in_tests(400, 32 << 20);

/// A pack that was written anew and waits for the swap.
struct Rewritten {
    old: PackRow,
    new: PackRow,
    /// For each place in the old footer, the place in the new one.
    places: BTreeMap<u32, u32>,
}

impl Inner {
    /// Rewrites packs that are dead in large part, and those whose frame is damaged.
    pub(crate) async fn rewrite_packs(
        &self,
        index: &Index,
        dead: &BTreeMap<PackName, BTreeSet<u32>>,
        running: &HashSet<SessionId>,
        options: &CollectOptions,
        report: &mut CollectReport,
        progress: &ProgressSink,
    ) -> Outcome<()> {
        let none = BTreeSet::new();
        let mut worth = Vec::new();
        for (number, table) in index.tables.iter().enumerate() {
            for (place, pack) in index.table_packs[number].iter().enumerate() {
                let Some(pack) = pack.map(|pack| &index.packs[pack as usize]) else { continue };
                let gone = dead.get(&pack.row.name).unwrap_or(&none);
                if pack.row.state != PackState::Proven || gone.len() == pack.row.entries as usize {
                    continue;
                }
                // Its session's commit looks for it by its name.
                if pack.row.session.is_some_and(|session| running.contains(&session))
                    && !sabotaged(Sabotage::PacksOfSessionsAreRewritten)
                {
                    continue;
                }
                if gone.is_empty() && !pack.row.frame_damaged {
                    continue;
                }
                // Only for a moment: footers of all packs together may be more than fits into memory.
                if is_worth_it(pack, &table.footer(place as u32, self.domain), gone, options) {
                    worth.push((table, place as u32, pack, gone));
                }
            }
        }
        let total = worth.len() as u64;
        let (mut waiting, mut footers) = (Vec::<Rewritten>::new(), 0);
        for (done, (table, place, pack, gone)) in worth.into_iter().enumerate() {
            match self.rewrite_pack(pack, &table.footer(place, self.domain), gone).await {
                Ok(rewritten) => waiting.push(rewritten),
                // Damage that nobody knew of: it is on record now, the pack stays as it is, the others go on.
                Err(Fault::Answer(error)) if error.kind() == ErrorKind::Corrupt => continue,
                Err(fault) => return Err(fault),
            }
            footers += waiting.last().and_then(|rewritten| rewritten.new.footer.as_ref()).map_or(0, Bytes::len);
            if waiting.len() == SWAP_PACKS || footers >= SWAP_FOOTER_BYTES {
                self.swap(index, std::mem::take(&mut waiting), report).await?;
                footers = 0;
            }
            progress(Progress { phase: "rewriting", done: done as u64 + 1, total: Some(total), bytes: report.bytes_rewritten });
        }
        self.swap(index, waiting, report).await
    }

    /// The blobs of a pack that live, and their places in the old footer and the new one. Damage among them goes on record, and
    /// is an error then.
    async fn living_blobs(
        &self,
        pack: &Pack,
        footer: &Footer,
        gone: &BTreeSet<u32>,
    ) -> Outcome<(Vec<SealedBlob<Bytes>>, BTreeMap<u32, u32>)> {
        let object = self.object(names::pack(self.domain, pack.row.name))?;
        let whole = self.read_whole(&object).await?;
        let (mut blobs, mut places, mut damaged) = (Vec::with_capacity(footer.entries.len()), BTreeMap::new(), Vec::new());
        for (place, entry) in (0..).zip(&footer.entries).filter(|(place, _)| !gone.contains(place)) {
            let source = match self.read_copy(&object, whole.as_ref(), entry).await? {
                StoredCopy::Sound(sealed) => {
                    let key = footer.keys[usize::from(entry.key)];
                    places.insert(place, blobs.len() as u32);
                    blobs.push(SealedBlob { id: entry.id, key, links: entry.links.clone(), bytes: sealed });
                    continue;
                }
                StoredCopy::Wrong => DamageSource::Verified,
                StoredCopy::Unreadable => DamageSource::Unreadable,
            };
            damaged.push(DamageRow { domain: self.domain, pack: pack.row.name, place, blob: entry.id, source });
        }
        if damaged.is_empty() {
            return Ok((blobs, places));
        }
        damaged.retain(|row| row.source == DamageSource::Verified || !pack.damaged.contains_key(&row.place));
        self.note_damage(&damaged).await?;
        Err(Fault::answer(ErrorKind::Corrupt, format!("pack {} is damaged", pack.row.name)))
    }

    async fn rewrite_pack(&self, pack: &Pack, footer: &Footer, gone: &BTreeSet<u32>) -> Outcome<Rewritten> {
        let old = &pack.row;
        let (blobs, places) = self.living_blobs(pack, footer, gone).await?;
        let name = PackName(self.environment.random());
        let pack: Bytes = pack::assemble(self.domain, name, footer.kind, blobs)?.into();
        let mut transaction = self.ledger.begin().await?;
        self.domain_row(transaction.as_mut()).await?;
        transaction.put_pack(&self.issued_row(name, None)).await?;
        transaction.commit().await?;
        let object = self.object(names::pack(self.domain, name))?;
        self.store.put(&object, pack.clone()).await?;
        if self.store.get(&object, None).await? != pack {
            return Err(Fault::answer(ErrorKind::Unavailable, format!("pack {name} does not read back as it was written")));
        }
        let parsed = pack::parse(&pack)?;
        let range = parsed.footer_range.start as usize..parsed.footer_range.end as usize;
        let new = PackRow {
            name,
            state: PackState::Proven,
            length: pack.len() as u64,
            entries: parsed.footer.entries.len() as u32,
            footer_hash: parsed.footer_hash,
            frame_damaged: false,
            segment: None,
            // Not a slice, which would keep all of the pack in memory until the swap.
            footer: Some(Bytes::copy_from_slice(&pack[range])),
            ..old.clone()
        };
        Ok(Rewritten { old: old.clone(), new, places })
    }

    /// Without those whose new name another collection took for a left-over, or whose old pack it freed or rewrote: there
    /// must never be two, and if there are they must not take each other's packs.
    async fn still_valid(&self, transaction: &mut dyn Transaction, rewritten: Vec<Rewritten>) -> Outcome<Vec<Rewritten>> {
        let mut valid = Vec::with_capacity(rewritten.len());
        for pack in rewritten {
            let new = transaction.pack_alone(self.domain, pack.new.name).await?.map(|row| row.state);
            let old = transaction.pack_alone(self.domain, pack.old.name).await?.map(|row| row.state);
            let is_valid = new == Some(PackState::Issued) && old == Some(pack.old.state);
            if is_valid || sabotaged(Sabotage::DeletedPacksAreSwappedIn) {
                valid.push(pack);
            }
        }
        Ok(valid)
    }

    async fn note_damage(&self, damaged: &[DamageRow]) -> Outcome<()> {
        let mut transaction = self.ledger.begin().await?;
        for row in damaged {
            transaction.put_damage(row).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// New packs take the place of the old ones, which go on a deletion list, in one transaction.
    async fn swap(&self, index: &Index, rewritten: Vec<Rewritten>, report: &mut CollectReport) -> Outcome<()> {
        if rewritten.is_empty() {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        let mut domain = self.domain_row(transaction.as_mut()).await?;
        let mut rewritten = self.still_valid(transaction.as_mut(), rewritten).await?;
        let damage = transaction.damage(self.domain).await?;
        let wanted = wanted_again(index, &damage);
        let loses = |pack: &Rewritten| {
            wanted.get(&pack.old.name).is_some_and(|places| places.iter().any(|place| !pack.places.contains_key(place)))
        };
        rewritten.retain(|pack| !loses(pack));
        let condemned = transaction.condemned(self.domain).await?;
        for pack in &rewritten {
            transaction.put_pack(&pack.new).await?;
            for row in condemned.iter().filter(|row| row.pack == pack.old.name) {
                let places: Vec<u32> = row.places.iter().filter_map(|place| pack.places.get(place)).copied().collect();
                if !places.is_empty() {
                    transaction.put_condemned(&CondemnedRow { pack: pack.new.name, places, ..row.clone() }).await?;
                }
            }
            for row in damage.iter().filter(|row| row.pack == pack.old.name && row.source == DamageSource::Reported) {
                if let Some(place) = pack.places.get(&row.place) {
                    transaction.put_damage(&DamageRow { pack: pack.new.name, place: *place, ..row.clone() }).await?;
                }
            }
        }
        let old: Vec<&PackRow> = rewritten.iter().map(|pack| &pack.old).collect();
        let entry = self.list_for_deletion(transaction.as_mut(), &mut domain, &old).await?;
        transaction.commit().await?;
        self.forget_index();
        if let Some(entry) = entry {
            self.delete_listed(&entry).await?;
        }
        report.packs_rewritten += rewritten.len() as u64;
        report.bytes_deleted += rewritten.iter().map(|pack| pack.old.length).sum::<u64>();
        report.bytes_rewritten += rewritten.iter().map(|pack| pack.new.length).sum::<u64>();
        Ok(())
    }
}

/// Whether enough of a pack is dead, and nothing that lives in it is known to be damaged.
fn is_worth_it(pack: &Pack, footer: &Footer, gone: &BTreeSet<u32>, options: &CollectOptions) -> bool {
    let living_damage = pack.damaged.iter().any(|(place, source)| *source == DamageSource::Verified && !gone.contains(place));
    let dead_bytes: u64 =
        gone.iter().filter_map(|place| footer.entries.get(*place as usize)).map(|entry| u64::from(entry.length)).sum();
    let enough = dead_bytes * 100 >= pack.row.length * u64::from(options.repack_dead_percent) && dead_bytes > 0;
    (enough || pack.row.frame_damaged) && !living_damage
}
