//! `docs/cli.md` is what the program says about itself.

use super::Finding;
use super::tree::Tree;
use crate::reference::{self, REFERENCE};
use std::path::Path;

/// Compares them, where the program can write its reference.
pub(super) fn check(root: &Path, tree: &Tree) -> Vec<Finding> {
    match reference::generate(root) {
        Ok(generated) => compare(generated.as_deref(), tree.text(REFERENCE)),
        Err(error) => vec![Finding::new(REFERENCE, format!("cannot be compared: {error:#}"))],
    }
}

fn compare(generated: Option<&str>, written: Option<&str>) -> Vec<Finding> {
    match (generated, written) {
        (Some(generated), Some(written)) if generated == written => Vec::new(),
        (None, None) => Vec::new(),
        (None, Some(_)) => vec![Finding::new(REFERENCE, "is there, and the program has no `docs` command to write it")],
        (Some(_), _) => vec![Finding::new(REFERENCE, "is not what the program says: run `cargo xtask docs`")],
    }
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn a_reference_that_is_not_in_step_is_found() {
        assert!(compare(Some("a"), Some("a")).is_empty());
        assert!(compare(None, None).is_empty());
        assert_eq!(compare(Some("a"), Some("b")).len(), 1);
        assert_eq!(compare(Some("a"), None).len(), 1);
        assert_eq!(compare(None, Some("a")).len(), 1);
    }
}
