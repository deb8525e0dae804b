//! Points as the keyed side sees them: verified, with their sealed details; and what an agent remembers of them.

use crate::call::{Calls, on_thread};
use crate::error::{EngineError, Result};
use crate::read::{KeyRing, ReadKeys};
use contract::{Domain, ItemHead, PointInfo};
use format::codec::within;
use format::descriptor::Descriptor;
use format::record::{RecordBody, RecordKind, SignedRecord};
use format::{BlobId, DomainId, FormatError, ItemName, KeyId, PointId, Reader, Sequence, Writer};
use seal::DataKey;
use std::sync::Arc;

/// Version of the encoding of [`PointDetails`].
const DETAILS_VERSION: u8 = 1;
/// Most bytes of a path, name or text in the details.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most paths in the details.
const PATHS_MAX: usize = 1024;
/// Most bytes of all paths in the details; what is over is left out, and the count tells.
const PATHS_BYTES_MAX: usize = 192 << 10;

/// A point whose record was verified: signed by an agent that the owner certified for its domain and item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPoint {
    /// Its id.
    pub id: PointId,
    /// The body of its record.
    pub body: RecordBody,
    /// The authority's stamp, in milliseconds since 1970. Not signed by the agent.
    pub time_ms: i64,
}

impl VerifiedPoint {
    /// The manifest page.
    #[must_use]
    pub fn root(&self) -> BlobId {
        self.body.root
    }

    /// The key of the session that made it.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.body.key
    }

    /// Opens the sealed details with the key that [`VerifiedPoint::key`] names.
    pub fn details(&self, key: &DataKey) -> Result<PointDetails> {
        let doing = "open the details of a point";
        let aad = self.body.associated_data();
        let bytes = key.open_metadata(&aad, self.body.metadata_nonce, &self.body.metadata).map_err(EngineError::seal(doing))?;
        PointDetails::decode(&bytes).map_err(EngineError::format(doing))
    }
}

/// Verifies a point: that its record is what the vault says it is, signed, and its agent certified for its domain and item
/// by the descriptor (whose signature its reader has verified against the owner's pinned key).
pub fn verify_point(descriptor: &Descriptor, domain: DomainId, info: &PointInfo) -> Result<VerifiedPoint> {
    let record = SignedRecord::parse(&info.record).map_err(EngineError::format("verify a point"))?;
    descriptor.authorise(&record, true).map_err(EngineError::format("verify a point"))?;
    let body = &record.body;
    if body.domain != domain {
        return Err(EngineError::Untrusted("it belongs to another domain"));
    }
    if body.item != info.item {
        return Err(EngineError::Untrusted("it belongs to another item"));
    }
    if body.sequence != info.sequence || record.id() != info.id {
        return Err(EngineError::Untrusted("its record is the record of another point"));
    }
    Ok(VerifiedPoint { id: info.id, body: record.body, time_ms: info.time_ms })
}

/// Like [`verify_point`], for one that is to be listed or restored: not a checkpoint.
pub fn verify_whole_point(descriptor: &Descriptor, domain: DomainId, info: &PointInfo) -> Result<VerifiedPoint> {
    let point = verify_point(descriptor, domain, info)?;
    if point.body.kind != RecordKind::Point {
        return Err(EngineError::Untrusted("it is a checkpoint of an unfinished backup"));
    }
    Ok(point)
}

/// What a point says about itself. One key object is read. Must be called within a multi-threaded runtime.
pub async fn read_details(
    domain: Arc<dyn Domain>,
    descriptor: Arc<Descriptor>,
    keys: ReadKeys,
    info: PointInfo,
) -> Result<PointDetails> {
    on_thread(move |runtime| {
        let point = verify_whole_point(&descriptor, domain.id(), &info)?;
        let key = KeyRing::new(Calls::new(domain, runtime), keys).get(point.key())?;
        point.details(&key)
    })
    .await
}

/// How many entries of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryCounts {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Fifos and devices.
    pub others: u64,
}

