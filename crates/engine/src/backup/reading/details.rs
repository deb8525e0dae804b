//! Attributes and targets, and the entry that everything comes together in.

use crate::backup::leaf_job::{LeafJob, Task};
use crate::backup::link_cache::LinkedContent;
use crate::backup::shared::{Shared, is_unsettled};
use crate::backup::stream_builder::put_attributes;
use crate::error::Result;
use crate::source::{Details, WarningKind};
use format::limits;
use format::page::{Attributes, Content, Entry, EntryKind, Metadata, TreeEntry};
use std::io;

/// What was read of a file, before it is an entry.
pub(super) struct Read {
    /// As it was when the content was read.
    pub(super) metadata: Metadata,
    /// When reading it began, in nanoseconds since 1970.
    pub(super) begun_ns: i128,
    pub(super) content: Content,
    pub(super) details: Details,
    /// It changed while it was read.
    pub(super) changed: bool,
}

/// Attributes and target; an error becomes a warning, and `None` where the entry cannot be kept without them.
pub(super) fn read_details(shared: &Shared, task: &Task) -> Option<Details> {
    let kind = task.found.metadata.kind;
    match task.handle.details(&task.found.name, kind) {
        Ok(details) => Some(details),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            shared.notices.warn(task.warning(WarningKind::Vanished, error));
            None
        }
        Err(error) if kind == EntryKind::Symlink => {
            shared.notices.warn(task.warning(WarningKind::Unreadable, error));
            None
        }
        Err(error) => Some(Details { unreadable: Some(error.to_string()), ..Details::default() }),
    }
}

/// Reads an entry without content.
pub(super) fn read_bare(shared: &Shared, job: &LeafJob, task: Task) {
    let Some(details) = read_details(shared, &task) else { return };
    let (metadata, begun_ns) = (task.found.metadata.clone(), task.found.observed_ns);
    let read = Read { metadata, begun_ns, content: Content::none(), details, changed: false };
    if let Err(error) = keep(shared, job, task, read) {
        shared.stop.fail(error);
    }
}

/// Makes the entry and puts it into its leaf.
pub(super) fn keep(shared: &Shared, job: &LeafJob, task: Task, read: Read) -> Result<()> {
    let Read { mut metadata, begun_ns, content, details, changed } = read;
    if let Some(detail) = details.unreadable {
        shared.notices.warn(task.warning(WarningKind::AttributesUnreadable, detail));
    }
    if metadata.kind == EntryKind::Symlink {
        // another target may have come between `stat` and `readlink`
        metadata.size = details.target.len() as u64;
    }
    let attributes = if Attributes::encode_list(&details.attributes).len() <= limits::INLINE_ATTRIBUTES_MAX {
        Attributes::Inline(details.attributes)
    } else {
        put_attributes(&shared.store, &details.attributes)?
    };
    // The walk may be minutes ahead: both looks must be far from the last change.
    let unsettled = changed || [task.found.observed_ns, begun_ns].iter().any(|at| is_unsettled(&metadata, *at));
    let linked = LinkedContent { metadata, attributes, content, target: details.target, unsettled };
    if is_linked(&linked.metadata) {
        shared.links.insert(task.found.file_system, linked.clone());
    }
    keep_linked(shared, job, task, linked);
    Ok(())
}

/// Whether a file has several names that a restore must make again.
pub(crate) fn is_linked(metadata: &Metadata) -> bool {
    metadata.names > 1 && metadata.kind != EntryKind::Directory
}

/// Makes an entry of what was read under this name or another one, and puts it into its leaf.
pub(super) fn keep_linked(shared: &Shared, job: &LeafJob, task: Task, read: LinkedContent) {
    let LinkedContent { metadata, attributes, content, target, unsettled } = read;
    let link_group = is_linked(&metadata).then(|| shared.writer.link_group(task.found.file_system, metadata.inode));
    let (kind, size) = (metadata.kind, metadata.size);
    let entry = Entry { name: task.found.name.clone(), metadata, attributes, target, content, link_group, unsettled };
    if let Err(error) = entry.check() {
        shared.notices.warn(task.warning(WarningKind::Unreadable, error));
        return;
    }
    shared.totals.count(kind);
    shared.totals.entries_read.add(1);
    shared.progress.entries_done.add(1);
    if kind == EntryKind::File {
        shared.progress.bytes_done.add(size);
    }
    job.fill(task.place, TreeEntry { directory: task.directory, entry });
}
