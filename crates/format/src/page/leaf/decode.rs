//! Decoding of a leaf, column by column; whatever has another encoding than the one that [`super::encode`] gives is refused.

use super::tables::{FirstUse, List, check_lists_total, read_classes, read_lists};
use super::{
    ATTRIBUTES, ATTRIBUTES_LIST, ATTRIBUTES_STREAM, CHANGED_IS_MODIFIED, CONTENT, CONTENT_EXTENTS, CONTENT_GOES_ON,
    CONTENT_STREAM, EMPTY, LINK_GROUP, SIZE, TreeEntry, UNSETTLED, UNSORTED, expected_size,
};
use crate::codec::{FormatError, Reader, Result, within};
use crate::id::BlobId;
use crate::limits;
use crate::page::check::{check_attributes_length, check_name, check_path, check_paths_total, check_target};
use crate::page::extents::{self, ExtentsReader};
use crate::page::links::Links;
use crate::page::tree::compare_paths;
use crate::page::tree_node::read_shared;
use crate::page::{Attributes, Content, Entry, EntryKind, Extent, Metadata, PageType, Timestamp};
use std::sync::Arc;

/// Entries of one directory.
struct Section {
    directory: Arc<[u8]>,
    entries: usize,
}

pub(super) fn decode(links: &[BlobId], content: &[u8]) -> Result<Vec<TreeEntry>> {
    let (mut links, mut reader) = Links::open("leaf of a tree", PageType::TreeLeaf, links, content)?;
    let count = reader.count("entries of a leaf", limits::LEAF_ENTRIES_MAX, 9)?;
    if count == 0 {
        return Err(EMPTY);
    }
    let sections = read_directories(&mut reader, count)?;
    let (mut entries, lists) = read_start(&mut reader, count)?;
    let flags = reader.take(count)?;
    read_names(&mut reader, &sections, &mut entries)?;
    read_times(&mut reader, flags, &mut entries)?;
    read_numbers(&mut reader, flags, &mut entries)?;
    read_contents(&mut reader, &mut links, flags, &mut entries)?;
    read_targets(&mut reader, &mut entries)?;
    read_devices(&mut reader, &mut entries)?;
    read_attributes(&mut reader, &mut links, &lists, flags, &mut entries)?;
    finish_entries(&mut reader, flags, &mut entries)?;
    links.end(reader)?;
    let directories = sections.iter().flat_map(|section| std::iter::repeat_n(&section.directory, section.entries));
    Ok(directories.zip(entries).map(|(directory, entry)| TreeEntry { directory: directory.clone(), entry }).collect())
}

fn read_column(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>> {
    (0..count).map(|_| reader.varint()).collect()
}

fn read_directories(reader: &mut Reader<'_>, entries: usize) -> Result<Vec<Section>> {
    let count = reader.count("directories of a leaf", entries, 3)?;
    let shared = read_column(reader, count)?;
    let further = read_column(reader, count)?;
    let counts = read_column(reader, count)?;
    let mut sections: Vec<Section> = Vec::with_capacity(count);
    let (mut covered, mut total) = (0u64, 0);
    for place in 0..count {
        let before = sections.last().map(|section| &*section.directory);
        let path = read_shared(reader, before.unwrap_or_default(), shared[place], further[place], limits::PATH_BYTES_MAX)?;
        check_path(&path)?;
        total += path.len();
        check_paths_total(total)?;
        if before.is_some_and(|before| compare_paths(before, &path).is_ge()) {
            return Err(UNSORTED);
        }
        covered = covered.saturating_add(counts[place]);
        if counts[place] == 0 || covered > entries as u64 {
            return Err(DIRECTORIES);
        }
        sections.push(Section { directory: path.into(), entries: counts[place] as usize });
    }
    if covered == entries as u64 { Ok(sections) } else { Err(DIRECTORIES) }
}

const DIRECTORIES: FormatError = FormatError::Invalid("the directories of a leaf do not cover its entries");

/// Reads the tables and the column of classes, and makes the entries of them.
fn read_start(reader: &mut Reader<'_>, count: usize) -> Result<(Vec<Entry>, Vec<List>)> {
    let classes = read_classes(reader, count)?;
    let lists = read_lists(reader, count)?;
    let mut used = FirstUse::default();
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let class = used.take(&classes, reader.varint()?)?;
        let metadata = Metadata {
            kind: class.kind,
            mode: class.mode,
            user: class.user.clone(),
            group: class.group.clone(),
            modified: Timestamp::default(),
            changed: Timestamp::default(),
            inode: 0,
            names: 0,
            size: 0,
            device: (0, 0),
        };
        entries.push(Entry {
            name: Vec::new(),
            metadata,
            attributes: Attributes::none(),
            target: Vec::new(),
            content: Content::none(),
            link_group: None,
            unsettled: false,
        });
    }
    used.end(&classes)?;
    Ok((entries, lists))
}

