//! Tables of a leaf: owners, classes and attribute lists, each value once, in the order of first use.

use crate::codec::{FormatError, Reader, Result, Writer, within};
use crate::limits;
use crate::page::attributes::read_list;
use crate::page::check::check_owner_name;
use crate::page::{Attribute, Attributes, EntryKind, Metadata, Owner};
use std::collections::{HashMap, HashSet};

/// What many entries have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Class {
    pub(super) kind: EntryKind,
    pub(super) mode: u16,
    pub(super) user: Owner,
    pub(super) group: Owner,
}

/// Classes and their owners while a leaf is encoded.
#[derive(Default)]
pub(super) struct ClassTable {
    classes: Vec<Class>,
    places: HashMap<Class, usize>,
    last: usize,
}

impl ClassTable {
    /// Position of an entry's class.
    pub(super) fn position(&mut self, metadata: &Metadata) -> u64 {
        let is = |class: &Class| {
            class.kind == metadata.kind
                && class.mode == metadata.mode
                && class.user == metadata.user
                && class.group == metadata.group
        };
        if !self.classes.get(self.last).is_some_and(is) {
            let class =
                Class { kind: metadata.kind, mode: metadata.mode, user: metadata.user.clone(), group: metadata.group.clone() };
            self.last = *self.places.entry(class.clone()).or_insert(self.classes.len());
            if self.last == self.classes.len() {
                self.classes.push(class);
            }
        }
        self.last as u64
    }

    /// Appends owners and classes.
    pub(super) fn finish(self, writer: &mut Writer) {
        let mut owners: Vec<&Owner> = Vec::new();
        let mut places: HashMap<&Owner, usize> = HashMap::new();
        let mut rows = Writer::new();
        for class in &self.classes {
            rows.u8(class.kind as u8).varint(u64::from(class.mode));
            for owner in [&class.user, &class.group] {
                let place = *places.entry(owner).or_insert(owners.len());
                if place == owners.len() {
                    owners.push(owner);
                }
                rows.varint(place as u64);
            }
        }
        writer.varint(owners.len() as u64);
        for owner in owners {
            let name = owner.name.as_deref();
            writer.varint(u64::from(owner.id)).varint(name.map_or(0, |name| 1 + name.len() as u64));
            writer.raw(name.unwrap_or_default());
        }
        writer.varint(self.classes.len() as u64).raw(&rows.finish());
    }
}

/// Reads owners and classes of a leaf of so many entries.
pub(super) fn read_classes(reader: &mut Reader<'_>, entries: usize) -> Result<Vec<Class>> {
    let count = reader.count("owners of a leaf", 2 * entries, 2)?;
    let owners = (0..count).map(|_| read_owner(reader)).collect::<Result<Vec<_>>>()?;
    check_unique(owners.iter())?;
    let count = reader.count("classes of a leaf", entries, 4)?;
    let mut used = FirstUse::default();
    let mut owner = |reader: &mut Reader<'_>| used.take(&owners, reader.varint()?).cloned();
    let mut classes = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = read_kind(reader)?;
        let mode = u16::try_from(reader.varint()?).unwrap_or(u16::MAX);
        if mode > 0o7777 {
            return Err(FormatError::Invalid("the mode of an entry has more than 12 bits"));
        }
        classes.push(Class { kind, mode, user: owner(reader)?, group: owner(reader)? });
    }
    used.end(&owners)?;
    check_unique(classes.iter())?;
    Ok(classes)
}

fn read_owner(reader: &mut Reader<'_>) -> Result<Owner> {
    let id = reader.varint_u32()?;
    let name = match reader.varint()? {
        0 => None,
        length => {
            let length = usize::try_from(length - 1).unwrap_or(usize::MAX);
            within("name of an owner", length, limits::OWNER_NAME_BYTES_MAX)?;
            let name = reader.take(length)?;
            check_owner_name(name)?;
            Some(name.into())
        }
    };
    Ok(Owner { id, name })
}

