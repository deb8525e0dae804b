//! Working data that may outgrow memory: what is over a fixed budget lies in a temporary file.

use crate::error::{EngineError, Result};
use redb::{Database, Durability, ReadableDatabase, TableDefinition};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// Bytes that each of these keeps in memory.
const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Cache of the temporary table.
const CACHE_BYTES: usize = 8 << 20;
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("map");

enum Place {
    Memory(Vec<u8>),
    File { offset: u64, length: usize },
}

/// A list of byte strings that are added at its end and read by their place.
#[derive(Default)]
pub(crate) struct SpillList {
    places: Vec<Place>,
    memory_bytes: usize,
    file: Option<File>,
}

impl SpillList {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn push(&mut self, bytes: Vec<u8>) -> Result<()> {
        if self.memory_bytes + bytes.len() <= MEMORY_BYTES_MAX {
            self.memory_bytes += bytes.len();
            self.places.push(Place::Memory(bytes));
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile().map_err(EngineError::spill)?);
        }
        let file = self.file.as_mut().ok_or(EngineError::Internal("a temporary file is gone"))?;
        let offset = file.seek(SeekFrom::End(0)).map_err(EngineError::spill)?;
        file.write_all(&bytes).map_err(EngineError::spill)?;
        self.places.push(Place::File { offset, length: bytes.len() });
        Ok(())
    }

    pub(crate) fn get(&mut self, place: usize) -> Result<Vec<u8>> {
        match &self.places[place] {
            Place::Memory(bytes) => Ok(bytes.clone()),
            Place::File { offset, length } => {
                let file = self.file.as_mut().ok_or(EngineError::Internal("a temporary file is gone"))?;
                let mut bytes = vec![0; *length];
                file.seek(SeekFrom::Start(*offset)).map_err(EngineError::spill)?;
                file.read_exact(&mut bytes).map_err(EngineError::spill)?;
                Ok(bytes)
            }
        }
    }
}

/// A map of byte strings.
#[derive(Default)]
pub(crate) struct SpillMap {
    near: HashMap<Vec<u8>, Vec<u8>>,
    near_bytes: usize,
    far: Option<Database>,
}

impl SpillMap {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(value) = self.near.get(key) {
            return Ok(Some(value.clone()));
        }
        let Some(far) = &self.far else { return Ok(None) };
        let transaction = far.begin_read().map_err(EngineError::spill)?;
        let table = transaction.open_table(TABLE).map_err(EngineError::spill)?;
        let found = table.get(key).map_err(EngineError::spill)?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    pub(crate) fn insert(&mut self, key: &[u8], value: Vec<u8>) -> Result<()> {
        // what an entry of the map takes besides its bytes
        self.near_bytes += key.len() + value.len() + 100;
        self.near.insert(key.to_vec(), value);
        if self.near_bytes > MEMORY_BYTES_MAX { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<()> {
        if self.far.is_none() {
            let file = tempfile::tempfile().map_err(EngineError::spill)?;
            let database = Database::builder().set_cache_size(CACHE_BYTES).create_file(file);
            self.far = Some(database.map_err(EngineError::spill)?);
        }
        let far = self.far.as_ref().ok_or(EngineError::Internal("a temporary table is gone"))?;
        let mut transaction = far.begin_write().map_err(EngineError::spill)?;
        transaction.set_durability(Durability::None).map_err(EngineError::spill)?;
        {
            let mut table = transaction.open_table(TABLE).map_err(EngineError::spill)?;
            for (key, value) in self.near.drain() {
                table.insert(key.as_slice(), value.as_slice()).map_err(EngineError::spill)?;
            }
        }
        transaction.commit().map_err(EngineError::spill)?;
        self.near_bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_over_its_budget_reads_back_in_any_order() {
        let mut list = SpillList::default();
        let piece = |number: usize| vec![number as u8; 1 << 20];
        (0..20).for_each(|number| list.push(piece(number)).unwrap());
        assert!(list.file.is_some());
        for number in (0..list.len()).rev() {
            assert!(list.get(number).unwrap() == piece(number), "{number}");
        }
    }

    #[test]
    fn a_map_over_its_budget_finds_what_is_near_and_far() {
        let mut map = SpillMap::default();
        let value = |number: u32| vec![number as u8; 1000];
        (0..20_000u32).for_each(|number| map.insert(&number.to_be_bytes(), value(number)).unwrap());
        assert!(map.far.is_some());
        for number in [0, 1, 9_999, 19_999] {
            assert_eq!(map.get(&u32::to_be_bytes(number)).unwrap(), Some(value(number)));
        }
        assert_eq!(map.get(b"none").unwrap(), None);
    }
}
