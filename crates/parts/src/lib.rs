//! The hot paths by themselves, on inputs that are the same everywhere and every time.
//!
//! `cargo bench --package holdfast-parts` times them; `cargo xtask counts` counts their instructions, which no busy machine
//! changes, and compares them with those that are written down.

#![forbid(unsafe_code)]

mod blobs;
mod index;
mod samples;
mod trees;

/// What a part works through, for rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Bytes of content.
    Bytes(u64),
    /// Entries, or look-ups.
    Things(u64),
}

/// A part with its input in place.
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// What one run works through.
    pub amount: Amount,
    run: Box<dyn FnMut() -> u64>,
}

impl Part {
    fn new(name: &'static str, amount: Amount, run: impl FnMut() -> u64 + 'static) -> Self {
        Self { name, amount, run: Box::new(run) }
    }

    /// Does it once. The number stands for what came out, so that nothing is left undone.
    pub fn run(&mut self) -> u64 {
        (self.run)()
    }
}

/// Makes a part's input.
type Prepare = fn() -> Part;

/// All parts, by name.
pub const PARTS: [(&str, Prepare); 7] = [
    ("cut", blobs::cut),
    ("hash", blobs::hash),
    ("seal", blobs::seal),
    ("open", blobs::open),
    ("tree-write", trees::write),
    ("tree-read", trees::read),
    ("look-up", index::look_up),
];

/// The part of this name.
#[must_use]
pub fn prepare(name: &str) -> Option<Part> {
    PARTS.iter().find(|(known, _)| *known == name).map(|(_, prepare)| prepare())
}

#[cfg(test)]
mod tests {
    use super::{PARTS, prepare};

    #[test]
    fn every_part_does_the_same_every_time() {
        for (name, _) in PARTS {
            let (mut part, mut again) = (prepare(name).unwrap(), prepare(name).unwrap());
            let first = part.run();
            assert!(first > 0, "{name}");
            assert_eq!([part.run(), again.run()], [first, first], "{name}");
        }
    }
}
