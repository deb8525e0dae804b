//! The cutter against a reference that follows the rules byte by byte, and what the rules promise.

use super::gear::{GearTable, scan, scan_paired, scan_scalar};
use super::{Chunker, CutParameters, Piece, WINDOW};
use proptest::prelude::*;

const KEY: [u8; 32] = *b"a chunking key for tests, 32 by.";
const SMALL: CutParameters = CutParameters { min: 64, average: 200, max: 600 };

/// Bytes that look random and are always the same.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The rules as they stand in the module's documentation, without regard to speed.
fn reference(key: &[u8; 32], parameters: CutParameters, content: &[u8]) -> Vec<Piece> {
    let CutParameters { min, average, max } = parameters;
    let mut bytes = [0; 2048];
    blake3::Hasher::new_keyed(key).finalize_xof().fill(&mut bytes);
    let table: Vec<u64> = bytes.chunks(8).map(|entry| u64::from_le_bytes(entry.try_into().unwrap())).collect();
    let hash = |at: usize| {
        (0..WINDOW).fold(0u64, |sum, i| sum.wrapping_add(table[usize::from(content[at - 1 - i])].wrapping_shl(i as u32)))
    };
    let mut in_run = vec![false; content.len()];
    let mut start = 0;
    while start < content.len() {
        let length = content[start..].iter().take_while(|byte| **byte == 0).count();
        if length >= min {
            in_run[start..start + length].fill(true);
        }
        start += length.max(1);
    }
    let (mut pieces, mut last) = (Vec::new(), 0);
    for at in 1..=content.len() {
        let length = at - last;
        let edge = at == content.len() || in_run[at] != in_run[at - 1];
        let low = length >= min
            && !in_run[at - 1]
            && if length < average {
                hash(at) < u64::MAX / (4 * average as u64)
            } else {
                hash(at) < 4 * (u64::MAX / average as u64)
            };
        if edge || low || length == max {
            pieces.push(Piece { length, zeros: in_run[at - 1] });
            last = at;
        }
    }
    pieces
}

/// Stretches of noise, of one byte, and of zeros: what a cutter can meet.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        (any::<u64>(), 0..3000usize).prop_map(|(seed, length)| noise(seed, length)),
        (any::<u8>(), 0..1500usize).prop_map(|(byte, length)| vec![byte; length]),
        (0..2000usize).prop_map(|length| vec![0; length]),
        (50..80usize).prop_map(|length| vec![0; length]),
        (any::<u8>(), 1..6usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    prop::collection::vec(stretch, 0..12).prop_map(|stretches| stretches.concat())
}

