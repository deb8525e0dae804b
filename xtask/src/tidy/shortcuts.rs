//! Shortcuts that must not stay: ignored tests, unfinished code, glob imports, unsafe code outside its places.

use super::Finding;
use super::rust_source::RustSource;
use super::settings::{PATH, Settings};

const FORBIDDEN: [(&str, &str); 5] = [
    ("#[ignore", "a test that never runs proves nothing"),
    ("todo!", "unfinished"),
    ("unimplemented!", "unfinished"),
    ("dbg!", "a trace of debugging"),
    ("#[should_panic]", "say which panic: #[should_panic(expected = …)]"),
];

/// Findings about shortcuts.
pub(super) fn check(sources: &[RustSource<'_>], settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        for (word, why) in FORBIDDEN {
            let places = source.places(word).into_iter();
            findings.extend(places.map(|at| Finding::at(source.path, source.line(at), format!("{word}: {why}"))));
        }
        findings.extend(glob_imports(source));
        findings.extend(unapproved(source, settings));
    }
    findings.extend(roots_without_forbid(sources, settings));
    findings
}

fn glob_imports(source: &RustSource<'_>) -> Vec<Finding> {
    let statement = |at: usize| source.masked[at..].split(';').next().unwrap_or_default();
    let globs = source.places("use").into_iter().filter(|at| is_glob(statement(*at)));
    let globs = globs.filter(|at| !(source.in_tests(*at) && is_usual_in_tests(statement(*at))));
    globs.map(|at| Finding::at(source.path, source.line(at), "a glob import: name what is used")).collect()
}

fn is_glob(statement: &str) -> bool {
    let path = statement.trim_start_matches("use").trim();
    // `use` in prose of a macro or in `impl Trait + use<'a>` is no import.
    path.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == ':') && path.contains("::*")
        || path.contains("::{") && path.split(['{', ',', '}']).any(|part| part.trim() == "*")
}

/// What clippy lets pass too: in tests, everything of the module that they test, and a crate's prelude.
fn is_usual_in_tests(statement: &str) -> bool {
    statement == "use super::*" || statement.ends_with("::prelude::*")
}

fn unapproved(source: &RustSource<'_>, settings: &Settings) -> Vec<Finding> {
    if settings.unsafe_files.iter().any(|path| path == source.path) {
        return Vec::new();
    }
    let attribute = |at: usize| source.masked[..at].rsplit('#').next().unwrap_or_default();
    let is_allowed = |at: &usize| ["allow(", "expect("].iter().any(|word| attribute(*at).contains(word));
    let allowed = source.places("unsafe_code").into_iter().filter(is_allowed);
    let places = allowed.chain(source.places("unsafe"));
    let what = format!("unsafe code, and {PATH} does not approve of this file");
    places.map(|at| Finding::at(source.path, source.line(at), what.clone())).collect()
}

/// Roots of crates without approved files that do not forbid unsafe code.
fn roots_without_forbid(sources: &[RustSource<'_>], settings: &Settings) -> Vec<Finding> {
    let is_root = |path: &str| path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    let has_approved = |krate: &str| settings.unsafe_files.iter().any(|path| path.starts_with(&format!("crates/{krate}/")));
    let roots = sources.iter().filter(|source| is_root(source.path) && !has_approved(source.krate()));
    let open = roots.filter(|source| source.places("#![forbid(unsafe_code)]").is_empty());
    open.map(|source| Finding::new(source.path, "lacks #![forbid(unsafe_code)]")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{RustSource, Settings, check};

    fn findings(path: &str, text: &str) -> Vec<String> {
        let settings = Settings::parse("unsafe_files = [\"crates/x/src/map.rs\"]").unwrap();
        check(&RustSource::all(&Tree::of(&[(path, text)])), &settings).iter().map(|finding| finding.what.clone()).collect()
    }

    #[test]
    fn unfinished_code_and_ignored_tests_are_found() {
        let text = "#[ignore = \"slow\"]\nfn a() { todo!() }\nfn b() { unimplemented!(\"x\") }\nfn c() { dbg!(1) }";
        assert_eq!(findings("crates/y/src/a.rs", text).len(), 4);
        assert!(findings("crates/y/src/a.rs", "// todo!\nfn a() { \"dbg!\" }").is_empty());
    }

    #[test]
    fn glob_imports_are_found() {
        for text in
            ["use a::*;", "pub use a::b::*;", "use a::{b, c::*};", "use a::{\n    b,\n    *,\n};", "fn f() { use super::*; }"]
        {
            assert_eq!(findings("crates/y/src/a.rs", text).len(), 1, "{text}");
        }
        assert_eq!(findings("crates/y/src/a.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n    use a::*;\n}").len(), 1);
        assert!(findings("crates/y/tests/y/a.rs", "use proptest::prelude::*;").is_empty());
        assert!(findings("crates/y/src/a.rs", "use a::{b, c};\nfn f(x: u8) -> impl Sized + use<> { 2 * x }").is_empty());
    }

    #[test]
    fn unsafe_code_is_found_outside_approved_files() {
        let text = "#![deny(unsafe_code)]\n#[allow(dead_code, unsafe_code)]\nfn a() { unsafe { b() } }";
        assert_eq!(findings("crates/x/src/a.rs", text).len(), 2);
        assert!(findings("crates/x/src/map.rs", text).is_empty());
    }

    #[test]
    fn a_root_must_forbid_unsafe_code_unless_its_crate_has_an_approved_file() {
        assert_eq!(findings("crates/y/src/lib.rs", ""), ["lacks #![forbid(unsafe_code)]"]);
        assert!(findings("crates/y/src/lib.rs", "#![forbid(unsafe_code)]").is_empty());
        assert!(findings("crates/x/src/lib.rs", "").is_empty());
    }
}
