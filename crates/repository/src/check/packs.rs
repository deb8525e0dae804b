//! Packs in storage against their rows.

use super::objects::LostKeys;
use crate::fault::{Fault, Outcome};
use crate::ledger::{DamageRow, DamageSource, PackRow, PackState};
use crate::repository::Inner;
use crate::stored::StoredCopy;
use contract::{CheckOptions, CheckReport, DamagedPack, Progress, ProgressSink};
use format::blob::BlobKind;
use format::pack::{self, Footer, HEADER_BYTES};
use format::{BlobId, names};
use std::collections::BTreeMap;
use storage::ObjectName;

/// What a look at a pack found.
#[derive(Default)]
struct Finding {
    bytes_read: u64,
    /// Places whose bytes are wrong or gone.
    damaged: Vec<u32>,
    /// Places whose bytes storage cannot read.
    unreadable: Vec<u32>,
    /// Places whose bytes are right; empty if blobs were not read.
    sound: Vec<u32>,
    /// What is wrong with the pack as a whole.
    frame: Option<String>,
}

impl Finding {
    /// Adds the blobs whose key is gone. Of those whose key cannot be read now nothing is known: they are not damaged by that, and
    /// damage of theirs is not taken back.
    fn lose(&mut self, footer: &Footer, lost: &LostKeys) {
        if !footer.keys.iter().any(|key| lost.contains(key)) {
            return;
        }
        let key = |place: &u32| &footer.keys[usize::from(footer.entries[*place as usize].key)];
        self.sound.retain(|place| !lost.contains(key(place)));
        self.damaged.extend((0..footer.entries.len() as u32).filter(|place| lost.gone.contains(key(place))));
        self.damaged.sort_unstable();
        self.damaged.dedup();
    }

    /// Whether this damage is no more. What an agent cannot open may have a right checksum all the same.
    fn has_healed(&self, place: u32, source: DamageSource) -> bool {
        source != DamageSource::Reported && self.sound.binary_search(&place).is_ok()
    }

    /// What of the damage is new, and who says so. What storage cannot read may be readable again: nothing of it is given up,
    /// as of what an agent reported.
    fn news(&self, known: &BTreeMap<u32, DamageSource>) -> Vec<(u32, DamageSource)> {
        let damaged = self.damaged.iter().filter(|place| known.get(place) != Some(&DamageSource::Verified));
        let unreadable =
            self.unreadable.iter().filter(|place| !known.contains_key(place) && self.damaged.binary_search(place).is_err());
        let verified = damaged.map(|place| (*place, DamageSource::Verified));
        verified.chain(unreadable.map(|place| (*place, DamageSource::Unreadable))).collect()
    }
}

