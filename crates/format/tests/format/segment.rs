//! Segments answer what the footers say, survive merging, and never panic.

use holdfast_format::blob::BlobKind;
use holdfast_format::pack::{Checksum, Footer, FooterEntry};
use holdfast_format::segment::{PackEntries, Segment, SegmentListing, SegmentSet, build, merge};
use holdfast_format::{BlobId, DomainId, KeyId, PackName};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Cursor;

const DOMAIN: DomainId = DomainId([7; 16]);

/// Numbers a seed out to an id; equal seeds give equal ids.
fn id(seed: u64) -> BlobId {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    BlobId(std::array::from_fn(|_| {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(seed);
        (state >> 56) as u8
    }))
}

fn footer(name: u64, kind: BlobKind, ids: impl IntoIterator<Item = BlobId>, keys: u8) -> Footer {
    let mut ids: Vec<BlobId> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut offset = 32;
    let mut entries = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let length = 100 + u32::from(id.0[3]);
        let mut links: Vec<BlobId> = (0..place % 4).map(|link| self::id(u64::from(id.0[0]) * 10 + link as u64)).collect();
        links.sort_unstable();
        links.dedup();
        let links = if kind == BlobKind::Page { links } else { vec![] };
        let key = (place % usize::from(keys)) as u16;
        entries.push(FooterEntry { id: *id, key, offset, length, checksum: Checksum::of(&id.0), links });
        offset += length;
    }
    let keys = (0..keys).map(|key| KeyId([key; 32])).collect();
    Footer { domain: DOMAIN, name: PackName(u128::from(name).to_be_bytes()), kind, keys, entries }
}

fn kind(number: u64) -> BlobKind {
    if number.is_multiple_of(3) { BlobKind::Page } else { BlobKind::Data }
}

/// Packs with numbers; ids repeat between packs, some share their first or their last bytes.
fn packs() -> impl Strategy<Value = Vec<(u64, u64, Footer)>> {
    let blob = prop_oneof![
        (0u64..60).prop_map(id),
        any::<u64>().prop_map(id),
        (0u64..40).prop_map(|seed| {
            let mut twisted = id(seed);
            twisted.0[..8].copy_from_slice(&[9; 8]);
            twisted
        }),
        (0u64..40).prop_map(|seed| {
            let mut twisted = id(seed);
            twisted.0[24..].copy_from_slice(&[9; 8]);
            twisted
        }),
    ];
    let pack = (proptest::collection::vec(blob, 0..60), 1u8..4);
    proptest::collection::btree_map(0u64..1000, pack, 0..8).prop_map(|packs| {
        let footer = |(number, (ids, keys))| (number, number * 1000, footer(number, kind(number), ids, keys));
        packs.into_iter().map(footer).collect()
    })
}

/// All copies of all ids, by id and pack number.
fn copies(packs: &[(u64, u64, Footer)]) -> BTreeMap<BlobId, Vec<(u64, FooterEntry, KeyId)>> {
    let mut copies: BTreeMap<BlobId, Vec<_>> = BTreeMap::new();
    for (number, _, footer) in packs {
        for entry in &footer.entries {
            copies.entry(entry.id).or_default().push((*number, entry.clone(), footer.keys[usize::from(entry.key)]));
        }
    }
    copies.values_mut().for_each(|list| list.sort_by_key(|copy| copy.0));
    copies
}

fn assert_answers(segment: &Segment<Vec<u8>>, packs: &[(u64, u64, Footer)]) {
    segment.verify().unwrap();
    let expected = copies(packs);
    assert_eq!(segment.len(), expected.values().map(Vec::len).sum::<usize>());
    for (id, list) in &expected {
        assert!(segment.contains_maybe(id));
        let found = segment.find(id);
        assert_eq!(found.len(), list.len());
        for (found, (number, entry, key)) in found.iter().zip(list) {
            assert_eq!(segment.packs()[found.pack as usize].number, *number);
            assert_eq!((found.id, found.offset, found.length), (entry.id, entry.offset, entry.length));
            assert_eq!((found.key, found.checksum), (*key, entry.checksum));
            assert_eq!(segment.links(found.ordinal), entry.links);
            assert_eq!(segment.entry(found.ordinal), *found);
            assert_eq!(segment.ordinals(found.pack).nth(found.place as usize), Some(found.ordinal));
        }
    }
    for (place, pack) in segment.packs().iter().enumerate() {
        let (_, length, footer) = packs.iter().find(|each| each.0 == pack.number).unwrap();
        assert_eq!(segment.verified_footer(place as u32, DOMAIN).unwrap(), *footer);
        assert_eq!(segment.footer(place as u32, DOMAIN).encode(), footer.encode());
        assert_eq!(
            (pack.length, pack.entries, pack.footer_hash),
            (*length, footer.entries.len() as u32, Footer::hash(&footer.encode()))
        );
    }
    let ids: Vec<BlobId> = expected.keys().copied().chain((5000..5100).map(id)).collect();
    let mut batch = Vec::new();
    segment.find_batch(&ids, |place, entry| batch.push((ids[place], entry)));
    let single: Vec<_> = ids.iter().flat_map(|id| segment.find(id).into_iter().map(|entry| (*id, entry))).collect();
    assert_eq!(batch, single);
}

fn merged(segments: &[&Segment<Vec<u8>>], keep: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut out = Cursor::new(b"before".to_vec());
    out.set_position(6);
    let length = merge(segments, |pack| keep(pack.number), &mut out).unwrap();
    assert_eq!(out.position(), 6 + length);
    out.into_inner().split_off(6)
}

