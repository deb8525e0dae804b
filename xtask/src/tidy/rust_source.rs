//! Rust sources as the checks read them: comments and literals blanked out, tests and functions found by their braces.

use super::tree::Tree;
use std::collections::BTreeSet;
use std::ops::Range;

/// A Rust source file.
pub(super) struct RustSource<'a> {
    /// Its path.
    pub(super) path: &'a str,
    /// Its text.
    pub(super) text: &'a str,
    /// The text with comments and the insides of literals replaced by spaces, byte for byte.
    pub(super) masked: String,
    /// Whether the whole file is tests: below a `tests` directory, or a module that its parent declares for tests.
    pub(super) is_test: bool,
    tests: Vec<Range<usize>>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Line of its `fn`, from 1.
    pub(super) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(super) lines: usize,
}

impl<'a> RustSource<'a> {
    /// All Rust sources of a tree.
    pub(super) fn all(tree: &'a Tree) -> Vec<Self> {
        let mut sources: Vec<Self> = tree.texts_ending(".rs").map(|(path, text)| Self::read(path, text)).collect();
        let test_modules: BTreeSet<String> = sources.iter().flat_map(Self::test_modules).collect();
        for source in &mut sources {
            let below =
                |module: &String| source.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
            source.is_test |= test_modules.iter().any(below);
        }
        sources
    }

    fn read(path: &'a str, text: &'a str) -> Self {
        let masked = mask(text);
        let tests = test_items(&masked);
        Self { path, text, is_test: path.starts_with("tests/") || path.contains("/tests/"), masked, tests }
    }

    /// The crate that the file belongs to: `crates/<name>/…`, or the first directory.
    pub(super) fn krate(&self) -> &'a str {
        let path = self.path.strip_prefix("crates/").unwrap_or(self.path);
        path.split('/').next().unwrap_or(path)
    }

    /// Whether this place belongs to tests.
    pub(super) fn in_tests(&self, at: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&at))
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        line_of(&self.masked, at)
    }

    /// Lines of the file that do not belong to tests; in a file of tests all lines.
    pub(super) fn lines_without_tests(&self) -> usize {
        let tests: usize = self.tests.iter().map(|range| self.masked[range.clone()].matches('\n').count() + 1).sum();
        self.text.lines().count().saturating_sub(if self.is_test { 0 } else { tests })
    }

    /// Places of a word or path in code: not in comments or literals, and not as a part of a longer name.
    pub(super) fn places(&self, word: &str) -> Vec<usize> {
        let bytes = self.masked.as_bytes();
        let apart = |at: usize| {
            let before = at.checked_sub(1).map(|at| bytes[at]);
            let behind = bytes.get(at + word.len()).copied();
            let begins = word.starts_with(|c: char| is_name(c as u8));
            let ends = word.ends_with(|c: char| is_name(c as u8));
            !(begins && before.is_some_and(is_name) || ends && behind.is_some_and(is_name))
        };
        self.masked.match_indices(word).map(|(at, _)| at).filter(|at| apart(*at)).collect()
    }

    /// All functions with bodies.
    pub(super) fn functions(&self) -> Vec<Function<'_>> {
        self.places("fn").into_iter().filter_map(|at| function_at(&self.masked, at)).collect()
    }

    /// Modules that are declared for tests only, `#[cfg(test)] mod name;`, as paths without `.rs`.
    fn test_modules(&self) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", self.path));
        let folder = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        let declared = self.tests.iter().filter_map(|range| {
            let item = self.masked[range.clone()].trim_end().strip_suffix(';')?;
            let (_, name) = item.rsplit_once("mod ")?;
            Some(format!("{folder}/{}", name.trim()))
        });
        declared.collect()
    }
}

/// Line of a place in a text, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Whether this byte can be part of a name.
pub(super) fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// The name that starts at this place.
pub(super) fn name_at(text: &str, at: usize) -> &str {
    let length = text.as_bytes()[at..].iter().take_while(|byte| is_name(**byte)).count();
    &text[at..at + length]
}

fn function_at(masked: &str, at: usize) -> Option<Function<'_>> {
    let behind = &masked[at + 2..];
    let start = at + 2 + (behind.len() - behind.trim_start().len());
    let name = name_at(masked, start);
    if name.is_empty() || start == at + 2 {
        return None;
    }
    let body = body(masked, start + name.len())?;
    Some(Function { name, line: line_of(masked, at), lines: masked[at..body.end].matches('\n').count() + 1 })
}

/// The body in braces of the item whose head goes on at `from`; none if it ends with a semicolon.
fn body(masked: &str, from: usize) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    for (at, byte) in masked.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at..closing_brace(masked, at)),
            _ => {}
        }
    }
    None
}

/// One past the brace that closes the one at `open`.
fn closing_brace(masked: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in masked.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    masked.len()
}

