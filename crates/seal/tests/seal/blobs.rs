//! Blobs go in and come out; what is damaged or made up is refused.

use crate::fixture::{KEYS, flips, links, noise, text};
use format::blob::{BlobKind, Codec, Inner, padme};
use format::{BlobId, limits};
use proptest::prelude::*;
use seal::{BlobOpener, BlobSealer, Kind, SealError};

fn seal(kind: BlobKind, links: &[BlobId], plaintext: &[u8]) -> (BlobId, Vec<u8>) {
    let id = KEYS.writer.blob_id(kind, links, plaintext);
    (id, BlobSealer::new(3).seal(&KEYS.key, kind, id, plaintext).unwrap().to_vec())
}

fn open(kind: BlobKind, id: BlobId, links: &[BlobId], sealed: &[u8]) -> seal::Result<Vec<u8>> {
    BlobOpener::new().open(&KEYS.key, &KEYS.writer, kind, id, links, sealed).map(<[u8]>::to_vec)
}

/// Inner bytes as a thief of the session's key would seal them, under the id of `plaintext`.
fn open_forged(inner: Vec<u8>, plaintext: &[u8]) -> seal::Result<Vec<u8>> {
    let id = KEYS.writer.blob_id(BlobKind::Data, &[], plaintext);
    let sealed = KEYS.key.seal(BlobKind::Data, id, inner).unwrap();
    open(BlobKind::Data, id, &[], &sealed)
}

fn inner(codec: Codec, plaintext_length: usize, payload: &[u8]) -> Vec<u8> {
    Inner { codec, plaintext_length, payload }.encode()
}

proptest! {
    #[test]
    fn any_blob_comes_back(plaintext in prop::collection::vec(any::<u8>(), 0..3000), repeat in 1..40usize, count in 0..9u8, level in -5..10i32) {
        let plaintext = plaintext.repeat(repeat);
        let (kind, links) = if count == 0 { (BlobKind::Data, vec![]) } else { (BlobKind::Page, links(count)) };
        let id = KEYS.writer.blob_id(kind, &links, &plaintext);
        let sealed = BlobSealer::new(level).seal(&KEYS.key, kind, id, &plaintext).unwrap().to_vec();
        prop_assert!(sealed.len() <= padme(plaintext.len() + limits::INNER_HEADER) + limits::SEAL_OVERHEAD);
        prop_assert_eq!(padme(sealed.len() - limits::SEAL_OVERHEAD), sealed.len() - limits::SEAL_OVERHEAD);
        prop_assert_eq!(sealed.capacity(), sealed.len());
        let mut another = BlobSealer::new(1);
        another.set_level(level).unwrap();
        prop_assert_eq!(another.seal(&KEYS.key, kind, id, &plaintext).unwrap().len(), sealed.len(), "a sealer that was at another level");
        prop_assert_eq!(open(kind, id, &links, &sealed).unwrap(), plaintext);
    }

    #[test]
    fn a_sealer_that_is_used_again_seals_as_a_new_one(sizes in prop::collection::vec(0..200_000usize, 1..6)) {
        let (mut sealer, mut opener) = (BlobSealer::new(1), BlobOpener::new());
        for size in sizes {
            for plaintext in [noise(size), text(size)] {
                let id = KEYS.writer.blob_id(BlobKind::Data, &[], &plaintext);
                let sealed = sealer.seal(&KEYS.key, BlobKind::Data, id, &plaintext).unwrap().to_vec();
                prop_assert_eq!(sealed.len(), BlobSealer::new(1).seal(&KEYS.key, BlobKind::Data, id, &plaintext).unwrap().len());
                prop_assert_eq!(opener.open(&KEYS.key, &KEYS.writer, BlobKind::Data, id, &[], &sealed).unwrap(), &plaintext[..]);
            }
        }
    }

    #[test]
    fn whatever_was_sealed_is_opened_as_its_id_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), codec in 0..3u8, lie in 0..600u32) {
        // a header that may be right, over a payload that may not
        let length = bytes.len() as u32;
        let made_up = [&[codec][..], &lie.to_le_bytes(), &length.to_le_bytes(), &bytes].concat();
        let padded = padme(made_up.len());
        let made_up: Vec<u8> = made_up.into_iter().chain(std::iter::repeat(0)).take(padded).collect();
        for inner in [bytes.clone(), made_up] {
            if let Ok(opened) = open_forged(inner, &bytes) {
                prop_assert_eq!(&opened, &bytes);
            }
        }
    }

    #[test]
    fn bytes_that_were_never_sealed_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(open(BlobKind::Data, BlobId([1; 32]), &[], &bytes).unwrap_err().kind(), Kind::Corrupt);
    }
}

