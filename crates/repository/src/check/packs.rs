//! Packs in storage against their rows.

use crate::fault::Outcome;
use crate::ledger::{DamageRow, DamageSource, PackRow, PackState};
use crate::repository::Inner;
use bytes::Bytes;
use contract::{CheckOptions, CheckReport, DamagedPack, Progress, ProgressSink};
use format::pack::{self, Checksum, Footer};
use format::{BlobId, KeyId, names};
use std::collections::{BTreeMap, HashSet};

/// What a look at a pack found.
struct Finding {
    bytes_read: u64,
    /// Places whose bytes are wrong or gone.
    damaged: Vec<u32>,
    /// Places whose bytes are right; empty if blobs were not read.
    sound: Vec<u32>,
    /// What is wrong with the pack as a whole.
    frame: Option<String>,
}

impl Finding {
    /// Adds the blobs whose key is lost.
    fn lose(&mut self, footer: &Footer, lost: &HashSet<KeyId>) {
        let is_lost = |place: &u32| lost.contains(&footer.keys[usize::from(footer.entries[*place as usize].key)]);
        if footer.keys.iter().any(|key| lost.contains(key)) {
            self.sound.retain(|place| !is_lost(place));
            self.damaged.extend((0..footer.entries.len() as u32).filter(is_lost));
            self.damaged.sort_unstable();
            self.damaged.dedup();
        }
    }
}

impl Inner {
    /// Blobs under a key that is lost are as good as damaged.
    pub(crate) async fn check_packs(
        &self,
        options: &CheckOptions,
        lost: &HashSet<KeyId>,
        report: &mut CheckReport,
        progress: &ProgressSink,
    ) -> Outcome<()> {
        let index = self.fresh_index().await?;
        let total = index.packs.len() as u64;
        for (number, table) in index.tables.iter().enumerate() {
            for (place, pack) in index.table_packs[number].iter().enumerate() {
                let Some(pack) = pack.map(|pack| &index.packs[pack as usize]) else { continue };
                let footer = table.footer(place as u32, self.domain);
                let mut finding = self.look_at_pack(&pack.row, &footer, options).await?;
                finding.lose(&footer, lost);
                report.packs += 1;
                report.blobs += footer.entries.len() as u64;
                report.bytes_read += finding.bytes_read;
                self.remember(&pack.row, &footer, &pack.damaged, &finding, report).await?;
                progress(Progress { phase: "reading packs", done: report.packs, total: Some(total), bytes: report.bytes_read });
            }
        }
        Ok(())
    }

    async fn look_at_pack(&self, row: &PackRow, footer: &Footer, options: &CheckOptions) -> Outcome<Finding> {
        match self.look_at_object(row, footer, options).await {
            Err(fault) if fault.is_not_found() => {
                let frame = Some("it is not in storage".to_owned());
                let damaged = (0..footer.entries.len() as u32).collect();
                Ok(Finding { bytes_read: 0, damaged, sound: Vec::new(), frame })
            }
            outcome => outcome,
        }
    }

    async fn look_at_object(&self, row: &PackRow, footer: &Footer, options: &CheckOptions) -> Outcome<Finding> {
        let name = self.object(names::pack(self.domain, row.name))?;
        let length = self.store.length(&name).await?;
        if !options.read_data {
            let frame = match self.stored_footer(row.name).await {
                Ok((_, trailer)) if trailer.footer_hash == row.footer_hash && length == row.length => None,
                Ok(_) => Some("it is not the pack that was registered".to_owned()),
                Err(crate::Fault::Format(error)) => Some(error.to_string()),
                Err(fault) => return Err(fault),
            };
            let damaged = footer.entries.iter().enumerate().filter(|(_, entry)| entry.range().end > length);
            let damaged = damaged.map(|(place, _)| place as u32).collect();
            return Ok(Finding { bytes_read: footer.entries.len() as u64 * 60, damaged, sound: Vec::new(), frame });
        }
        let bytes = self.store.get(&name, None).await?;
        Ok(examine(row, footer, &bytes))
    }

    /// Damage goes on record, damage that is no more comes off it, and the report is told.
    async fn remember(
        &self,
        row: &PackRow,
        footer: &Footer,
        known: &BTreeMap<u32, DamageSource>,
        finding: &Finding,
        report: &mut CheckReport,
    ) -> Outcome<()> {
        let new: Vec<u32> =
            finding.damaged.iter().copied().filter(|place| known.get(place) != Some(&DamageSource::Verified)).collect();
        let healed = finding.sound.iter().any(|place| known.get(place) == Some(&DamageSource::Verified));
        if new.is_empty() && !healed && finding.frame.is_none() && !row.frame_damaged {
            return Ok(());
        }
        let mut transaction = self.ledger.begin().await?;
        // A pack that a collection rewrote or freed meanwhile is not damaged.
        let Some(now) = transaction.pack(self.domain, row.name).await?.filter(|now| now.state != PackState::Deleting) else {
            return Ok(());
        };
        if let Some(what) = &finding.frame {
            report.damaged_packs.push(DamagedPack { pack: row.name, what: what.clone() });
        }
        if healed {
            transaction.remove_damage(self.domain, row.name).await?;
            for (place, source) in known.iter().filter(|(place, _)| !finding.sound.contains(place)) {
                transaction.put_damage(&self.damage_row(row, footer, *place, *source)).await?;
            }
        }
        for place in new {
            transaction.put_damage(&self.damage_row(row, footer, place, DamageSource::Verified)).await?;
        }
        transaction.update_pack(&PackRow { frame_damaged: finding.frame.is_some(), ..now }).await?;
        transaction.commit().await?;
        Ok(())
    }

    fn damage_row(&self, row: &PackRow, footer: &Footer, place: u32, source: DamageSource) -> DamageRow {
        let blob: BlobId = footer.entries[place as usize].id;
        DamageRow { domain: self.domain, pack: row.name, place, blob, source }
    }
}

/// Compares a whole pack with the footer that was registered.
fn examine(row: &PackRow, footer: &Footer, bytes: &Bytes) -> Finding {
    let (mut damaged, mut sound) = (Vec::new(), Vec::new());
    for (place, entry) in footer.entries.iter().enumerate() {
        let range = entry.range().start as usize..entry.range().end as usize;
        let right = bytes.get(range).is_some_and(|sealed| Checksum::of(sealed) == entry.checksum);
        if right { &mut sound } else { &mut damaged }.push(place as u32);
    }
    let frame = match pack::parse(bytes) {
        Ok(parsed) if parsed.footer_hash == row.footer_hash => None,
        Ok(_) => Some("it is not the pack that was registered".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    Finding { bytes_read: bytes.len() as u64, damaged, sound, frame }
}
