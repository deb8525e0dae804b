//! Writes the golden files of the format: `cargo run -p holdfast-format --example golden -- --write`.
//!
//! Without `--write` it only says which files would change. Once a version is released its golden files are never written
//! again: a reader that cannot read them is broken.

#![allow(clippy::unwrap_used)] // values of our own making

#[path = "../tests/format/golden_values.rs"]
mod golden_values;
#[path = "../tests/format/keys.rs"]
mod keys;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let write = std::env::args().any(|argument| argument == "--write");
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/v1/objects"));
    for golden in golden_values::all() {
        let path = directory.join(golden.name);
        let state = match std::fs::read(&path) {
            Ok(stored) if stored == golden.bytes => "unchanged",
            Ok(_) => "CHANGED",
            Err(_) => "new",
        };
        println!("{state:9} {}", golden.name);
        assert_eq!((golden.again)(&golden.bytes).as_ref(), Some(&golden.bytes), "{} does not come back", golden.name);
        if write && state != "unchanged" {
            std::fs::create_dir_all(directory)?;
            std::fs::write(&path, &golden.bytes)?;
        }
    }
    Ok(())
}