#[test]
fn the_largest_blob_comes_back_and_a_larger_one_is_refused() {
    for plaintext in [noise(limits::BLOB_PLAINTEXT_MAX), text(limits::BLOB_PLAINTEXT_MAX)] {
        let (id, sealed) = seal(BlobKind::Data, &[], &plaintext);
        assert!(sealed.len() <= limits::BLOB_SEALED_MAX);
        assert!(open(BlobKind::Data, id, &[], &sealed).unwrap() == plaintext);
    }
    let refused = BlobSealer::new(1)
        .seal(&KEYS.key, BlobKind::Data, BlobId([0; 32]), &noise(limits::BLOB_PLAINTEXT_MAX + 1))
        .map(<[u8]>::to_vec);
    assert!(matches!(refused, Err(SealError::Format(format::FormatError::Limit { .. }))));
    let refused = KEYS.key.seal(BlobKind::Data, BlobId([0; 32]), vec![0; limits::BLOB_SEALED_MAX]);
    assert!(matches!(refused, Err(SealError::Format(format::FormatError::Limit { .. }))));
    assert!(open(BlobKind::Data, BlobId([0; 32]), &[], &vec![0; limits::BLOB_SEALED_MAX + 1]).is_err());
}

#[test]
fn every_flipped_bit_of_a_sealed_blob_is_refused() {
    let (id, sealed) = seal(BlobKind::Page, &links(3), &text(300));
    for place in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[place / 8] ^= 1 << (place % 8);
        let refused = open(BlobKind::Page, id, &links(3), &flipped).unwrap_err();
        assert_eq!(refused, SealError::BlobDoesNotOpen(id, KEYS.key.id()));
    }
    for length in 0..sealed.len() {
        assert!(open(BlobKind::Page, id, &links(3), &sealed[..length]).is_err());
    }
    assert!(open(BlobKind::Page, id, &links(3), &[&sealed[..], &[0]].concat()).is_err());
}

#[test]
fn every_flipped_bit_of_an_id_is_refused() {
    let (id, sealed) = seal(BlobKind::Data, &[], &text(300));
    for place in 0..256 {
        let mut other = id;
        other.0[place / 8] ^= 1 << (place % 8);
        assert!(matches!(open(BlobKind::Data, other, &[], &sealed), Err(SealError::BlobDoesNotOpen(..))));
    }
}

#[test]
fn compressible_content_shrinks_and_noise_is_stored() {
    for length in [1000, 60_000, 70_000, 500_000, 4 << 20] {
        assert!(seal(BlobKind::Data, &[], &text(length)).1.len() < length / 2);
        let stored = padme(length + limits::INNER_HEADER) + limits::SEAL_OVERHEAD;
        assert_eq!(seal(BlobKind::Data, &[], &noise(length)).1.len(), stored);
    }
    // the probe looks all over a blob
    let half = [noise(300_000), text(300_000)].concat();
    assert!(seal(BlobKind::Data, &[], &half).1.len() < 450_000);
    let half = [text(300_000), noise(300_000)].concat();
    assert!(seal(BlobKind::Data, &[], &half).1.len() < 450_000);
    let middle = [noise(200_000), text(100_000), noise(200_001)].concat();
    assert!(seal(BlobKind::Data, &[], &middle).1.len() < 450_000);
    assert!(seal(BlobKind::Data, &[], &vec![0; 16 << 20]).1.len() < 4096);
}