/// What a point says about itself, sealed with its session's key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PointDetails {
    /// The machine.
    pub host: String,
    /// The paths that were protected, as given. Long lists are cut: see `paths_left_out`.
    pub paths: Vec<Vec<u8>>,
    /// How many paths did not fit here.
    pub paths_left_out: u64,
    /// Program and version that made it.
    pub program: String,
    /// When it started, in milliseconds since 1970 by the agent's clock.
    pub started_ms: i64,
    /// When it ended, likewise.
    pub ended_ms: i64,
    /// Entries by kind.
    pub counts: EntryCounts,
    /// Bytes of content, holes included; of a file with several names, once for each.
    pub bytes: u64,
    /// Warnings that its job gave.
    pub warnings: u64,
    /// Things left out on purpose.
    pub left_out: u64,
    /// Of how many of the paths nothing is in the point, against its wish: it is incomplete. Records of before that was told have none.
    pub paths_unread: u64,
}

impl PointDetails {
    /// Whether a whole part of the item is missing: such a point stands for none that retention wants.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.paths_unread > 0
    }

    /// Sets the paths, as many as fit.
    #[must_use]
    pub fn with_paths(mut self, paths: &[Vec<u8>]) -> Self {
        let mut bytes = 0;
        let fits = |path: &&Vec<u8>| {
            bytes += path.len() + 10;
            path.len() <= TEXT_BYTES_MAX && bytes <= PATHS_BYTES_MAX
        };
        self.paths = paths.iter().take(PATHS_MAX).take_while(fits).cloned().collect();
        self.paths_left_out = (paths.len() - self.paths.len()) as u64;
        self
    }

    /// Encodes them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(DETAILS_VERSION).bytes(self.host.as_bytes()).varint(self.paths.len() as u64);
        self.paths.iter().for_each(|path| {
            writer.bytes(path);
        });
        writer.varint(self.paths_left_out).bytes(self.program.as_bytes()).i64(self.started_ms).i64(self.ended_ms);
        let EntryCounts { files, directories, symlinks, others } = self.counts;
        for number in [files, directories, symlinks, others, self.bytes, self.warnings, self.left_out, self.paths_unread] {
            writer.varint(number);
        }
        writer.finish()
    }

    /// Decodes them. Later versions may add fields behind those known here.
    pub fn decode(bytes: &[u8]) -> format::codec::Result<Self> {
        within("details of a point", bytes.len(), format::limits::RECORD_METADATA_BYTES_MAX)?;
        let mut reader = Reader::new("details of a point", bytes);
        let version = reader.u8()?;
        if version != DETAILS_VERSION {
            return Err(FormatError::Version { what: "details of a point", found: version, known: DETAILS_VERSION });
        }
        let host = reader.text("host", TEXT_BYTES_MAX)?.to_owned();
        let count = reader.count("paths", PATHS_MAX, 1)?;
        let paths = (0..count).map(|_| Ok(reader.bytes("path", TEXT_BYTES_MAX)?.to_vec())).collect::<Result<_, FormatError>>()?;
        let paths_left_out = reader.varint()?;
        let program = reader.text("program", TEXT_BYTES_MAX)?.to_owned();
        let (started_ms, ended_ms) = (reader.i64()?, reader.i64()?);
        let mut numbers = [0; 7];
        for number in &mut numbers {
            *number = reader.varint()?;
        }
        let [files, directories, symlinks, others, bytes, warnings, left_out] = numbers;
        let counts = EntryCounts { files, directories, symlinks, others };
        let paths_unread = if reader.remaining() > 0 { reader.varint()? } else { 0 };
        Ok(Self { host, paths, paths_left_out, program, started_ms, ended_ms, counts, bytes, warnings, left_out, paths_unread })
    }
}

/// What an agent remembers of an item, so that a vault which shows less than it showed before is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The item.
    pub item: ItemName,
    /// Its newest point.
    pub point: PointId,
    /// That point's place in the chain.
    pub sequence: Sequence,
    /// Version of the vault's descriptor.
    pub descriptor_version: u64,
}

/// A vault shows less than it showed before: it was set back, or somebody sets back what it shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// The descriptor is older than one that was seen.
    #[error("the vault shows version {shown} of its descriptor, version {seen} was seen before")]
    DescriptorSetBack {
        /// What it shows.
        shown: u64,
        /// What was seen.
        seen: u64,
    },
    /// The item's newest point is older than one that was seen, or gone.
    #[error("the vault shows {shown} points of '{item}' so far, {seen} were seen before")]
    PointsSetBack {
        /// The item.
        item: ItemName,
        /// Place of the newest point that is shown; 0 if there is none.
        shown: Sequence,
        /// Place of the newest that was seen.
        seen: Sequence,
    },
    /// The same place in the chain holds another point.
    #[error("point {sequence} of '{item}' is not the one that was seen before")]
    PointReplaced {
        /// The item.
        item: ItemName,
        /// Its place.
        sequence: Sequence,
    },
}

