//! Encoding of a leaf whose entries were checked.

use super::tables::{ClassTable, ListTable};
use super::{
    ATTRIBUTES_LIST, ATTRIBUTES_STREAM, CHANGED_IS_MODIFIED, CONTENT_EXTENTS, CONTENT_GOES_ON, CONTENT_STREAM, LINK_GROUP, SIZE,
    TreeEntry, UNSETTLED, expected_size,
};
use crate::codec::{Result, Writer};
use crate::page::check::shared_prefix;
use crate::page::extents::ExtentsWriter;
use crate::page::links::LinkTable;
use crate::page::{Attributes, Content, Entry, EntryKind, Page, PageType, Timestamp};

#[derive(Default)]
struct Columns {
    classes: ClassTable,
    lists: ListTable,
    class: Writer,
    flags: Writer,
    shared: Writer,
    further: Writer,
    name: Writer,
    modified_seconds: Writer,
    modified_nanoseconds: Writer,
    changed_seconds: Writer,
    changed_nanoseconds: Writer,
    inode: Writer,
    names: Writer,
    size: Writer,
    extent_counts: Writer,
    extents: ExtentsWriter,
    streams: Writer,
    target_lengths: Writer,
    targets: Writer,
    devices: Writer,
    attribute_lists: Writer,
    attribute_streams: Writer,
    link_groups: Writer,
}

/// What stands before an entry.
#[derive(Default)]
struct Before {
    modified: Timestamp,
    changed: Timestamp,
    inode: u64,
}

pub(super) fn encode(entries: &[TreeEntry]) -> Result<Page> {
    let links = LinkTable::of(entries.iter().flat_map(|each| each.entry.links()))?;
    let mut columns = Columns::default();
    let mut before = Before::default();
    let mut name: &[u8] = b"";
    let mut writer = Writer::new();
    writer.u8(PageType::TreeLeaf as u8).varint(entries.len() as u64);
    for (place, each) in entries.iter().enumerate() {
        if place == 0 || entries[place - 1].directory != each.directory {
            name = b"";
        }
        columns.push_name(name, &each.entry.name);
        name = &each.entry.name;
        columns.push(&each.entry, &mut before, &links)?;
    }
    write_directories(&mut writer, entries);
    columns.finish(&mut writer);
    links.finish(writer)
}

fn write_directories(writer: &mut Writer, entries: &[TreeEntry]) {
    let sections = || entries.chunk_by(|left, right| left.directory == right.directory);
    let [mut shared, mut further, mut counts, mut bytes]: [Writer; 4] = Default::default();
    let mut path: &[u8] = b"";
    for section in sections() {
        let next: &[u8] = &section[0].directory;
        let common = shared_prefix(path, next);
        shared.varint(common as u64);
        further.varint((next.len() - common) as u64);
        counts.varint(section.len() as u64);
        bytes.raw(&next[common..]);
        path = next;
    }
    writer.varint(sections().count() as u64);
    for column in [shared, further, counts, bytes] {
        writer.raw(&column.finish());
    }
}

impl Columns {
    fn push_name(&mut self, before: &[u8], name: &[u8]) {
        let common = shared_prefix(before, name);
        self.shared.varint(common as u64);
        self.further.varint((name.len() - common) as u64);
        self.name.raw(&name[common..]);
    }

    fn push(&mut self, entry: &Entry, before: &mut Before, links: &LinkTable) -> Result<()> {
        let metadata = &entry.metadata;
        self.class.varint(self.classes.position(metadata));
        let mut flags = self.push_content(&entry.content, links) | self.push_attributes(&entry.attributes, links)?;
        if let Some(group) = &entry.link_group {
            flags |= LINK_GROUP;
            self.link_groups.raw(group);
        }
        if entry.unsettled {
            flags |= UNSETTLED;
        }
        if metadata.size != expected_size(&entry.content, &entry.target) {
            flags |= SIZE;
            self.size.varint(metadata.size);
        }
        push_time(&mut self.modified_seconds, &mut self.modified_nanoseconds, metadata.modified, before.modified);
        if metadata.changed == metadata.modified {
            flags |= CHANGED_IS_MODIFIED;
        } else {
            push_time(&mut self.changed_seconds, &mut self.changed_nanoseconds, metadata.changed, before.changed);
        }
        self.inode.zigzag(metadata.inode.wrapping_sub(before.inode) as i64);
        self.names.varint(u64::from(metadata.names));
        *before = Before { modified: metadata.modified, changed: metadata.changed, inode: metadata.inode };
        if metadata.kind == EntryKind::Symlink {
            self.target_lengths.varint(entry.target.len() as u64);
            self.targets.raw(&entry.target);
        }
        if matches!(metadata.kind, EntryKind::CharacterDevice | EntryKind::BlockDevice) {
            self.devices.varint(u64::from(metadata.device.0)).varint(u64::from(metadata.device.1));
        }
        self.flags.u8(flags);
        Ok(())
    }

    fn push_content(&mut self, content: &Content, links: &LinkTable) -> u8 {
        match content {
            Content::Extents(extents) => match extents.as_slice() {
                [] => 0,
                [only] if self.extents.push_if_it_goes_on(only) => CONTENT_GOES_ON,
                extents => {
                    self.extent_counts.varint(extents.len() as u64);
                    extents.iter().for_each(|extent| self.extents.push(extent, links));
                    CONTENT_EXTENTS
                }
            },
            Content::Stream { root } => {
                self.streams.varint(links.position(root));
                CONTENT_STREAM
            }
        }
    }

    fn push_attributes(&mut self, attributes: &Attributes, links: &LinkTable) -> Result<u8> {
        match attributes {
            Attributes::Inline(list) if list.is_empty() => Ok(0),
            Attributes::Inline(list) => {
                self.attribute_lists.varint(self.lists.position(list)?);
                Ok(ATTRIBUTES_LIST)
            }
            Attributes::Stream { root, length } => {
                self.attribute_streams.varint(links.position(root)).varint(*length);
                Ok(ATTRIBUTES_STREAM)
            }
        }
    }

    fn finish(self, writer: &mut Writer) {
        self.classes.finish(writer);
        self.lists.finish(writer);
        let head = [
            self.class,
            self.flags,
            self.shared,
            self.further,
            self.name,
            self.modified_seconds,
            self.modified_nanoseconds,
            self.changed_seconds,
            self.changed_nanoseconds,
            self.inode,
            self.names,
            self.size,
            self.extent_counts,
        ];
        for column in head {
            writer.raw(&column.finish());
        }
        self.extents.finish(writer);
        let tail = [
            self.streams,
            self.target_lengths,
            self.targets,
            self.devices,
            self.attribute_lists,
            self.attribute_streams,
            self.link_groups,
        ];
        for column in tail {
            writer.raw(&column.finish());
        }
    }
}

fn push_time(seconds: &mut Writer, nanoseconds: &mut Writer, time: Timestamp, before: Timestamp) {
    seconds.zigzag(time.seconds.wrapping_sub(before.seconds));
    nanoseconds.zigzag(i64::from(time.nanoseconds) - i64::from(before.nanoseconds));
}