fn read_names(reader: &mut Reader<'_>, sections: &[Section], entries: &mut [Entry]) -> Result<()> {
    let shared = read_column(reader, entries.len())?;
    let further = read_column(reader, entries.len())?;
    let mut start = 0;
    for section in sections {
        for place in start..start + section.entries {
            let before: &[u8] = if place == start { b"" } else { &entries[place - 1].name };
            let name = read_shared(reader, before, shared[place], further[place], limits::NAME_BYTES_MAX)?;
            check_name(&name)?;
            if before >= name.as_slice() {
                return Err(UNSORTED);
            }
            entries[place].name = name;
        }
        start += section.entries;
    }
    Ok(())
}

fn read_times(reader: &mut Reader<'_>, flags: &[u8], entries: &mut [Entry]) -> Result<()> {
    let mut seconds = 0i64;
    for entry in entries.iter_mut() {
        seconds = seconds.wrapping_add(reader.zigzag()?);
        entry.metadata.modified.seconds = seconds;
    }
    let mut nanoseconds = 0;
    for entry in entries.iter_mut() {
        nanoseconds = read_nanoseconds(reader, nanoseconds)?;
        entry.metadata.modified.nanoseconds = nanoseconds;
        entry.metadata.changed = entry.metadata.modified;
    }
    let apart = |flags: u8| flags & CHANGED_IS_MODIFIED == 0;
    seconds = 0;
    for (entry, flags) in entries.iter_mut().zip(flags) {
        if apart(*flags) {
            entry.metadata.changed.seconds = seconds.wrapping_add(reader.zigzag()?);
        }
        seconds = entry.metadata.changed.seconds;
    }
    nanoseconds = 0;
    for (entry, flags) in entries.iter_mut().zip(flags) {
        if apart(*flags) {
            entry.metadata.changed.nanoseconds = read_nanoseconds(reader, nanoseconds)?;
            if entry.metadata.changed == entry.metadata.modified {
                return Err(FormatError::Invalid("a time of change is written down that equals that of modification"));
            }
        }
        nanoseconds = entry.metadata.changed.nanoseconds;
    }
    Ok(())
}

fn read_nanoseconds(reader: &mut Reader<'_>, before: u32) -> Result<u32> {
    let nanoseconds = i64::from(before).checked_add(reader.zigzag()?).and_then(|sum| u32::try_from(sum).ok());
    nanoseconds
        .filter(|nanoseconds| *nanoseconds <= Timestamp::NANOSECONDS_MAX)
        .ok_or(FormatError::Invalid("a time has a second's nanoseconds or more"))
}

fn read_numbers(reader: &mut Reader<'_>, flags: &[u8], entries: &mut [Entry]) -> Result<()> {
    let mut inode = 0u64;
    for entry in entries.iter_mut() {
        inode = inode.wrapping_add(reader.zigzag()? as u64);
        entry.metadata.inode = inode;
    }
    for entry in entries.iter_mut() {
        entry.metadata.names = reader.varint_u32()?;
    }
    for (entry, flags) in entries.iter_mut().zip(flags) {
        if flags & SIZE != 0 {
            entry.metadata.size = reader.varint()?;
        }
    }
    Ok(())
}