impl Remembered {
    /// Compares with what the vault shows now.
    pub fn check(&self, head: Option<ItemHead>, descriptor_version: u64) -> Result<(), Alarm> {
        if descriptor_version < self.descriptor_version {
            return Err(Alarm::DescriptorSetBack { shown: descriptor_version, seen: self.descriptor_version });
        }
        let shown = head.map_or(Sequence(0), |head| head.sequence);
        if shown < self.sequence {
            return Err(Alarm::PointsSetBack { item: self.item.clone(), shown, seen: self.sequence });
        }
        if shown == self.sequence && head.is_some_and(|head| head.point != self.point) {
            return Err(Alarm::PointReplaced { item: self.item.clone(), sequence: shown });
        }
        Ok(())
    }

    /// For a file of the agent's: text, one line.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{} {} {} {}", self.item, self.sequence, self.point, self.descriptor_version)
    }

    /// Reads what [`Remembered::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self> {
        let invalid = || EngineError::Format {
            doing: "read what is remembered of an item",
            source: FormatError::Invalid("it is not four words: item, sequence, point, version"),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [item, sequence, point, version] = words[..] else { return Err(invalid()) };
        Ok(Self {
            item: item.parse().map_err(|_| invalid())?,
            point: point.parse().map_err(|_| invalid())?,
            sequence: Sequence(sequence.parse().map_err(|_| invalid())?),
            descriptor_version: version.parse().map_err(|_| invalid())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: u64, point: u8) -> Option<ItemHead> {
        Some(ItemHead { point: PointId([point; 32]), sequence: Sequence(sequence) })
    }

    #[test]
    fn details_come_back_as_they_went_in() {
        let details = PointDetails { host: "host".into(), bytes: 7, warnings: 2, started_ms: -5, ..PointDetails::default() };
        let details = details.with_paths(&[b"/a".to_vec(), vec![0xff, 0xfe]]);
        assert_eq!(PointDetails::decode(&details.encode()).unwrap(), details);
    }

    #[test]
    fn details_of_before_unread_paths_were_told_have_none() {
        let details = PointDetails { warnings: 2, paths_unread: 1, ..PointDetails::default() };
        let bytes = details.encode();
        assert!(PointDetails::decode(&bytes).unwrap().is_incomplete());
        let before = PointDetails { paths_unread: 0, ..details };
        assert_eq!(PointDetails::decode(&bytes[..bytes.len() - 1]).unwrap(), before);
    }

    #[test]
    fn more_paths_than_fit_are_counted() {
        let paths = vec![vec![b'x'; 60_000]; 10];
        let details = PointDetails::default().with_paths(&paths);
        assert_eq!((details.paths.len(), details.paths_left_out), (3, 7));
        assert!(details.encode().len() < format::limits::RECORD_METADATA_BYTES_MAX);
    }

    #[test]
    fn a_vault_that_shows_less_than_before_raises_an_alarm() {
        let seen = Remembered {
            item: ItemName::new("item").unwrap(),
            point: PointId([3; 32]),
            sequence: Sequence(3),
            descriptor_version: 2,
        };
        assert_eq!(Remembered::from_text(&seen.to_text()).unwrap(), seen);
        assert_eq!(seen.check(head(3, 3), 2), Ok(()));
        assert_eq!(seen.check(head(4, 4), 3), Ok(()));
        assert!(matches!(seen.check(head(4, 4), 1), Err(Alarm::DescriptorSetBack { .. })));
        assert!(matches!(seen.check(head(2, 2), 2), Err(Alarm::PointsSetBack { .. })));
        assert!(matches!(seen.check(None, 2), Err(Alarm::PointsSetBack { .. })));
        assert!(matches!(seen.check(head(3, 9), 2), Err(Alarm::PointReplaced { .. })));
    }
}
