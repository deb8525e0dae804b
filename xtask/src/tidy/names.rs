//! Names that say nothing, and files where they do not belong.

use super::Finding;
use super::rust_source::{RustSource, name_at};

/// Modules of these names collect what nobody found a place for.
const MODULES: [&str; 9] = ["util", "utils", "misc", "helper", "helpers", "common", "manager", "managers", "handler"];
/// Types whose names end like this do everything.
const TYPES: [&str; 5] = ["Manager", "Handler", "Helper", "Utils", "Util"];

/// Findings about names and places.
pub(super) fn check(sources: &[RustSource<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        findings.extend(files(source));
        findings.extend(modules(source));
        findings.extend(types(source));
    }
    findings
}

fn files(source: &RustSource<'_>) -> Vec<Finding> {
    let parts = source.path.split('/').map(|part| part.trim_end_matches(".rs"));
    let bad = parts.filter(|part| is_bad_module(part));
    let mut findings: Vec<Finding> =
        bad.map(|part| Finding::new(source.path, format!("`{part}` names nothing: name what is in it"))).collect();
    let integration = source.path.strip_prefix("crates/").and_then(|path| path.split_once("/tests/"));
    if integration.is_some_and(|(_, file)| !file.contains('/')) {
        findings.push(Finding::new(source.path, "tests of a crate live in one program: tests/<crate>/main.rs and its modules"));
    }
    findings
}

fn modules(source: &RustSource<'_>) -> Vec<Finding> {
    let named = source.places("mod").into_iter().map(|at| (at, name_behind(&source.masked, at + 3)));
    let bad = named.filter(|(_, name)| is_bad_module(name));
    bad.map(|(at, name)| Finding::at(source.path, source.line(at), format!("`mod {name}` names nothing: name what is in it")))
        .collect()
}

fn types(source: &RustSource<'_>) -> Vec<Finding> {
    let places = ["struct", "enum", "trait", "type"].into_iter().flat_map(|word| {
        let behind = move |at| (at, name_behind(&source.masked, at + word.len()));
        source.places(word).into_iter().map(behind)
    });
    let bad = places.filter(|(_, name)| TYPES.iter().any(|end| name.ends_with(end)) || is_numbered(&name.to_lowercase()));
    bad.map(|(at, name)| Finding::at(source.path, source.line(at), format!("`{name}` does not say what it is"))).collect()
}

fn is_bad_module(name: &str) -> bool {
    MODULES.contains(&name) || is_numbered(name)
}

/// `index_v2`, `indexv2`: the old one should have gone, or both have a name of their own.
fn is_numbered(name: &str) -> bool {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    digits > 0 && name[..name.len() - digits].ends_with("_v")
}

fn name_behind(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    name_at(text, at + (rest.len() - rest.trim_start_matches(' ').len()))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{RustSource, check};

    fn findings(path: &str, text: &str) -> usize {
        check(&RustSource::all(&Tree::of(&[(path, text)]))).len()
    }

    #[test]
    fn modules_that_collect_anything_are_found() {
        assert_eq!(findings("crates/x/src/utils.rs", ""), 1);
        assert_eq!(findings("crates/x/src/common/a.rs", ""), 1);
        assert_eq!(findings("crates/x/src/index_v2.rs", ""), 1);
        assert_eq!(findings("crates/x/src/lib.rs", "mod helpers;\nmod misc {}\nmod points;"), 2);
        assert_eq!(findings("crates/vault/src/handlers/points.rs", "mod modes; // mod utils"), 0);
    }

    #[test]
    fn types_that_do_everything_are_found() {
        assert_eq!(
            findings("crates/x/src/a.rs", "pub struct PackManager;\nenum Handler {}\ntrait Index_v2 {}\nstruct Packs;"),
            3
        );
    }

    #[test]
    fn a_second_test_program_is_found() {
        assert_eq!(findings("crates/x/tests/more.rs", ""), 1);
        assert_eq!(findings("crates/x/tests/x/main.rs", ""), 0);
    }
}
