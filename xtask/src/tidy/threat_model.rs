//! Every test that the threat model names is there.

use super::Finding;
use super::rust_source::RustSource;
use super::tree::Tree;

const DOCUMENT: &str = "docs/threat-model.md";

/// Claims whose test is missing, and a document that names no tests at all.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(DOCUMENT) else { return vec![Finding::new(DOCUMENT, "is not there")] };
    let sources = RustSource::all(tree);
    let mut named = 0;
    let mut findings = Vec::new();
    for (line, text) in text.lines().enumerate() {
        for (path, test) in text.split('`').filter_map(test_named) {
            named += 1;
            let there = sources.iter().any(|source| source.path == path && has_test(source, test));
            if !there {
                findings.push(Finding::at(DOCUMENT, line + 1, format!("names {test}, which is no test in {path}")));
            }
        }
    }
    if named == 0 {
        findings.push(Finding::new(DOCUMENT, "names no tests"));
    }
    findings
}

fn test_named(code: &str) -> Option<(&str, &str)> {
    code.split_once("::").filter(|(path, test)| path.ends_with(".rs") && !test.is_empty())
}

/// Whether a function of this name stands below a test attribute, with nothing but further attributes between.
fn has_test(source: &RustSource<'_>, test: &str) -> bool {
    let lines: Vec<&str> = source.masked.lines().collect();
    let functions = source.functions();
    functions.iter().filter(|function| function.name == test).any(|function| {
        let above = lines[..function.line - 1].iter().rev().map(|line| line.trim());
        let mut attributes = above.take_while(|line| line.is_empty() || line.starts_with("#["));
        attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Tree, check};

    fn findings(document: &str, source: &str) -> usize {
        check(&Tree::of(&[("docs/threat-model.md", document), ("crates/x/tests/x/a.rs", source)])).len()
    }

    const CLAIM: &str = "| a claim | `seal` | `crates/x/tests/x/a.rs::nobody_can` |";

    #[test]
    fn a_claim_with_its_test_passes() {
        assert_eq!(findings(CLAIM, "#[test]\nfn nobody_can() {}"), 0);
        assert_eq!(findings(CLAIM, "#[tokio::test(flavor = \"multi_thread\")]\n/// Why.\nasync fn nobody_can() {}"), 0);
    }

    #[test]
    fn a_claim_without_its_test_is_found() {
        assert_eq!(findings(CLAIM, "#[test]\nfn somebody_can() {}"), 1);
        assert_eq!(findings(CLAIM, "fn nobody_can() {}"), 1);
        assert_eq!(findings(CLAIM, "#[test]\nfn other() {}\n\nfn nobody_can() {}"), 1);
        assert_eq!(findings(CLAIM, "// #[test]\n// fn nobody_can() {}"), 1);
    }

    #[test]
    fn a_document_without_tests_is_found() {
        assert_eq!(findings("nothing to see", ""), 1);
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }
}
