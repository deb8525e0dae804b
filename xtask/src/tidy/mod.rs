//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each check is a function from what it looks at to findings; it changes nothing and stops at nothing. What a check
//! proves about the design stands in ARCHITECTURE.md.

mod arrows;
mod cli_reference;
mod format_document;
mod links;
mod names;
mod rust_source;
mod settings;
mod shortcuts;
mod sizes;
mod surroundings;
mod threat_model;
mod traces;
mod tree;

use crate::checkout;
use anyhow::Result;
use std::fmt;
use std::process::ExitCode;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// A file, with a line where that helps.
    place: String,
    /// What is wrong there, and what to do.
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    let root = checkout::root()?;
    let tree = tree::Tree::load(&root)?;
    let settings = settings::Settings::parse(tree.text(settings::PATH).unwrap_or_default())?;
    let sources = rust_source::RustSource::all(&tree);
    let checks: Vec<(&str, Vec<Finding>)> = vec![
        ("dependency arrows", arrows::check(&tree, &arrows::workspace(&root)?)),
        ("sizes", sizes::check(&sources, &settings)),
        ("names and layout", names::check(&sources)),
        ("shortcuts", shortcuts::check(&sources, &settings)),
        ("surroundings", surroundings::check(&sources, &settings)),
        ("settings", settings.check(&tree)),
        ("format document", format_document::check(&tree)),
        ("threat model", threat_model::check(&tree)),
        ("links", links::check(&tree)),
        ("traces of machines", traces::check(&tree, &traces::own_paths(&root))),
        ("command reference", cli_reference::check(&root, &tree)),
    ];
    let mut broken = 0;
    for (name, findings) in &checks {
        println!("{} {name}", if findings.is_empty() { "ok    " } else { "BROKEN" });
        findings.iter().for_each(|finding| println!("         {finding}"));
        broken += findings.len();
    }
    if broken > 0 {
        println!("tidy: {broken} findings");
        return Ok(ExitCode::FAILURE);
    }
    println!("tidy: {} files, nothing to say", tree.len());
    Ok(ExitCode::SUCCESS)
}
