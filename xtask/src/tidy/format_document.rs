//! `docs/format.md` is in step with the format's sources: it names every constant of `limits` with its value, and has a place
//! for every module.

use super::Finding;
use super::rust_source::{is_name, line_of};
use super::tree::Tree;
use std::collections::BTreeMap;

const DOCUMENT: &str = "docs/format.md";
const LIMITS: &str = "crates/format/src/limits.rs";
const ROOT: &str = "crates/format/src/lib.rs";

/// Constants that the document lacks or gives another value, and modules that it does not mention.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let (Some(document), Some(limits)) = (tree.text(DOCUMENT), tree.text(LIMITS)) else {
        return vec![Finding::new(DOCUMENT, format!("is not there, or {LIMITS} is not"))];
    };
    let mut findings = constants_out_of_step(document, limits);
    findings.extend(unmentioned_modules(document, tree.text(ROOT).unwrap_or_default()));
    findings
}

fn constants_out_of_step(document: &str, limits: &str) -> Vec<Finding> {
    let mut values = BTreeMap::new();
    let mut findings = Vec::new();
    for constant in constants(limits) {
        let renderings = renderings(&constant, &mut values);
        let mentions: Vec<&str> = document.lines().filter(|line| has_word(line, constant.name)).collect();
        let what = if mentions.is_empty() {
            format!("{} is not in {DOCUMENT}", constant.name)
        } else if !mentions.iter().any(|line| renderings.iter().any(|value| has_word(line, value))) {
            format!("{DOCUMENT} does not give {} its value ({})", constant.name, renderings.join(" or "))
        } else {
            continue;
        };
        findings.push(Finding::at(LIMITS, constant.line, what));
    }
    findings
}

fn unmentioned_modules(document: &str, root: &str) -> Vec<Finding> {
    let declared = root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let lacking = declared.filter(|module| !document.contains(&format!("`{module}`")));
    lacking.map(|module| Finding::new(DOCUMENT, format!("does not mention the module `{module}` of the format"))).collect()
}

struct Constant<'a> {
    name: &'a str,
    expression: &'a str,
    line: usize,
}

fn constants(limits: &str) -> Vec<Constant<'_>> {
    const BEGIN: &str = "pub const ";
    let places = limits.match_indices(BEGIN).map(|(at, _)| at).filter(|at| *at == 0 || limits.as_bytes()[at - 1] == b'\n');
    let constant = |at: usize| {
        let declaration = limits[at + BEGIN.len()..].split(";\n").next()?;
        let (name, rest) = declaration.split_once(':')?;
        let (_, expression) = rest.split_once(" =")?;
        Some(Constant { name, expression: expression.trim(), line: line_of(limits, at) })
    };
    places.filter_map(constant).collect()
}

/// How a document may write the value. `values` holds the numbers of the constants before.
fn renderings<'a>(constant: &Constant<'a>, values: &mut BTreeMap<&'a str, u64>) -> Vec<String> {
    let text = constant.expression.trim_start_matches(['*', 'b']);
    if let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return vec![text.to_owned()];
    }
    let mut renderings = vec![constant.expression.to_owned()];
    if let Some(value) = evaluate(constant.expression, values) {
        values.insert(constant.name, value);
        renderings.extend([value.to_string(), grouped(value, ','), grouped(value, '_'), format!("0x{value:02x}")]);
        let units =
            [("KiB", 10), ("MiB", 20), ("GiB", 30)].into_iter().filter(|(_, shift)| value != 0 && value % (1 << shift) == 0);
        renderings.extend(units.map(|(unit, shift)| format!("{} {unit}", grouped(value >> shift, ','))));
        if constant.name.contains("_KIB_") && value % 1024 == 0 {
            renderings.extend([format!("{} MiB", value >> 10), format!("{} GiB", value >> 20)]);
        }
        renderings.dedup();
    }
    renderings
}

fn grouped(value: u64, separator: char) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

/// Whether the line has this text, not as a part of a longer word or number.
fn has_word(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    let inner = |byte: u8| is_name(byte) && byte < 0x80;
    !word.is_empty()
        && line.match_indices(word).any(|(at, _)| {
            let before = at.checked_sub(1).map(|at| bytes[at]);
            let behind = bytes.get(at + word.len()).copied();
            let starts = !(inner(word.as_bytes()[0]) && before.is_some_and(inner));
            let ends = !(inner(word.as_bytes()[word.len() - 1]) && behind.is_some_and(inner));
            starts && ends && !(before == Some(b',') && at > 1 && bytes[at - 2].is_ascii_digit())
        })
}

