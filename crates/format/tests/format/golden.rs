//! Golden files: what was written once is read for ever. `cargo run -p holdfast-format --example golden` makes them.

use crate::golden_values::all;
use std::collections::BTreeSet;
use std::path::Path;

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/v1/objects"))
}

#[test]
fn golden_files_are_what_is_written_today() {
    for golden in all() {
        let stored = std::fs::read(directory().join(golden.name)).unwrap();
        assert!(stored == golden.bytes, "{} is encoded differently than it was", golden.name);
    }
}

#[test]
fn golden_files_are_decoded_and_encoded_byte_for_byte() {
    for golden in all() {
        let stored = std::fs::read(directory().join(golden.name)).unwrap();
        assert!((golden.again)(&stored).as_deref() == Some(&stored), "{}", golden.name);
    }
}

#[test]
fn no_golden_file_is_forgotten() {
    let listing = std::fs::read_dir(directory()).unwrap();
    let stored: BTreeSet<String> = listing.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let known: BTreeSet<String> = all().iter().map(|golden| golden.name.to_owned()).collect();
    assert_eq!(stored, known);
}