fn read_kind(reader: &mut Reader<'_>) -> Result<EntryKind> {
    Ok(match reader.u8()? {
        1 => EntryKind::File,
        2 => EntryKind::Directory,
        3 => EntryKind::Symlink,
        4 => EntryKind::Fifo,
        5 => EntryKind::CharacterDevice,
        6 => EntryKind::BlockDevice,
        _ => return Err(FormatError::Invalid("an entry is of an unknown kind")),
    })
}

/// Attribute lists while a leaf is encoded.
#[derive(Default)]
pub(super) struct ListTable {
    places: HashMap<Vec<u8>, u64>,
    lists: Writer,
    bytes: usize,
}

impl ListTable {
    /// Position of an attribute list.
    pub(super) fn position(&mut self, list: &[Attribute]) -> Result<u64> {
        let encoded = Attributes::encode_list(list);
        self.bytes += encoded.len();
        check_lists_total(self.bytes)?;
        let next = self.places.len() as u64;
        if let Some(place) = self.places.get(&encoded) {
            return Ok(*place);
        }
        self.lists.raw(&encoded);
        self.places.insert(encoded, next);
        Ok(next)
    }

    /// Appends the lists.
    pub(super) fn finish(self, writer: &mut Writer) {
        writer.varint(self.places.len() as u64).raw(&self.lists.finish());
    }
}

/// The bytes of attribute lists in a leaf are bounded as if each entry had its own.
pub(super) fn check_lists_total(total: usize) -> Result<()> {
    within("extended attributes of a leaf", total, limits::PAGE_PLAINTEXT_MAX)
}

/// An attribute list of a leaf and the bytes that it takes.
pub(super) type List = (Vec<Attribute>, usize);

/// Reads the attribute lists of a leaf of so many entries.
pub(super) fn read_lists(reader: &mut Reader<'_>, entries: usize) -> Result<Vec<List>> {
    let count = reader.count("attribute lists of a leaf", entries, 4)?;
    let mut lists = Vec::with_capacity(count);
    let mut seen = HashSet::new();
    for _ in 0..count {
        let mut ahead = reader.clone();
        let list = read_list(&mut ahead)?;
        let bytes = reader.take(reader.remaining() - ahead.remaining())?;
        within("extended attributes in a leaf", bytes.len(), limits::INLINE_ATTRIBUTES_MAX)?;
        if list.is_empty() || !seen.insert(bytes) {
            return Err(FormatError::Invalid("an attribute list of a leaf is empty or stands twice"));
        }
        lists.push((list, bytes.len()));
    }
    Ok(lists)
}

fn check_unique<T: std::hash::Hash + Eq>(values: impl ExactSizeIterator<Item = T>) -> Result<()> {
    let count = values.len();
    if values.collect::<HashSet<_>>().len() == count {
        return Ok(());
    }
    Err(FormatError::Invalid("a table of a leaf has a value twice"))
}

/// Holds references into a table to the order of first use.
#[derive(Default)]
pub(super) struct FirstUse {
    seen: usize,
}

impl FirstUse {
    /// The value at a position: one seen before, or the next.
    pub(super) fn take<'t, T>(&mut self, table: &'t [T], position: u64) -> Result<&'t T> {
        let place = usize::try_from(position).unwrap_or(usize::MAX);
        if place > self.seen {
            return Err(FormatError::Invalid("a table of a leaf is not in the order of use"));
        }
        let value = table.get(place).ok_or(FormatError::Invalid("a table of a leaf is too short"))?;
        self.seen = self.seen.max(place + 1);
        Ok(value)
    }

    /// Checks that all were used.
    pub(super) fn end<T>(self, table: &[T]) -> Result<()> {
        if self.seen == table.len() {
            Ok(())
        } else {
            Err(FormatError::Invalid("a table of a leaf has a value that is not used"))
        }
    }
}
