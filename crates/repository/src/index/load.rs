//! Loading an index from the ledger, with the tables that are open already.

use super::{Index, Pack, SegmentFiles, Table};
use crate::fault::{Fault, Outcome};
use crate::ledger::{PackState, Transaction};
use contract::ErrorKind;
use format::pack::Footer;
use format::segment::Segment;
use format::{DomainId, FooterHash, PackName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Tables that are open, so that loading an index parses only what is new.
#[derive(Debug, Default)]
pub(crate) struct TableCache {
    segments: Mutex<HashMap<u64, Arc<Table>>>,
    tails: Mutex<HashMap<PackName, Arc<Table>>>,
}

impl TableCache {
    /// A segment.
    pub(crate) fn segment(&self, files: &SegmentFiles, id: u64) -> Outcome<Arc<Table>> {
        if let Some(table) = self.segments.lock().expect("no panic under this lock").get(&id) {
            return Ok(table.clone());
        }
        let damaged = |cause: String| damaged(format!("index segment {id:016x} cannot be used: {cause}"));
        let bytes = files.open(id).map_err(|error| damaged(error.to_string()))?;
        let table = Arc::new(Table::Segment(Segment::open(bytes).map_err(|error| damaged(error.to_string()))?));
        self.segments.lock().expect("no panic under this lock").insert(id, table.clone());
        Ok(table)
    }

    fn tail(&self, name: PackName, footer: &[u8]) -> Outcome<Arc<Table>> {
        if let Some(table) = self.tails.lock().expect("no panic under this lock").get(&name) {
            return Ok(table.clone());
        }
        let table = Arc::new(Table::tail(Footer::parse(footer)?));
        self.tails.lock().expect("no panic under this lock").insert(name, table.clone());
        Ok(table)
    }

    /// Forgets tables that the ledger no longer names.
    fn keep(&self, segments: &[u64], tails: &HashMap<PackName, ()>) {
        self.segments.lock().expect("no panic under this lock").retain(|id, _| segments.contains(id));
        self.tails.lock().expect("no panic under this lock").retain(|name, _| tails.contains_key(name));
    }
}

pub(super) fn damaged(message: String) -> Fault {
    let error = contract::Error::new(ErrorKind::Corrupt, message);
    Fault::Answer(error.with_hint("run 'holdfast rebuild': it makes the index anew from storage"))
}

impl Index {
    /// Verifies rows and links of all segments, which opening them does not: a link that a damaged segment no longer tells
    /// would make a marking take what it leads to for garbage.
    pub(crate) fn verify(&self) -> Outcome<()> {
        for table in &self.tables {
            if let Table::Segment(segment) = table.as_ref() {
                segment.verify().map_err(|error| damaged(format!("an index segment is damaged: {error}")))?;
            }
        }
        Ok(())
    }

    /// What this transaction says.
    pub(crate) async fn load(
        transaction: &mut dyn Transaction,
        domain: DomainId,
        files: &SegmentFiles,
        cache: &TableCache,
    ) -> Outcome<Self> {
        let mut index = Self::default();
        for row in transaction.packs(domain).await? {
            if matches!(row.state, PackState::Registered | PackState::Proven) {
                index.by_name.insert(row.name, index.packs.len() as u32);
                index.packs.push(Pack { row, condemned: Default::default(), damaged: Default::default() });
            }
        }
        for row in transaction.condemned(domain).await? {
            if let Some(pack) = index.by_name.get(&row.pack) {
                let condemned = &mut index.packs[*pack as usize].condemned;
                for place in row.places {
                    let generation = condemned.entry(place).or_insert(row.generation);
                    *generation = row.generation.min(*generation);
                }
            }
        }
        for row in transaction.damage(domain).await? {
            if let Some(pack) = index.by_name.get(&row.pack) {
                index.packs[*pack as usize].damaged.insert(row.place, row.source);
            }
        }
        let segments: Vec<u64> = transaction.segments(domain).await?.iter().map(|row| row.id).collect();
        for id in &segments {
            index.add(cache.segment(files, *id)?, Some(*id));
        }
        let mut tails = HashMap::new();
        for row in transaction.tails(domain).await? {
            let Some(footer) = &row.footer else { continue };
            tails.insert(row.name, ());
            index.add(cache.tail(row.name, footer)?, None);
        }
        cache.keep(&segments, &tails);
        index.check_coverage()?;
        Ok(index)
    }

    /// Adds a table; packs of it that this index does not know are gone, and those that another table covers are there.
    pub(crate) fn add(&mut self, table: Arc<Table>, segment: Option<u64>) {
        let known = |(name, hash): (PackName, Option<FooterHash>)| {
            let pack = *self.by_name.get(&name)?;
            let row = &self.packs[pack as usize].row;
            (row.segment == segment && hash.is_none_or(|hash| hash == row.footer_hash)).then_some(pack)
        };
        let packs = table.pack_hashes().into_iter().map(known).collect();
        self.tables.push(table);
        self.table_packs.push(packs);
    }

    /// Every pack must be covered, once: what is not looks like garbage, or like a blob that is not there.
    fn check_coverage(&self) -> Outcome<()> {
        let covered = self.table_packs.iter().flatten().flatten().count();
        if covered == self.packs.len() {
            Ok(())
        } else {
            Err(damaged("index segments do not cover the packs that they should".to_owned()))
        }
    }
}
