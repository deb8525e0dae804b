//! Links between the documents lead somewhere.

use super::Finding;
use super::tree::Tree;

/// Links of Markdown files to files or headings that are not there.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts_ending(".md") {
        for (line, target) in links(text) {
            if let Some(what) = broken(tree, path, &target) {
                findings.push(Finding::at(path, line, what));
            }
        }
    }
    findings
}

fn broken(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let file = if file.is_empty() { from.to_owned() } else { resolve(from, file) };
    if !tree.contains(&file) {
        return Some(format!("links to {target}, and {file} is not there"));
    }
    let heading = heading?;
    let there = tree.text(&file).is_some_and(|text| headings(text).iter().any(|each| each == heading));
    (!there).then(|| format!("links to {target}, and {file} has no such heading"))
}

fn resolve(from: &str, target: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Text outside code, with line numbers from 1: fenced blocks dropped, code in a line blanked.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let parts = line.split('`').enumerate().map(|(place, part)| if place % 2 == 0 { part } else { "x" });
            lines.push((number + 1, parts.collect::<Vec<_>>().join("`")));
        }
    }
    lines
}

fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let target =
            |text: &str| text.split_whitespace().next().map(|target| (number, target.trim_matches(['<', '>']).to_owned()));
        links.extend(inline.filter_map(target));
        let reference = line.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
        links.extend(reference.and_then(|(_, rest)| target(rest)));
    }
    links
}

/// Anchors of a document's headings, as they are made on code hosts.
fn headings(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let same = anchors.iter().filter(|each| **each == anchor).count();
        anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::{Tree, check};

    fn findings(text: &str) -> usize {
        check(&Tree::of(&[("docs/a.md", text), ("docs/b.md", "# One `two`: three\n## Four\n"), ("README.md", "")])).len()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        assert_eq!(findings("[b](b.md) [r](../README.md) [h](b.md#one-two-three) [own](#own)\n\n# Own\n[c]: b.md#four\n"), 0);
        assert_eq!(findings("[out](https://example.org/x) [folder](../docs)"), 0);
    }

    #[test]
    fn links_to_nothing_are_found() {
        assert_eq!(findings("[c](c.md)"), 1);
        assert_eq!(findings("[c](../b.md)"), 1);
        assert_eq!(findings("[c](b.md#five)"), 1);
        assert_eq!(findings("[c]: gone.md"), 1);
    }

    #[test]
    fn code_is_no_link() {
        assert_eq!(findings("`[c](c.md)`\n```\n[c](c.md)\n```\n"), 0);
    }
}