proptest! {
    #[test]
    fn a_segment_answers_what_the_footers_say(packs in packs()) {
        assert_answers(&Segment::open(build(&packs).unwrap()).unwrap(), &packs);
    }

    #[test]
    fn merged_segments_are_what_would_have_been_built_at_once(packs in packs(), parts in 1usize..4, dropped in 0u64..5) {
        let part = |part: usize| packs.iter().filter(|pack| pack.0 as usize % parts == part).cloned().collect::<Vec<_>>();
        let segments: Vec<_> = (0..parts).map(|number| Segment::open(build(&part(number)).unwrap()).unwrap()).collect();
        let keep = |number: u64| number % 5 != dropped;
        let rest: Vec<_> = packs.iter().filter(|pack| keep(pack.0)).cloned().collect();
        let bytes = merged(&segments.iter().collect::<Vec<_>>(), keep);
        prop_assert_eq!(&bytes, &build(&rest).unwrap());
        let twice = Segment::open(bytes).unwrap();
        prop_assert_eq!(merged(&[&twice, &twice], |_| true), build(&rest).unwrap(), "a pack covered twice is taken once");
    }

    #[test]
    fn a_damaged_segment_is_noticed_and_never_panics(packs in packs(), place: proptest::sample::Index, bit in 0u8..8) {
        let mut bytes = build(&packs).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Ok(segment) = Segment::open(bytes.clone()) {
            prop_assert!(segment.verify().is_err());
            prop_assert!(merge(&[&segment], |_| true, &mut Cursor::new(Vec::new())).is_err());
            for id in copies(&packs).keys() {
                let _ = segment.find(id);
            }
            for ordinal in 0..segment.len() as u32 + 2 {
                let _ = segment.entry(ordinal);
                let _ = segment.links(ordinal);
            }
            for pack in 0..packs.len() as u32 + 2 {
                let _ = segment.footer(pack, DOMAIN);
            }
        }
        bytes.truncate(place);
        prop_assert!(Segment::open(bytes).is_err());
    }
}

#[test]
fn ids_that_are_not_there_are_mostly_turned_away_by_the_filter() {
    let packs: Vec<_> =
        (0..20).map(|number| (number, 0, footer(number, BlobKind::Data, (number * 500..).take(500).map(id), 1))).collect();
    let segment = Segment::open(build(&packs).unwrap()).unwrap();
    let passed = (1_000_000..1_050_000).filter(|seed| segment.contains_maybe(&id(*seed))).count();
    assert!(passed < 400, "{passed} of 50,000");
    assert!((0..10_000).all(|seed| segment.find(&id(seed)).len() == 1));
}

#[test]
fn two_packs_with_one_number_stand_in_the_order_of_their_names() {
    let packs = vec![(1, 0, footer(2, BlobKind::Data, [id(1)], 1)), (1, 0, footer(1, BlobKind::Data, [id(1), id(2)], 1))];
    let segment = Segment::open(build(&packs).unwrap()).unwrap();
    let names: Vec<PackName> = segment.find(&id(1)).iter().map(|entry| segment.packs()[entry.pack as usize].name).collect();
    assert_eq!(names, [packs[1].2.name, packs[0].2.name]);
}

#[test]
fn a_pack_that_is_given_twice_is_refused() {
    let pack = (1, 0, footer(1, BlobKind::Data, [id(1)], 1));
    assert!(build(&[pack.clone(), pack]).is_err());
}

fn set(segments: &[(u64, &[(u8, u32)])]) -> SegmentSet {
    let listing =
        |(name, packs): &(u64, &[(u8, u32)])| SegmentListing { name: *name, packs: packs.iter().map(entries).collect() };
    SegmentSet { domain: DOMAIN, segments: segments.iter().map(listing).collect() }
}

fn entries(pack: &(u8, u32)) -> PackEntries {
    PackEntries { pack: PackName([pack.0; 16]), entries: pack.1 }
}

#[test]
fn a_set_of_segments_comes_back_as_it_went_in() {
    let set = set(&[(1, &[(1, 5), (2, 6)]), (7, &[(3, 7)])]);
    let bytes = set.encode();
    assert_eq!(SegmentSet::parse(&bytes).unwrap(), set);
    for place in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[place] ^= 1;
        assert!(SegmentSet::parse(&broken).is_err());
    }
}

#[test]
fn a_set_that_covers_a_pack_twice_is_refused() {
    assert!(SegmentSet::parse(&set(&[(1, &[(1, 5)]), (2, &[(1, 5)])]).encode()).is_err());
}

#[test]
fn a_set_replaces_another_only_if_it_covers_the_same_packs() {
    let former = set(&[(1, &[(1, 5), (2, 6)]), (7, &[(3, 7)])]);
    let same = set(&[(8, &[(1, 5), (2, 6), (3, 7)])]);
    assert!(same.may_replace(&former, &[], &[]));
    assert!(!same.may_replace(&former, &[entries(&(4, 1))], &[]), "an added pack is missing");
    assert!(!same.may_replace(&former, &[], &[PackName([3; 16])]), "a pack that is gone is still there");
    assert!(!set(&[(8, &[(1, 5), (2, 6)])]).may_replace(&former, &[], &[]), "a pack is missing");
    assert!(!set(&[(8, &[(1, 5), (2, 9), (3, 7)])]).may_replace(&former, &[], &[]), "a pack has other entries");
    let next = set(&[(8, &[(1, 5), (3, 7), (4, 1)])]);
    assert!(next.may_replace(&former, &[entries(&(4, 1))], &[PackName([2; 16])]));
}
