//! Files with several names: the first name that is restored brings the content, the others are made at the end.

use crate::error::Result;
use crate::spill::{SpillList, SpillMap};
use format::{Reader, Writer};

/// Names that are noted together.
const TOGETHER: usize = 256;

/// The first names of groups, and further names to be made.
#[derive(Default)]
pub(crate) struct Links {
    first: SpillMap,
    left: SpillMap,
    last: Vec<(Vec<u8>, Vec<u8>)>,
    before: SpillList,
}

impl Links {
    /// The path that a group's content was restored to.
    pub(crate) fn first(&self, group: &[u8; 16]) -> Result<Option<Vec<u8>>> {
        self.first.get(group)
    }

    pub(crate) fn set_first(&mut self, group: &[u8; 16], path: &[u8]) -> Result<()> {
        self.first.insert(group, path.to_vec())
    }

    /// Notes that what stands at one of a group's paths stays as it is.
    pub(crate) fn leave(&mut self, group: &[u8; 16], path: &[u8]) -> Result<()> {
        self.left.insert(group, path.to_vec())
    }

    /// One of a group's paths where something else was left.
    pub(crate) fn left(&self, group: &[u8; 16]) -> Result<Option<Vec<u8>>> {
        self.left.get(group)
    }

    /// Notes that `path` is to be made a further name of `existing`.
    pub(crate) fn push(&mut self, existing: Vec<u8>, path: Vec<u8>) -> Result<()> {
        self.last.push((existing, path));
        if self.last.len() < TOGETHER {
            return Ok(());
        }
        let mut writer = Writer::new();
        for (existing, path) in self.last.drain(..) {
            writer.bytes(&existing).bytes(&path);
        }
        self.before.push(writer.finish())
    }

    /// Gives all further names to `each`: the existing name and the one to be made.
    pub(crate) fn drain(mut self, mut each: impl FnMut(Vec<u8>, Vec<u8>) -> Result<()>) -> Result<()> {
        for place in 0..self.before.len() {
            let bytes = self.before.get(place)?;
            let mut reader = Reader::new("noted links", &bytes);
            while reader.remaining() > 0 {
                let doing = "read noted links";
                let existing = reader.bytes(doing, bytes.len()).map_err(crate::EngineError::format(doing))?.to_vec();
                let path = reader.bytes(doing, bytes.len()).map_err(crate::EngineError::format(doing))?.to_vec();
                each(existing, path)?;
            }
        }
        self.last.into_iter().try_for_each(|(existing, path)| each(existing, path))
    }
}