fn cuts(pieces: &[Piece]) -> Vec<usize> {
    pieces
        .iter()
        .scan(0, |at, piece| {
            *at += piece.length;
            Some(*at)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn content_is_cut_as_the_rules_say(content in content()) {
        let chunker = Chunker::new(&KEY, SMALL).unwrap();
        let pieces: Vec<Piece> = chunker.pieces(&content).collect();
        prop_assert_eq!(pieces, reference(&KEY, SMALL, &content));
    }

    #[test]
    fn content_that_comes_in_parts_is_cut_as_content_that_is_there(content in content(), steps in prop::collection::vec(1..1500usize, 1..8)) {
        let chunker = Chunker::new(&KEY, SMALL).unwrap();
        let (mut cutter, mut pieces, mut start, mut end) = (chunker.start(), Vec::new(), 0, 0);
        let mut steps = steps.into_iter().cycle();
        while start < content.len() {
            match cutter.next(&content[start..end], end == content.len()) {
                Some(piece) => {
                    start += piece.length;
                    pieces.push(piece);
                }
                None => end = content.len().min(end + steps.next().unwrap()),
            }
        }
        prop_assert_eq!(pieces, chunker.pieces(&content).collect::<Vec<_>>());
    }

    #[test]
    fn pieces_cover_the_content_within_their_sizes(content in content()) {
        let chunker = Chunker::new(&KEY, SMALL).unwrap();
        let mut at = 0;
        for piece in chunker.pieces(&content) {
            prop_assert!(piece.length >= 1 && piece.length <= SMALL.max);
            let bytes = &content[at..at + piece.length];
            prop_assert_eq!(piece.zeros && bytes.iter().any(|byte| *byte != 0), false);
            let longest = bytes.split(|byte| *byte != 0).map(<[u8]>::len).max().unwrap_or(0);
            prop_assert!(piece.zeros || longest < SMALL.min, "a zero run of {} in data", longest);
            at += piece.length;
        }
        prop_assert_eq!(at, content.len());
    }

    #[test]
    fn the_paired_search_finds_what_the_plain_one_finds(
        content in content(), from in WINDOW..200usize, behind in 0..100usize, bits in 1..14u32,
    ) {
        prop_assume!(from + behind < content.len());
        let (table, to, below) = (GearTable::new(&KEY), content.len() - behind, u64::MAX >> bits);
        let plain = scan_scalar(&table, &content, from, to, below);
        prop_assert_eq!(scan_paired::<32>(&table, &content, from, to, below), plain);
        prop_assert_eq!(scan_paired::<100>(&table, &content, from, to, below), plain);
        prop_assert_eq!(scan_paired::<1000>(&table, &content, from, to, below), plain);
        prop_assert_eq!(scan(&table, &content, from, to, below), plain);
    }
}

#[test]
fn the_paired_search_finds_each_place_around_its_seams() {
    let (table, bytes) = (GearTable::new(&KEY), noise(1, 800));
    // wherever a search starts, and however rare hits are, the first one is found
    for from in WINDOW..WINDOW + 140 {
        for bits in [2, 4, 6, 8, 10] {
            let plain = scan_scalar(&table, &bytes, from, 800, u64::MAX >> bits);
            assert_eq!(scan_paired::<64>(&table, &bytes, from, 800, u64::MAX >> bits), plain);
            assert_eq!(scan_paired::<65>(&table, &bytes, from, 800, u64::MAX >> bits), plain);
        }
    }
}

#[test]
fn cuts_of_default_size_are_cut_as_the_rules_say() {
    let parameters = CutParameters::default();
    let content = [noise(1, 5 << 20), vec![0; 5 << 20], noise(2, 40 << 10), vec![7; 5 << 20], noise(3, 3 << 20)].concat();
    let chunker = Chunker::new(&KEY, parameters).unwrap();
    assert_eq!(chunker.pieces(&content).collect::<Vec<_>>(), reference(&KEY, parameters, &content));
}

#[test]
fn inserted_bytes_change_cuts_near_them_only() {
    let chunker = Chunker::new(&KEY, SMALL).unwrap();
    let before = noise(4, 100_000);
    let after = [noise(5, 333), before.clone()].concat();
    let old: Vec<usize> = cuts(&chunker.pieces(&before).collect::<Vec<_>>()).iter().map(|at| at + 333).collect();
    let new = cuts(&chunker.pieces(&after).collect::<Vec<_>>());
    let common = old.iter().filter(|at| new.contains(at)).count();
    assert!(common * 100 > old.len() * 90, "only {common} of {} cuts are found again", old.len());
    let first = old.iter().position(|at| new.contains(at)).unwrap();
    assert!(old[first..].iter().all(|at| new.contains(at)), "once common, cuts stay common");
}

#[test]
fn a_longer_zero_run_changes_no_cut_behind_it() {
    let chunker = Chunker::new(&KEY, SMALL).unwrap();
    let with = |zeros: usize| {
        let content = [noise(6, 5_000), vec![0; zeros], noise(7, 5_000)].concat();
        let pieces: Vec<Piece> = chunker.pieces(&content).filter(|piece| !piece.zeros).collect();
        assert_eq!(pieces.iter().map(|piece| piece.length).sum::<usize>(), 10_000);
        pieces
    };
    // the noise starts and ends with bytes other than zero
    for zeros in [64, 65, 599, 600, 601, 1200, 1201, 1799, 50_000] {
        assert_eq!(with(zeros), with(64));
    }
}

#[test]
fn another_key_cuts_elsewhere() {
    let content = noise(8, 200_000);
    let of = |key: &[u8; 32]| cuts(&Chunker::new(key, SMALL).unwrap().pieces(&content).collect::<Vec<_>>());
    let (one, other) = (of(&KEY), of(&[1; 32]));
    let common = one.iter().filter(|at| other.contains(at)).count();
    assert!(common * 20 < one.len(), "{common} of {} cuts are common", one.len());
}

#[test]
fn chunks_are_about_as_large_as_asked() {
    let parameters = CutParameters { min: 2 << 10, average: 8 << 10, max: 32 << 10 };
    let count = Chunker::new(&KEY, parameters).unwrap().pieces(&noise(9, 16 << 20)).count();
    let mean = (16 << 20) / count;
    assert!((7 << 10..11 << 10).contains(&mean), "mean of {mean}");
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let refused = |min, average, max| Chunker::new(&KEY, CutParameters { min, average, max }).is_err();
    assert!(refused(63, 200, 600) && refused(200, 199, 600) && refused(64, 200, 199) && refused(64, 200, (16 << 20) + 1));
    assert!(!refused(64, 64, 64) && !refused(64, 200, 16 << 20));
}

/// Frozen: if this fails, content of existing domains would be stored anew.
#[test]
fn golden_cuts_stay_as_they_are() {
    let content = [noise(10, 24 << 20), vec![0; 3 << 20], noise(11, 9 << 20), vec![b'x'; 5 << 20], noise(12, 100_001)].concat();
    let golden = |parameters, zeros| {
        let pieces: Vec<Piece> = Chunker::new(&KEY, parameters).unwrap().pieces(&content).collect();
        assert_eq!(pieces.iter().filter(|piece| piece.zeros).count(), zeros);
        let mut hasher = blake3::Hasher::new();
        for piece in &pieces {
            hasher.update(&(piece.length as u64).to_le_bytes()).update(&[u8::from(piece.zeros)]);
        }
        format!("{} {}", pieces.len(), &hasher.finalize().to_hex()[..32])
    };
    assert_eq!(
        golden(CutParameters { min: 128 << 10, average: 512 << 10, max: 2 << 20 }, 2),
        "62 5563cd59897bf89eb88b9fca53471679"
    );
    assert_eq!(
        golden(CutParameters { min: 2 << 10, average: 8 << 10, max: 64 << 10 }, 48),
        "3859 51850fd8b485f3b0d1f9a01be2a2ae9e"
    );
}