/// Items under `#[cfg(test)]`, from the attribute to their end.
fn test_items(masked: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (at, _) in masked.match_indices("#[cfg(") {
        let Some(length) = masked[at..].find(']') else { continue };
        let condition = &masked[at..at + length];
        let for_tests = condition.contains("(test") && !condition.contains("not(test");
        if !for_tests || items.last().is_some_and(|last| last.contains(&at)) {
            continue;
        }
        items.push(at..item_end(masked, at + length + 1));
    }
    items
}

fn item_end(masked: &str, from: usize) -> usize {
    // Further attributes in front of the item are in brackets, which `body` steps over.
    match body(masked, from) {
        Some(body) => body.end,
        None => masked[from..].find(';').map_or(masked.len(), |length| from + length + 1),
    }
}

/// Replaces comments and the insides of literals by spaces.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        masked[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end;
    }
    String::from_utf8(masked).unwrap_or_default()
}

/// Where the comment or literal that starts at this place ends; the place itself if none starts here.
fn literal_or_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + block_comment(rest);
    }
    let after_name = at > 0 && is_name(bytes[at - 1]);
    match rest[0] {
        b'r' if !after_name || matches!(bytes[at - 1], b'b' | b'c') => at + raw_string(rest),
        b'"' => at + quoted(rest, b'"'),
        b'\'' => at + character(rest),
        _ => at,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let inside = &rest[2 + hashes..];
    let length = inside.windows(end.len()).position(|window| window == end);
    length.map_or(rest.len(), |length| 2 + hashes + length + end.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a character literal; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    let first = match rest.get(1) {
        Some(b'\\') => return quoted(rest, b'\''),
        Some(first) => *first,
        None => return 0,
    };
    let length = match first {
        0x00..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    if rest.get(1 + length) == Some(&b'\'') { length + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{Function, RustSource, Tree, mask};

    fn only(text: &str) -> RustSource<'_> {
        RustSource::read("crates/x/src/a.rs", text)
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        let blank = |text: &str| mask(text).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(blank("a // fn b()\nc /* x /* y */ z */ d"), "a c d");
        assert_eq!(blank(r#"f("fn \" {", 'x', '\'', '{')"#), "f( , , , )");
        assert_eq!(blank("g(r#\"a \" { \"#, br\"x\", b\"y\")"), "g( , b , b )");
        assert_eq!(blank("struct S<'a>(&'a str); r#type"), "struct S<'a>(&'a str); r#type");
        assert_eq!(blank("('ä', '→', '😀')"), "( , , )");
        assert_eq!(mask("\"a\nb\"").len(), 5);
        assert!(mask("\"a\nb\"").contains('\n'));
    }

    #[test]
    fn functions_are_measured_from_fn_to_the_closing_brace() {
        let source = only(
            "impl A {\n    pub async fn one(\n        a: [u8; 4],\n    ) -> u8 {\n        { a[0] }\n    }\n}\nfn two() {}\n",
        );
        let expected = [Function { name: "one", line: 2, lines: 5 }, Function { name: "two", line: 8, lines: 1 }];
        assert_eq!(source.functions(), expected);
    }

    #[test]
    fn declarations_and_function_types_have_no_length() {
        assert!(only("trait T { fn a(&self) -> [u8; 2]; }\ntype F = fn(u8) -> u8;\nfn_like!();").functions().is_empty());
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_end_a_function() {
        let source = only("fn a() {\n    \"}\"; // }\n    '}';\n}\n");
        assert_eq!(source.functions()[0].lines, 4);
    }

    #[test]
    fn lines_of_test_modules_do_not_count() {
        let source = only("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n");
        assert_eq!(source.lines_without_tests(), 2);
        assert!(source.in_tests(source.places("b")[0]));
        assert!(!source.in_tests(source.places("a")[0]));
        assert_eq!(only("#[cfg(not(test))]\nmod real {\n}\n").lines_without_tests(), 3);
    }

    #[test]
    fn a_module_declared_for_tests_is_tests_in_its_own_file() {
        let tree = Tree::of(&[
            ("crates/x/src/a.rs", "#[cfg(test)]\nmod trial;\nmod real;"),
            ("crates/x/src/a/trial.rs", "fn t() {}"),
            ("crates/x/src/a/trial/below.rs", "fn b() {}"),
            ("crates/x/src/a/trials.rs", "fn s() {}"),
            ("crates/x/src/a/real.rs", "fn r() {}"),
            ("crates/x/tests/x/main.rs", "fn m() {}"),
        ]);
        let sources = RustSource::all(&tree);
        let tests: Vec<&str> = sources.iter().filter(|source| source.is_test).map(|source| source.path).collect();
        assert_eq!(tests, ["crates/x/src/a/trial.rs", "crates/x/src/a/trial/below.rs", "crates/x/tests/x/main.rs"]);
    }

    #[test]
    fn words_are_found_whole_and_in_code_only() {
        let source = only("todo!(); // todo!()\nmytodo!(); \"todo!()\"");
        assert_eq!(source.places("todo!").len(), 1);
        assert_eq!(only("use a::std::fs; xstd::fs; std::fsx").places("std::fs").len(), 1);
    }
}
