//! Small files whose content goes together into one blob.

use super::ahead::Ahead;
use super::details::{Read, keep, read_details};
use crate::backup::leaf_job::{LeafJob, Task};
use crate::backup::shared::{Shared, now_ns, same_state};
use crate::error::Result;
use crate::source::{Details, Segment, SourceFile, WarningKind};
use format::page::{Content, EntryKind, Extent, Metadata};
use format::{BlobId, limits};
use std::io;
use system::Buffer;

/// A file that was read, its extents without the blob's id.
struct Piece {
    task: Task,
    read: Read,
}

/// Reads small files into one blob. Answers those that have to be read by themselves.
pub(super) fn read_run(shared: &Shared, job: &LeafJob, tasks: Vec<Task>) -> Result<Vec<Task>> {
    let bytes: usize = tasks.iter().map(|task| task.found.metadata.size as usize).sum();
    let mut room = shared.store.room(bytes)?;
    let mut buffer = shared.store.buffer(bytes);
    let mut pieces = Vec::with_capacity(tasks.len());
    let mut unfit = Vec::new();
    // room that others count on
    let mut promised = bytes;
    let mut files = Ahead::new(shared, tasks);
    while let Some((task, file)) = files.next()? {
        let start = buffer.len();
        promised -= task.found.metadata.size as usize;
        let read = match file {
            Ok(file) => read_file(shared, &task, file, &mut buffer, bytes - promised)?,
            Err(error) => Err(error),
        };
        match read {
            Ok(Outcome::Read(FileRead { metadata, begun_ns, extents, details, changed })) => {
                let Some(details) = details.or_else(|| read_details(shared, &task)) else {
                    buffer.truncate(start);
                    continue;
                };
                if changed {
                    shared.notices.warn(task.warning(WarningKind::Changed, "it changed while it was read"));
                }
                let content = Content::Extents(extents);
                pieces.push(Piece { task, read: Read { metadata, begun_ns, content, details, changed } });
            }
            Ok(Outcome::Unfit) => {
                buffer.truncate(start);
                unfit.push(task);
            }
            Err(error) => {
                buffer.truncate(start);
                let vanished = error.kind() == io::ErrorKind::NotFound;
                let kind = if vanished { WarningKind::Vanished } else { WarningKind::Unreadable };
                shared.notices.warn(task.warning(kind, error));
            }
        }
    }
    shared.progress.bytes_read.add(buffer.len() as u64);
    let blob = if buffer.is_empty() {
        None
    } else {
        room.shrink(buffer.len());
        Some(shared.store.put_together(buffer, room)?)
    };
    for Piece { task, mut read } in pieces {
        if let (Content::Extents(extents), Some(blob)) = (&mut read.content, blob) {
            name_blob(extents, blob);
        }
        keep(shared, job, task, read)?;
    }
    Ok(unfit)
}

fn name_blob(extents: &mut [Extent], id: BlobId) {
    for extent in extents {
        if let Extent::Data { blob, .. } = extent {
            *blob = id;
        }
    }
}

enum Outcome {
    Read(FileRead),
    /// It does not fit the run any more: it grew, it got a further name or another owner.
    Unfit,
}

struct FileRead {
    metadata: Metadata,
    begun_ns: i128,
    extents: Vec<Extent>,
    details: Option<Details>,
    /// It was not the same before and after it was read.
    changed: bool,
}

/// Reads a file behind what is in the buffer, which must not become longer than `fits`. It was opened some time ago: if it is not what the
/// walk found any more, or cannot be read, what has its name now is read instead.
fn read_file(
    shared: &Shared,
    task: &Task,
    opened: Box<dyn SourceFile>,
    buffer: &mut Buffer,
    fits: usize,
) -> Result<io::Result<Outcome>> {
    let start = buffer.len();
    let found = &task.found.metadata;
    if let Ok(read) = read_once(opened.as_ref(), found, buffer)
        && !read.changed
        && (read.metadata.names > 0 || found.names == 0)
    {
        return Ok(Ok(Outcome::Read(read)));
    }
    buffer.truncate(start);
    drop(opened);
    shared.gate.pass(1, &shared.stop)?;
    Ok(read_again(task, buffer, fits))
}

fn read_again(task: &Task, buffer: &mut Buffer, fits: usize) -> io::Result<Outcome> {
    let file = task.handle.open(&task.found.name)?;
    let now = file.metadata()?;
    if now.kind != EntryKind::File {
        return Err(io::Error::other("it is no regular file any more"));
    }
    // a file that got a second name does not belong into a run, nor one of another owner: how well all compress together would tell him
    // something of the others
    let belongs = |metadata: &Metadata| metadata.names <= 1 && metadata.user.id == task.found.metadata.user.id;
    if buffer.len() as u64 + now.size > fits as u64 || !belongs(&now) {
        return Ok(Outcome::Unfit);
    }
    let read = read_once(file.as_ref(), &now, buffer)?;
    Ok(if belongs(&read.metadata) { Outcome::Read(read) } else { Outcome::Unfit })
}

fn read_once(file: &dyn SourceFile, before: &Metadata, buffer: &mut Buffer) -> io::Result<FileRead> {
    let begun_ns = now_ns();
    let extents = read_segments(file, before.size, buffer)?;
    let mut metadata = file.metadata()?;
    let same = same_state(before, &metadata);
    // what was read is what can be restored
    metadata.size = extents.iter().map(Extent::length).sum();
    let changed = !same || metadata.size != before.size;
    Ok(FileRead { metadata, begun_ns, extents, details: file.details(), changed })
}

/// Reads the data of a file of `size` bytes; what was added behind them is left.
fn read_segments(file: &dyn SourceFile, size: u64, buffer: &mut Buffer) -> io::Result<Vec<Extent>> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < size {
        let Some(segment) = file.segment(at)? else { break };
        match segment {
            Segment::Hole { offset, length } => {
                let length = (offset + length).min(size) - at;
                extents.push(Extent::Hole { length });
                at += length;
            }
            Segment::Data { offset, length } => {
                let wanted = (offset + length).min(size) - at;
                let start = buffer.len();
                let read = read_full(file, buffer.spare(wanted as usize), at)?;
                buffer.advance(read);
                if read > 0 {
                    let blob = BlobId([0; 32]);
                    extents.push(Extent::Data { blob, offset: start as u32, length: read as u32 });
                }
                at += read as u64;
                if (read as u64) < wanted {
                    break;
                }
            }
        }
        if extents.len() > limits::INLINE_EXTENTS_MAX {
            return Err(io::Error::other("a small file has very many holes"));
        }
    }
    Ok(extents)
}

/// Fills the buffer unless the file ends before.
pub(super) fn read_full(file: &dyn SourceFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