/// Value of an expression of numbers, constants, `+ - * / <<` and parentheses.
fn evaluate(expression: &str, values: &BTreeMap<&str, u64>) -> Option<u64> {
    let spaced = ["(", ")", "<<", "+", "-", "*", "/"]
        .iter()
        .fold(expression.to_owned(), |text, operator| text.replace(operator, &format!(" {operator} ")));
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let value = shift(&mut rest, values)?;
    rest.is_empty().then_some(value)
}

fn shift(rest: &mut &[&str], values: &BTreeMap<&str, u64>) -> Option<u64> {
    let mut value = sum(rest, values)?;
    while let ["<<", behind @ ..] = *rest {
        *rest = behind;
        value = value.checked_shl(u32::try_from(sum(rest, values)?).ok()?)?;
    }
    Some(value)
}

fn sum(rest: &mut &[&str], values: &BTreeMap<&str, u64>) -> Option<u64> {
    let mut value = product(rest, values)?;
    while let [operator @ ("+" | "-"), behind @ ..] = *rest {
        *rest = behind;
        let other = product(rest, values)?;
        value = if *operator == "+" { value.checked_add(other)? } else { value.checked_sub(other)? };
    }
    Some(value)
}

fn product(rest: &mut &[&str], values: &BTreeMap<&str, u64>) -> Option<u64> {
    let mut value = atom(rest, values)?;
    while let [operator @ ("*" | "/"), behind @ ..] = *rest {
        *rest = behind;
        let other = atom(rest, values)?;
        value = if *operator == "*" { value.checked_mul(other)? } else { value.checked_div(other)? };
    }
    Some(value)
}

fn atom(rest: &mut &[&str], values: &BTreeMap<&str, u64>) -> Option<u64> {
    let [word, behind @ ..] = *rest else { return None };
    *rest = behind;
    if *word != "(" {
        let number = word.replace('_', "");
        return number.parse().ok().or_else(|| values.get(word).copied());
    }
    let value = shift(rest, values)?;
    let [")", behind @ ..] = *rest else { return None };
    *rest = behind;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{LIMITS, ROOT, Tree, check, evaluate, grouped};
    use std::collections::BTreeMap;

    fn findings(document: &str, limits: &str) -> Vec<String> {
        let tree = Tree::of(&[("docs/format.md", document), (LIMITS, limits), (ROOT, "pub mod pack;\nmod hidden;\n")]);
        check(&tree).iter().map(|finding| finding.what.clone()).collect()
    }

    #[test]
    fn expressions_have_the_values_that_rust_gives_them() {
        let values = BTreeMap::from([("A_MAX", 100)]);
        for (text, value) in
            [("16 << 20", 16 << 20), ("12 + 16 * 2", 44), ("A_MAX + A_MAX / 8", 112), ("(1 + 2) << 1 + 1", 12), ("65_536", 65536)]
        {
            assert_eq!(evaluate(text, &values), Some(value), "{text}");
        }
        assert_eq!(evaluate("B_MAX + 1", &values), None);
        assert_eq!(grouped(65536, ','), "65,536");
    }

    #[test]
    fn a_document_in_step_passes() {
        let limits = "pub const A: u8 = 1;\n/// B.\npub const B: usize = 16 << 20;\npub const C: [u8; 3] = *b\"HF\\x01\";\npub const D: usize = B + 4;\n";
        let document = "`pack`\n| `A` | 1 |\n| `B` | 16 MiB |\nthe magic `C` is `HF\\x01`\n`D`: 16,777,220 bytes";
        assert!(findings(document, limits).is_empty(), "{:?}", findings(document, limits));
    }

    #[test]
    fn a_constant_that_is_missing_or_has_another_value_is_found() {
        let limits = "pub const PART_MAX: usize = 4096;\n";
        assert_eq!(findings("`pack`", limits), ["PART_MAX is not in docs/format.md"]);
        assert_eq!(findings("`pack` `PARTS_PART_MAX` 4096", limits), ["PART_MAX is not in docs/format.md"]);
        assert!(findings("`pack` `PART_MAX` 8192", limits)[0].starts_with("docs/format.md does not give PART_MAX its value"));
        assert!(findings("`pack` `PART_MAX` 14096", limits)[0].starts_with("docs/format.md does not give PART_MAX its value"));
        assert!(findings("`pack` `PART_MAX` 4 KiB", limits).is_empty());
        assert!(findings("`pack` `PART_MAX` 4,096", limits).is_empty());
    }

    #[test]
    fn a_module_that_the_document_does_not_mention_is_found() {
        assert_eq!(findings("", ""), ["does not mention the module `pack` of the format"]);
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }
}