impl Inner {
    /// Blobs under a key that is lost are as good as damaged.
    pub(crate) async fn check_packs(
        &self,
        options: &CheckOptions,
        lost: &LostKeys,
        report: &mut CheckReport,
        progress: &ProgressSink,
    ) -> Outcome<()> {
        let index = self.fresh_index().await?;
        let total = index.packs.len() as u64;
        for (number, table) in index.tables.iter().enumerate() {
            for (place, pack) in index.table_packs[number].iter().enumerate() {
                let Some(pack) = pack.map(|pack| &index.packs[pack as usize]) else { continue };
                let footer = table.footer(place as u32, self.domain);
                let is_opened = options.opened.get(&pack.row.name).is_some_and(|blobs| *blobs as usize == footer.entries.len());
                let read = options.read_data && !(is_opened && pack.damaged.is_empty() && !pack.row.frame_damaged);
                let mut finding = self.look_at_pack(&pack.row, &footer, read).await?;
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

    async fn look_at_pack(&self, row: &PackRow, footer: &Footer, read: bool) -> Outcome<Finding> {
        let all = || (0..footer.entries.len() as u32).collect();
        match self.look_at_object(row, footer, read).await {
            Err(fault) if fault.is_not_found() => {
                Ok(Finding { damaged: all(), frame: Some("it is not in storage".to_owned()), ..Finding::default() })
            }
            Err(fault) if fault.is_unreadable() => {
                Ok(Finding { unreadable: all(), frame: Some(unreadable()), ..Finding::default() })
            }
            outcome => outcome,
        }
    }

    async fn look_at_object(&self, row: &PackRow, footer: &Footer, read: bool) -> Outcome<Finding> {
        let name = self.object(names::pack(self.domain, row.name))?;
        let length = self.store.length(&name).await?;
        if read {
            return self.look_at_blobs(row, footer, &name, length).await;
        }
        let damaged = footer.entries.iter().enumerate().filter(|(_, entry)| entry.range().end > length);
        let damaged = damaged.map(|(place, _)| place as u32).collect();
        let frame = self.look_at_frame(row, footer.kind, length).await?;
        Ok(Finding { bytes_read: footer.entries.len() as u64 * 60, damaged, frame, ..Finding::default() })
    }

    /// Compares every blob with the footer that was registered.
    async fn look_at_blobs(&self, row: &PackRow, footer: &Footer, name: &ObjectName, length: u64) -> Outcome<Finding> {
        let whole = self.read_whole(name).await?;
        let mut finding = Finding { bytes_read: length, ..Finding::default() };
        for (place, entry) in footer.entries.iter().enumerate() {
            let places = match self.read_copy(name, whole.as_ref(), entry).await? {
                StoredCopy::Sound(_) => &mut finding.sound,
                StoredCopy::Wrong => &mut finding.damaged,
                StoredCopy::Unreadable => &mut finding.unreadable,
            };
            places.push(place as u32);
        }
        finding.frame = match whole.as_ref().map(|bytes| pack::parse(bytes)) {
            None => self.look_at_frame(row, footer.kind, length).await?,
            Some(Ok(parsed)) if parsed.footer_hash == row.footer_hash => None,
            Some(Ok(_)) => Some(another_pack()),
            Some(Err(error)) => Some(error.to_string()),
        };
        Ok(finding)
    }

    /// What is wrong with header and footer as they stand in storage.
    async fn look_at_frame(&self, row: &PackRow, kind: BlobKind, length: u64) -> Outcome<Option<String>> {
        match self.stored_footer(row.name).await {
            Ok((_, trailer)) if trailer.footer_hash == row.footer_hash && length == row.length => {
                self.look_at_header(row, kind).await
            }
            Ok(_) => Ok(Some(another_pack())),
            Err(Fault::Format(error)) => Ok(Some(error.to_string())),
            Err(fault) if fault.is_unreadable() => Ok(Some(unreadable())),
            Err(fault) => Err(fault),
        }
    }

    async fn look_at_header(&self, row: &PackRow, kind: BlobKind) -> Outcome<Option<String>> {
        let name = self.object(names::pack(self.domain, row.name))?;
        match self.store.get(&name, Some(0..HEADER_BYTES as u64)).await {
            Ok(header) if header[..] == pack::header(row.name, kind) => Ok(None),
            Ok(_) => Ok(Some("its header is damaged".to_owned())),
            Err(error) => match Fault::from(error) {
                fault if fault.is_unreadable() => Ok(Some(unreadable())),
                fault => Err(fault),
            },
        }
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
        let heals = |known: &BTreeMap<u32, DamageSource>| known.iter().any(|(place, source)| finding.has_healed(*place, *source));
        if finding.news(known).is_empty() && !heals(known) && finding.frame.is_none() && !row.frame_damaged {
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
        // As it is now: since the index was loaded others may have found or healed damage of this pack.
        let known = transaction.damage_of_pack(self.domain, row.name).await?;
        let known: BTreeMap<u32, DamageSource> = known.into_iter().map(|row| (row.place, row.source)).collect();
        if heals(&known) {
            transaction.remove_damage(self.domain, row.name).await?;
            for (place, source) in known.iter().filter(|(place, source)| !finding.has_healed(**place, **source)) {
                transaction.put_damage(&self.damage_row(row, footer, *place, *source)).await?;
            }
        }
        for (place, source) in finding.news(&known) {
            transaction.put_damage(&self.damage_row(row, footer, place, source)).await?;
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

fn unreadable() -> String {
    "storage cannot read it".to_owned()
}

fn another_pack() -> String {
    "it is not the pack that was registered".to_owned()
}
