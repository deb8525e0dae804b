//! Lengths of files and functions.

use super::Finding;
use super::rust_source::RustSource;
use super::settings::{PATH, Settings};

/// Most lines of a file, without its tests.
const FILE_LINES_MAX: usize = 800;
/// Most lines of a function.
const FUNCTION_LINES_MAX: usize = 100;

/// Files and functions that are too long, and exceptions that are wider than what they except.
pub(super) fn check(sources: &[RustSource<'_>], settings: &Settings) -> Vec<Finding> {
    let each = |source| file(source, settings).into_iter().chain(functions(source, settings));
    sources.iter().flat_map(each).collect()
}

fn file(source: &RustSource<'_>, settings: &Settings) -> Vec<Finding> {
    let excepted = settings.long_file.iter().find(|file| file.path == source.path).map(|file| file.lines);
    let what = judge("the file", source.lines_without_tests(), FILE_LINES_MAX, excepted);
    what.into_iter().map(|what| Finding::new(source.path, what)).collect()
}

fn functions(source: &RustSource<'_>, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in source.functions() {
        let mut excepted = settings.long_function.iter().filter(|each| each.path == source.path && each.name == function.name);
        let excepted = excepted.next().map(|each| each.lines);
        let what = judge(&format!("function {}", function.name), function.lines, FUNCTION_LINES_MAX, excepted);
        findings.extend(what.map(|what| Finding::at(source.path, function.line, what)));
    }
    findings
}

fn judge(subject: &str, lines: usize, most: usize, excepted: Option<usize>) -> Option<String> {
    match excepted {
        None if lines > most => Some(format!("{subject} has {lines} lines, more than {most}: split it by meaning")),
        Some(excepted) if lines > excepted => {
            Some(format!("{subject} has {lines} lines, more than the {excepted} that {PATH} excepts: exceptions only shrink"))
        }
        Some(_) if lines <= most => Some(format!("{subject} needs no exception in {PATH} any more: drop it")),
        Some(excepted) if lines < excepted => Some(format!("{subject} has only {lines} lines by now: say so in {PATH}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{RustSource, Settings, check};

    fn findings(text: &str, settings: &str) -> Vec<String> {
        let tree = Tree::of(&[("crates/x/src/a.rs", text)]);
        let found = check(&RustSource::all(&tree), &Settings::parse(settings).unwrap());
        found.iter().map(|finding| finding.what.clone()).collect()
    }

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        assert!(findings(&"use a;\n".repeat(800), "").is_empty());
        assert_eq!(findings(&"use a;\n".repeat(801), "").len(), 1);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "use a;\n".repeat(700), "use b;\n".repeat(900));
        assert!(findings(&tested, "").is_empty());
    }

    #[test]
    fn a_long_function_is_found() {
        assert!(findings(&function(100), "").is_empty());
        assert!(findings(&function(101), "")[0].starts_with("function long has 101 lines"));
    }

    #[test]
    fn an_exception_holds_for_its_length_only() {
        let excepted =
            |lines: usize| format!("[[long_function]]\npath = \"crates/x/src/a.rs\"\nname = \"long\"\nlines = {lines}\n");
        assert!(findings(&function(120), &excepted(120)).is_empty());
        assert!(findings(&function(121), &excepted(120))[0].contains("only shrink"));
        assert!(findings(&function(110), &excepted(120))[0].contains("only 110 lines by now"));
        assert!(findings(&function(90), &excepted(120))[0].contains("no exception"));
    }
}