#[test]
fn a_gain_below_two_percent_is_not_worth_decompressing_for() {
    let codec = |zeros: usize| {
        let plaintext = [noise(19_456 - zeros), vec![0; zeros]].concat();
        let (id, sealed) = seal(BlobKind::Data, &[], &plaintext);
        KEYS.key.open(BlobKind::Data, id, sealed).unwrap()[0]
    };
    // stored it is padded to 20 KiB, with 375 zeros compressed it would be to 19 KiB
    assert_eq!(codec(375), limits::CODEC_STORED);
    assert_eq!(codec(600), limits::CODEC_ZSTD);
}

#[test]
fn the_same_blob_sealed_twice_looks_different() {
    let (id, one) = seal(BlobKind::Data, &[], &text(100));
    let (same, two) = seal(BlobKind::Data, &[], &text(100));
    assert_eq!((id, one.len()), (same, two.len()));
    assert_ne!(one[..12], two[..12]);
    assert_ne!(one[12..], two[12..]);
}

#[test]
fn a_length_is_not_shown_exactly() {
    let sizes: std::collections::BTreeSet<usize> =
        (100_000..104_000).step_by(50).map(|length| seal(BlobKind::Data, &[], &noise(length)).1.len()).collect();
    assert!(sizes.len() <= 4, "80 lengths show as {} sizes", sizes.len());
}

#[test]
fn a_payload_that_decompresses_to_another_length_is_refused() {
    let plaintext = text(1000);
    let frame = zstd::bulk::compress(&plaintext, 1).unwrap();
    assert_eq!(open_forged(inner(Codec::Zstd, 1000, &frame), &plaintext).unwrap(), plaintext);
    for length in [0, 1, 999, 1001, limits::BLOB_PLAINTEXT_MAX] {
        let refused = open_forged(inner(Codec::Zstd, length, &frame), &plaintext).unwrap_err();
        assert!(matches!(refused, SealError::BlobDoesNotDecompress(_)), "{length}: {refused}");
    }
    let over = open_forged(inner(Codec::Zstd, limits::BLOB_PLAINTEXT_MAX + 1, &frame), &plaintext).unwrap_err();
    assert!(matches!(over, SealError::Format(format::FormatError::Limit { .. })));
}

#[test]
fn a_payload_is_one_zstd_frame_and_nothing_else() {
    let plaintext = text(1000);
    let frame = |part: &[u8]| zstd::bulk::compress(part, 1).unwrap();
    let two = [frame(&plaintext[..500]), frame(&plaintext[500..])].concat();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &frame(&plaintext)].concat();
    let trailing = [&frame(&plaintext)[..], &[0]].concat();
    for payload in [two, skippable, trailing, vec![], b"no frame".to_vec()] {
        let refused = open_forged(inner(Codec::Zstd, 1000, &payload), &plaintext).unwrap_err();
        assert!(matches!(refused, SealError::BlobDoesNotDecompress(_)));
    }
}

#[test]
fn a_bomb_goes_off_in_no_more_memory_than_its_header_says() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let refused = open_forged(inner(Codec::Zstd, 100, &bomb), b"x").unwrap_err();
    assert!(matches!(refused, SealError::BlobDoesNotDecompress(_)));
}

#[test]
fn flipped_bits_inside_a_frame_never_come_out_as_content() {
    // authentic but damaged before it was sealed: bad memory at the source
    let plaintext = text(5000);
    let frames: Vec<Vec<u8>> = flips(&zstd::bulk::compress(&plaintext, 1).unwrap()).collect();
    let (flipped, mut refused) = (frames.len(), 0);
    for frame in frames {
        match open_forged(inner(Codec::Zstd, 5000, &frame), &plaintext) {
            // some bits of a frame mean nothing
            Ok(opened) => assert_eq!(opened, plaintext),
            Err(_) => refused += 1,
        }
    }
    assert!(refused * 10 > flipped * 9, "{refused} of {flipped}");
}