fn read_contents(reader: &mut Reader<'_>, links: &mut Links<'_>, flags: &[u8], entries: &mut [Entry]) -> Result<()> {
    let mut counts = Vec::new();
    for (entry, flags) in entries.iter().zip(flags) {
        if flags & CONTENT != 0 && entry.metadata.kind != EntryKind::File {
            return Err(FormatError::Invalid("something that is no file has content"));
        }
        if flags & CONTENT == CONTENT_EXTENTS {
            let count = reader.varint()?;
            within("extents of an entry", usize::try_from(count).unwrap_or(usize::MAX), limits::INLINE_EXTENTS_MAX)?;
            if count == 0 {
                return Err(FormatError::Invalid("a list of extents is empty"));
            }
            counts.push(count as usize);
        }
    }
    let mut columns = ExtentsReader::open(reader, counts.iter().sum(), links)?;
    let mut counts = counts.into_iter();
    for (entry, flags) in entries.iter_mut().zip(flags) {
        match flags & CONTENT {
            CONTENT_GOES_ON => entry.content = Content::Extents(vec![columns.next_that_goes_on(reader)?]),
            CONTENT_EXTENTS => {
                let count = counts.next().expect("a count was read for each of these entries");
                entry.content = Content::Extents(read_extents(reader, &mut columns, count)?);
            }
            _ => {}
        }
    }
    for (entry, flags) in entries.iter_mut().zip(flags) {
        if flags & CONTENT == CONTENT_STREAM {
            entry.content = Content::Stream { root: links.at(reader.varint()?)? };
        }
    }
    Ok(())
}

fn read_extents(reader: &mut Reader<'_>, columns: &mut ExtentsReader, count: usize) -> Result<Vec<Extent>> {
    if count == 1 && columns.next_goes_on() {
        return Err(FormatError::Invalid("a single extent that goes on where the last one ended is written as a list"));
    }
    let list = (0..count).map(|_| columns.next(reader)).collect::<Result<Vec<_>>>()?;
    extents::total(list.iter().map(Extent::length))?;
    Ok(list)
}

fn read_targets(reader: &mut Reader<'_>, entries: &mut [Entry]) -> Result<()> {
    let is_symlink = |entry: &&mut Entry| entry.metadata.kind == EntryKind::Symlink;
    let count = entries.iter().filter(|entry| entry.metadata.kind == EntryKind::Symlink).count();
    let lengths = read_column(reader, count)?;
    for (entry, length) in entries.iter_mut().filter(is_symlink).zip(lengths) {
        let target = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        check_target(target)?;
        entry.target = target.to_vec();
    }
    Ok(())
}

fn read_devices(reader: &mut Reader<'_>, entries: &mut [Entry]) -> Result<()> {
    for entry in entries {
        if matches!(entry.metadata.kind, EntryKind::CharacterDevice | EntryKind::BlockDevice) {
            entry.metadata.device = (reader.varint_u32()?, reader.varint_u32()?);
        }
    }
    Ok(())
}

fn read_attributes(
    reader: &mut Reader<'_>,
    links: &mut Links<'_>,
    lists: &[List],
    flags: &[u8],
    entries: &mut [Entry],
) -> Result<()> {
    let mut used = FirstUse::default();
    let mut total = 0;
    for (entry, flags) in entries.iter_mut().zip(flags) {
        match flags & ATTRIBUTES {
            ATTRIBUTES_LIST => {
                let (list, bytes) = used.take(lists, reader.varint()?)?;
                total += bytes;
                check_lists_total(total)?;
                entry.attributes = Attributes::Inline(list.clone());
            }
            ATTRIBUTES => return Err(FormatError::Invalid("an entry has attributes of an unknown form")),
            _ => {}
        }
    }
    used.end(lists)?;
    for (entry, flags) in entries.iter_mut().zip(flags) {
        if flags & ATTRIBUTES == ATTRIBUTES_STREAM {
            let (root, length) = (links.at(reader.varint()?)?, reader.varint()?);
            check_attributes_length(length)?;
            entry.attributes = Attributes::Stream { root, length };
        }
    }
    Ok(())
}

/// Reads the link groups, and settles sizes and the remaining flags.
fn finish_entries(reader: &mut Reader<'_>, flags: &[u8], entries: &mut [Entry]) -> Result<()> {
    for (entry, flags) in entries.iter_mut().zip(flags) {
        if flags & LINK_GROUP != 0 {
            if entry.metadata.kind == EntryKind::Directory {
                return Err(FormatError::Invalid("a directory has a link group"));
            }
            entry.link_group = Some(reader.array()?);
        }
        entry.unsettled = flags & UNSETTLED != 0;
        let expected = expected_size(&entry.content, &entry.target);
        if flags & SIZE == 0 {
            entry.metadata.size = expected;
        } else if entry.metadata.size == expected {
            return Err(FormatError::Invalid("a size is written down that is as expected"));
        }
    }
    Ok(())
}
