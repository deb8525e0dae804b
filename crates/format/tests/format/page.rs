//! Pages come back as they went in, have one encoding only, and never panic.

use crate::samples;
use holdfast_format::BlobId;
use holdfast_format::page::{
    Attribute, Attributes, Content, Entry, EntryKind, Extent, ImagePage, Leaf, Manifest, Metadata, Node, NodeChild, Owner, Page,
    StreamLeaf, StreamNode, Timestamp, TreeEntry, TreeKey,
};
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

/// Encodes, decodes, and damages: whatever is accepted must encode to what was read.
macro_rules! round_trip {
    ($test:ident, $strategy:expr, $type:ty) => {
        proptest! {
            #[test]
            fn $test(value in $strategy, damage in proptest::collection::vec((any::<Index>(), any::<u8>()), 40), cut: Index) {
                let page: Page = value.encode().unwrap();
                prop_assert_eq!(&<$type>::decode(&page.links, &page.content).unwrap(), &value);
                for (place, byte) in damage {
                    let mut content = page.content.clone();
                    let place = place.index(content.len());
                    content[place] = byte;
                    if let Ok(decoded) = <$type>::decode(&page.links, &content) {
                        prop_assert_eq!(decoded.encode().unwrap(), Page { links: page.links.clone(), content });
                    }
                }
                prop_assert!(<$type>::decode(&page.links, &page.content[..cut.index(page.content.len())]).is_err());
                let mut links = page.links.clone();
                links.push(BlobId([0xff; 32]));
                prop_assert!(<$type>::decode(&links, &page.content).is_err(), "a link that is not used");
            }
        }
    };
}

round_trip!(a_leaf_comes_back_as_it_went_in, samples::leaf(), Leaf);
round_trip!(a_node_comes_back_as_it_went_in, samples::node(), Node);
round_trip!(a_leaf_of_a_stream_comes_back_as_it_went_in, samples::stream_leaf(), StreamLeaf);
round_trip!(a_node_of_a_stream_comes_back_as_it_went_in, samples::stream_node(), StreamNode);
round_trip!(an_image_page_comes_back_as_it_went_in, samples::image(), ImagePage);
round_trip!(a_manifest_comes_back_as_it_went_in, samples::manifest(), Manifest);

proptest! {
    #[test]
    fn an_attribute_list_comes_back_as_it_went_in(list in samples::attribute_list()) {
        let bytes = Attributes::encode_list(&list);
        prop_assert_eq!(Attributes::decode_list(&bytes).unwrap(), list);
    }

    #[test]
    fn a_leaf_is_no_longer_than_its_entries_say(leaf in samples::leaf()) {
        let paths: usize = leaf.entries.iter().map(|each| each.directory.len() + 16).sum();
        let bytes: usize = leaf.entries.iter().map(|each| each.entry.bytes_max()).sum();
        prop_assert!(leaf.encode().unwrap().content.len() <= bytes + paths);
    }
}

fn file(name: &[u8]) -> Entry {
    let owner = Owner { id: 0, name: Some(Arc::from(&b"root"[..])) };
    let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
    let metadata = Metadata {
        kind: EntryKind::File,
        mode: 0o644,
        user: owner.clone(),
        group: owner,
        modified: time,
        changed: time,
        inode: 7,
        names: 1,
        size: 0,
        device: (0, 0),
    };
    Entry {
        name: name.to_vec(),
        metadata,
        attributes: Attributes::none(),
        target: vec![],
        content: Content::none(),
        link_group: None,
        unsettled: false,
    }
}

fn leaf(entries: Vec<(&[u8], Entry)>) -> Leaf {
    Leaf { entries: entries.into_iter().map(|(path, entry)| TreeEntry { directory: path.into(), entry }).collect() }
}

#[test]
fn a_small_file_in_a_run_costs_few_bytes() {
    let run = |count: u32| {
        let entries = (0..count).map(|number| {
            let mut entry = file(format!("file-{number:04}").as_bytes());
            entry.content = Content::Extents(vec![Extent::Data { blob: BlobId([9; 32]), offset: number * 100, length: 100 }]);
            entry.metadata.size = 100;
            entry.metadata.inode = 1000 + u64::from(number);
            (&b"etc"[..], entry)
        });
        leaf(entries.collect()).encode().unwrap().content.len()
    };
    assert!(run(500) - run(400) <= 100 * 12, "{} bytes", run(500) - run(400));
}

