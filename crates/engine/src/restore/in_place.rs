//! Files that are changed in place: what of their content is there already is neither fetched nor written.

use super::file_job::FileJob;
use format::BlobId;
use format::blob::BlobKind;
use seal::DomainWriter;
use std::ops::Range;

/// Smaller files share blobs, whose ids say nothing of one of them alone: they are compared when they are written.
pub(super) const COMPARED_BYTES_MIN: u64 = crate::backup::OWN_BLOBS_FROM;

/// Compares what is there with what a point has, by the ids of its blobs.
pub(super) struct InPlace {
    writer: DomainWriter,
    /// All of it initialised.
    buffer: Vec<u8>,
}

impl InPlace {
    pub(super) fn new(writer: DomainWriter) -> Self {
        Self { writer, buffer: Vec::new() }
    }

    /// Whether this range of the file holds a whole blob; then it stays. What cannot be read is written.
    pub(super) fn keeps(&mut self, job: &FileJob, blob: BlobId, range: &Range<u64>) -> bool {
        let Some(file) = job.changed_in_place() else { return false };
        let Ok(length) = usize::try_from(range.end - range.start) else { return false };
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let there = &mut self.buffer[..length];
        let is_same = file.read_before(there, range.start).is_ok_and(|read| read == length)
            && self.writer.blob_id(BlobKind::Data, &[], there) == blob;
        if is_same {
            file.keep(range);
        }
        is_same
    }
}
