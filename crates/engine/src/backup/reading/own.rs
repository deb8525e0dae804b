//! Files with blobs of their own: large ones, and those with several names.

use super::details::{Read, is_linked, keep, keep_linked, read_details};
use super::run::read_full;
use crate::backup::leaf_job::{LeafJob, Task};
use crate::backup::shared::{Shared, now_ns, same_state};
use crate::backup::stream_builder::ContentBuilder;
use crate::cut::Cutter;
use crate::error::{EngineError, Result};
use crate::gate::reads_of;
use crate::progress::FileUnderWay;
use crate::source::{Details, Segment, SourceFile, WarningKind};
use format::page::{Content, EntryKind, Extent, Metadata};
use std::io;
use std::ops::Range;

/// A read has at least this much room, unless less is left.
const READ_BYTES: usize = 512 << 10;

/// Reads files into blobs of their own through a buffer that it keeps.
#[derive(Default)]
pub(crate) struct OwnReader {
    /// All of it initialised.
    buffer: Vec<u8>,
}

/// A file that was read into blobs of its own.
struct OwnContent {
    metadata: Metadata,
    begun_ns: i128,
    content: Content,
    details: Option<Details>,
    changed: bool,
}

/// Why a file could not be read to its end.
enum Failure {
    /// The file.
    File(io::Error),
    /// The backup.
    Backup(EngineError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Backup(error)
    }
}

impl OwnReader {
    /// Reads a file and puts its entry into the leaf.
    pub(super) fn read(&mut self, shared: &Shared, job: &LeafJob, task: Task) -> Result<()> {
        if is_linked(&task.found.metadata)
            && let Some(known) = shared.links.get(task.found.file_system, &task.found.metadata)
        {
            keep_linked(shared, job, task, known);
            return Ok(());
        }
        match self.read_content(shared, &task) {
            Ok(OwnContent { metadata, begun_ns, content, details, changed }) => {
                if changed {
                    shared.notices.warn(task.warning(WarningKind::Changed, "it changed while it was read"));
                }
                match details.or_else(|| read_details(shared, &task)) {
                    Some(details) => keep(shared, job, task, Read { metadata, begun_ns, content, details, changed }),
                    None => Ok(()),
                }
            }
            Err(Failure::Backup(error)) => Err(error),
            Err(Failure::File(error)) => {
                let vanished = error.kind() == io::ErrorKind::NotFound;
                let kind = if vanished { WarningKind::Vanished } else { WarningKind::Unreadable };
                shared.notices.warn(task.warning(kind, error));
                Ok(())
            }
        }
    }

    fn read_content(&mut self, shared: &Shared, task: &Task) -> Result<OwnContent, Failure> {
        let file = task.handle.open(&task.found.name)?;
        let begun_ns = now_ns();
        let before = file.metadata()?;
        if before.kind != EntryKind::File {
            return Err(io::Error::other("it is no regular file any more").into());
        }
        let mut content = ContentBuilder::default();
        let mut under_way = shared.progress.file_under_way();
        let mut at = 0;
        while let Some(segment) = file.segment(at)? {
            match segment {
                Segment::Hole { offset, length } => {
                    let length = offset + length - at;
                    if length > 0 {
                        content.push(&shared.store, Extent::Hole { length })?;
                    }
                    at += length;
                    under_way.add(length);
                }
                Segment::Data { offset, length } => {
                    let wanted = offset + length - at;
                    let read = self.read_segment(shared, file.as_ref(), at..at + wanted, &mut content, &mut under_way)?;
                    at += read;
                    if read < wanted {
                        break;
                    }
                }
            }
            // a file that grows as fast as it is read must end somewhere: what was there at the start, and no more
            if at >= before.size {
                break;
            }
        }
        let mut after = file.metadata()?;
        let same = same_state(&before, &after);
        let read = content.bytes();
        let changed = !same || read != after.size;
        after.size = read;
        let (content, details) = (content.finish(&shared.store)?, file.details());
        Ok(OwnContent { metadata: after, begun_ns, content, details, changed })
    }

    /// Room for a read behind the bytes that are there: a piece that is longer than most makes the buffer grow.
    fn make_room(&mut self, filled: usize, left: u64) {
        let wanted = filled + READ_BYTES.min(usize::try_from(left).unwrap_or(READ_BYTES));
        if self.buffer.len() < wanted {
            self.buffer.reserve_exact(wanted.next_multiple_of(READ_BYTES) - self.buffer.len());
            self.buffer.resize(wanted.next_multiple_of(READ_BYTES), 0);
        }
    }

    /// Cuts the bytes of a range; fewer if the file ends before. Answers how many there were.
    fn read_segment(
        &mut self,
        shared: &Shared,
        file: &dyn SourceFile,
        range: Range<u64>,
        content: &mut ContentBuilder,
        under_way: &mut FileUnderWay<'_>,
    ) -> Result<u64, Failure> {
        let (start, length) = (range.start, range.end - range.start);
        let mut cutter = shared.chunker.start();
        // pieces are taken from `from..to` of the buffer
        let (mut from, mut to, mut read) = (0, 0, 0);
        loop {
            self.buffer.copy_within(from..to, 0);
            (from, to) = (0, to - from);
            self.make_room(to, length - read);
            let more = (self.buffer.len() - to).min((length - read) as usize);
            let (before, after) = (reads_of(read), reads_of(read + more as u64));
            shared.gate.pass(after - before, &shared.stop)?;
            let got = read_full(file, &mut self.buffer[to..to + more], start + read)?;
            to += got;
            read += got as u64;
            shared.progress.bytes_read.add(got as u64);
            under_way.add(got as u64);
            let last = got < more || read == length;
            from += cut(shared, &mut cutter, &self.buffer[from..to], last, content)?;
            if last {
                return Ok(read);
            }
        }
    }
}

/// Puts the pieces that can be cut from the buffer on their way; answers how many bytes they are.
fn cut(
    shared: &Shared,
    cutter: &mut Cutter<'_>,
    buffer: &[u8],
    last: bool,
    content: &mut ContentBuilder,
) -> Result<usize, Failure> {
    let mut from = 0;
    while let Some(piece) = cutter.next(&buffer[from..], last) {
        shared.stop.check()?;
        let bytes = &buffer[from..from + piece.length];
        let room = shared.store.room(bytes.len())?;
        let mut plaintext = shared.store.buffer(bytes.len());
        plaintext.extend(bytes);
        let blob = shared.store.put_alone(plaintext, room)?;
        content.push(&shared.store, Extent::Data { blob, offset: 0, length: piece.length as u32 })?;
        from += piece.length;
    }
    Ok(from)
}