#[test]
fn a_leaf_refuses_what_could_leave_the_destination() {
    for name in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'n'; 4097]] {
        assert!(leaf(vec![(b"etc", file(name))]).encode().is_err(), "{name:?}");
    }
    for path in [&b"/etc"[..], b"etc/", b"etc//x", b"../etc", b"etc/./x", b"a\0", b"/"] {
        assert!(leaf(vec![(path, file(b"name"))]).encode().is_err(), "{path:?}");
    }
}

#[test]
fn a_leaf_refuses_entries_that_are_not_sorted_or_stand_twice() {
    assert!(leaf(vec![(b"a", file(b"x")), (b"a", file(b"x"))]).encode().is_err());
    assert!(leaf(vec![(b"a", file(b"y")), (b"a", file(b"x"))]).encode().is_err());
    assert!(leaf(vec![(b"a.b", file(b"x")), (b"a/z", file(b"x"))]).encode().is_err());
    assert!(leaf(vec![(b"a/z", file(b"x")), (b"a.b", file(b"x"))]).encode().is_ok());
    assert!(leaf(vec![]).encode().is_err());
}

#[test]
fn an_entry_refuses_fields_that_its_kind_does_not_have() {
    let mut directory = file(b"d");
    directory.metadata.kind = EntryKind::Directory;
    assert!(directory.check().is_ok());
    directory.content = Content::Extents(vec![Extent::Hole { length: 1 }]);
    assert!(directory.check().is_err());
    let mut with_target = file(b"f");
    with_target.target = b"x".to_vec();
    assert!(with_target.check().is_err());
    let mut with_device = file(b"f");
    with_device.metadata.device = (1, 2);
    assert!(with_device.check().is_err());
    let mut symlink = file(b"l");
    symlink.metadata.kind = EntryKind::Symlink;
    assert!(symlink.check().is_err());
    let mut late = file(b"f");
    late.metadata.modified.nanoseconds = 1_000_000_000;
    assert!(late.check().is_err());
}

#[test]
fn an_extent_past_the_end_of_a_blob_is_refused() {
    let mut entry = file(b"f");
    entry.content = Content::Extents(vec![Extent::Data { blob: BlobId([1; 32]), offset: (16 << 20) - 1, length: 2 }]);
    assert!(entry.check().is_err());
    entry.content = Content::Extents(vec![Extent::Data { blob: BlobId([1; 32]), offset: u32::MAX, length: u32::MAX }]);
    assert!(entry.check().is_err());
    entry.content = Content::Extents(vec![Extent::Hole { length: i64::MAX as u64 }, Extent::Hole { length: 1 }]);
    assert!(entry.check().is_err());
}

#[test]
fn paths_that_share_much_cannot_make_a_page_huge_when_it_is_read() {
    let long = vec![b"p".repeat(4000); 200].join(&b'/');
    let child = |number: u8| {
        let directory: Arc<[u8]> = [&long[..], &[b'/', b'a' + number]].concat().into();
        let first = TreeKey { directory, name: b"n".to_vec() };
        NodeChild { first, page: BlobId([number; 32]), entries: 1, bytes: 0 }
    };
    let node = |count: u8| Node { level: 1, children: (0..count).map(child).collect() };
    assert!(node(5).encode().unwrap().content.len() < 2 * long.len());
    assert!(node(6).encode().is_err());
}

#[test]
fn attributes_that_all_entries_share_cannot_make_a_leaf_huge_when_it_is_read() {
    let list: Vec<Attribute> =
        (0..1000u32).map(|number| Attribute { name: format!("{number:04}").into_bytes(), value: vec![7; 9] }).collect();
    let of = |count: u32| {
        let entries = (0..count).map(|number| {
            let mut entry = file(format!("{number:04}").as_bytes());
            entry.attributes = Attributes::Inline(list.clone());
            (&b""[..], entry)
        });
        leaf(entries.collect())
    };
    let list_bytes = Attributes::encode_list(&list).len();
    let most = (4 << 20) / list_bytes as u32;
    assert!(of(most).encode().unwrap().content.len() < 2 * list_bytes);
    assert!(of(most + 1).encode().is_err());
}

#[test]
fn the_greatest_leaf_can_be_encoded() {
    let entries = (0..1024u32).map(|number| {
        let mut entry = file(format!("{number:04}").as_bytes());
        let extent = |place: u32| Extent::Data { blob: BlobId([(number % 256) as u8; 32]), offset: place * 3, length: 2 };
        entry.content = Content::Extents((0..256).map(extent).collect());
        (&b""[..], entry)
    });
    let leaf = leaf(entries.collect());
    let page = leaf.encode().unwrap();
    assert_eq!(Leaf::decode(&page.links, &page.content).unwrap(), leaf);
}
