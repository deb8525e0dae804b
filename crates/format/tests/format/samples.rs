//! Values of every type of the format, at random.

use holdfast_format::blob::BlobKind;
use holdfast_format::pack::{Checksum, Footer, FooterEntry};
use holdfast_format::page::{
    Attribute, Attributes, Content, Entry, EntryKind, Extent, ImagePage, Leaf, Manifest, Metadata, Node, NodeChild, Owner, Part,
    Shape, StreamChild, StreamLeaf, StreamNode, Timestamp, TreeEntry, TreeKey,
};
use holdfast_format::{BlobId, DomainId, KeyId, PackName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Few different ids, so that some repeat.
pub(crate) fn blob_id() -> impl Strategy<Value = BlobId> {
    prop_oneof![(0u8..12).prop_map(|seed| BlobId([seed; 32])), any::<[u8; 32]>().prop_map(BlobId)]
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![1_700_000_000i64..1_700_000_100, any::<i64>()];
    (seconds, prop_oneof![Just(0), 0u32..1_000_000_000]).prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
}

fn owner() -> impl Strategy<Value = Owner> {
    let name = option::of(prop_oneof![Just(b"root".to_vec()), vec(1u8.., 1..9)]);
    (prop_oneof![0u32..3, any::<u32>()], name).prop_map(|(id, name)| Owner { id, name: name.map(Arc::from) })
}

pub(crate) fn name() -> impl Strategy<Value = Vec<u8>> {
    let plain = prop_oneof!["[a-c.]{1,4}".prop_map(String::into_bytes), vec(1u8.., 1..20)];
    plain.prop_map(|name| {
        let name: Vec<u8> = name.into_iter().map(|byte| if byte == b'/' { b'_' } else { byte }).collect();
        if name == b"." || name == b".." { b"dot".to_vec() } else { name }
    })
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(name(), 0..4).prop_map(|components| components.join(&b'/'))
}

/// Runs of extents, many of which go on where the last one ended.
pub(crate) fn extents(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Extent>> {
    let one = (0u8..4, blob_id(), 0u32..1000, 1u32..5000, 1u64..1 << 40);
    vec(one, count).prop_map(|choices| {
        let mut last = None;
        let mut extents = Vec::new();
        for (choice, blob, offset, length, hole) in choices {
            let extent = match (choice, last) {
                (0, _) => Extent::Hole { length: hole },
                (1 | 2, Some((blob, offset))) => Extent::Data { blob, offset, length },
                (3, _) => Extent::Data { blob, offset: 0, length },
                _ => Extent::Data { blob, offset, length },
            };
            if let Extent::Data { blob, offset, length } = extent {
                last = Some((blob, offset + length));
            }
            extents.push(extent);
        }
        extents
    })
}

pub(crate) fn attribute_list() -> impl Strategy<Value = Vec<Attribute>> {
    proptest::collection::btree_map(vec(1u8.., 1..12), vec(any::<u8>(), 0..20), 0..4)
        .prop_map(|map| map.into_iter().map(|(name, value)| Attribute { name, value }).collect())
}

fn attributes() -> impl Strategy<Value = Attributes> {
    prop_oneof![
        4 => Just(Attributes::none()),
        3 => Just(Attributes::Inline(vec![Attribute { name: b"security.selinux".to_vec(), value: b"label".to_vec() }])),
        2 => attribute_list().prop_map(Attributes::Inline),
        1 => (blob_id(), 1u64..1 << 26).prop_map(|(root, length)| Attributes::Stream { root, length }),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        6 => extents(0..2).prop_map(Content::Extents),
        2 => extents(0..8).prop_map(Content::Extents),
        1 => blob_id().prop_map(|root| Content::Stream { root }),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let times = prop_oneof![timestamp().prop_map(|time| (time, time)), (timestamp(), timestamp())];
    let kind = 1u8..=6;
    (kind, 0u16..=0o7777, owner(), owner(), times, any::<u64>(), any::<u32>(), option::of(any::<u64>())).prop_map(
        |(kind, mode, user, group, (modified, changed), inode, names, size)| Metadata {
            kind: kind_of(kind),
            mode,
            user,
            group,
            modified,
            changed,
            inode,
            names,
            size: size.unwrap_or(u64::MAX),
            device: (0, 0),
        },
    )
}

fn kind_of(number: u8) -> EntryKind {
    match number {
        1 => EntryKind::File,
        2 => EntryKind::Directory,
        3 => EntryKind::Symlink,
        4 => EntryKind::Fifo,
        5 => EntryKind::CharacterDevice,
        _ => EntryKind::BlockDevice,
    }
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let target = vec(1u8.., 1..30);
    let device = (any::<u32>(), any::<u32>());
    let group = option::of(any::<[u8; 16]>());
    (name(), metadata(), attributes(), target, content(), group, any::<bool>(), device).prop_map(
        |(name, mut metadata, attributes, target, content, link_group, unsettled, device)| {
            let is = |kinds: &[EntryKind]| kinds.contains(&metadata.kind);
            let target = if is(&[EntryKind::Symlink]) { target } else { Vec::new() };
            let content = if is(&[EntryKind::File]) { content } else { Content::none() };
            let link_group = if is(&[EntryKind::Directory]) { None } else { link_group };
            if is(&[EntryKind::CharacterDevice, EntryKind::BlockDevice]) {
                metadata.device = device;
            }
            if metadata.size == u64::MAX {
                metadata.size = content.length().unwrap_or(0) + target.len() as u64;
            }
            Entry { name, metadata, attributes, target, content, link_group, unsettled }
        },
    )
}

pub(crate) fn leaf() -> impl Strategy<Value = Leaf> {
    vec((path(), vec(entry(), 1..8)), 1..6).prop_map(|directories| {
        let mut entries = BTreeMap::new();
        for (path, list) in directories {
            let directory: Arc<[u8]> = path.into();
            for entry in list {
                let key = TreeKey { directory: directory.clone(), name: entry.name.clone() };
                entries.insert(key, TreeEntry { directory: directory.clone(), entry });
            }
        }
        Leaf { entries: entries.into_values().collect() }
    })
}

pub(crate) fn node() -> impl Strategy<Value = Node> {
    let child = (path(), name(), any::<[u8; 32]>(), 1u64..1 << 40, 0u64..1 << 50);
    (1u8..=16, vec(child, 1..20)).prop_map(|(level, children)| {
        let keyed = children.into_iter().map(|(path, name, page, entries, bytes)| {
            let first = TreeKey { directory: path.into(), name };
            (first.clone(), NodeChild { first, page: BlobId(page), entries, bytes })
        });
        Node { level, children: keyed.collect::<BTreeMap<_, _>>().into_values().collect() }
    })
}

pub(crate) fn stream_leaf() -> impl Strategy<Value = StreamLeaf> {
    extents(1..40).prop_map(|extents| StreamLeaf { extents })
}

pub(crate) fn stream_node() -> impl Strategy<Value = StreamNode> {
    let child = (blob_id(), 1u64..1 << 50).prop_map(|(page, bytes)| StreamChild { page, bytes });
    (1u8..=16, vec(child, 1..40)).prop_map(|(level, children)| StreamNode { level, children })
}

pub(crate) fn image() -> impl Strategy<Value = ImagePage> {
    (0u8..=16, 12u32..=24, vec(option::of(blob_id()), 0..256), blob_id()).prop_map(|(level, exponent, mut slots, last)| {
        slots.push(Some(last));
        ImagePage { level, block_bytes: 1 << exponent, slots }
    })
}

pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    let part = (1u8..=3, option::of(blob_id()), any::<u64>(), any::<u64>());
    (proptest::collection::btree_set("[a-zäöü /]{1,12}", 0..6), vec(part, 6)).prop_map(|(names, parts): (BTreeSet<String>, _)| {
        let part = |(name, (shape, root, entries, bytes))| {
            let shape = [Shape::Tree, Shape::Image, Shape::Stream][usize::from(shape) - 1];
            Part { name, shape, root, entries, bytes }
        };
        Manifest { parts: names.into_iter().zip(parts).map(part).collect() }
    })
}

pub(crate) fn footer() -> impl Strategy<Value = Footer> {
    let entry = (any::<u16>(), 37u32..100_000, any::<[u8; 16]>(), proptest::collection::btree_set(blob_id(), 0..4));
    let entries = proptest::collection::btree_map(any::<[u8; 32]>().prop_map(BlobId), entry, 0..12);
    let keys = proptest::collection::btree_set(any::<[u8; 32]>().prop_map(KeyId), 1..4);
    (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<bool>(), keys, entries).prop_map(|(domain, name, page, keys, entries)| {
        let keys: Vec<KeyId> = keys.into_iter().collect();
        let mut offset = 32;
        let mut list = Vec::new();
        for (id, (key, length, checksum, links)) in entries {
            let links = if page { links.into_iter().collect() } else { Vec::new() };
            let key = key % keys.len() as u16;
            list.push(FooterEntry { id, key, offset, length, checksum: Checksum(checksum), links });
            offset += length;
        }
        let kind = if page { BlobKind::Page } else { BlobKind::Data };
        Footer { domain: DomainId(domain), name: PackName(name), kind, keys, entries: list }
    })
}
