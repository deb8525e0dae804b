//! The dependency arrows between our crates: what ARCHITECTURE.md allows is all that there is.
//!
//! The allowed arrows are read from ARCHITECTURE.md, so that the picture there is the rule. That nothing which the service
//! is built from reaches `seal` is checked apart from it, through all arrows there are.

use super::Finding;
use super::tree::Tree;
use crate::checkout;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const PICTURE: &str = "ARCHITECTURE.md";
const PICTURE_BEGINS: &str = "```arrows";
/// Crates that the service is, or will be, built from.
const SERVICE: [&str; 7] = ["format", "contract", "policy", "storage", "repository", "api", "vault"];
/// What none of them may reach.
const KEYED: [&str; 3] = ["seal", "engine", "workloads"];
/// For development only: never a normal dependency.
const DEVELOPMENT: &str = "testkit";

/// A crate of ours and what it depends on.
#[derive(Debug, Default)]
pub(super) struct Crate {
    /// Its role: the package's name without `holdfast-`.
    pub(super) role: String,
    /// Our crates that it is built from (normal and build dependencies, optional ones too).
    pub(super) built_from: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// Our crates, from `cargo metadata`.
pub(super) fn workspace(root: &Path) -> Result<Vec<Crate>> {
    let mut command = Command::new(checkout::cargo());
    let text = checkout::output(command.current_dir(root).args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata = serde_json::from_str(&text).context("cannot read what cargo metadata wrote")?;
    Ok(crates(metadata))
}

fn crates(metadata: Metadata) -> Vec<Crate> {
    let of = |package: Package| {
        let ours = package.dependencies.into_iter().filter(|dependency| dependency.path.is_some());
        let built_from = ours.filter(|dependency| dependency.kind.as_deref() != Some("dev"));
        Crate { role: role(&package.name), built_from: built_from.map(|dependency| role(&dependency.name)).collect() }
    };
    metadata.packages.into_iter().map(of).collect()
}

fn role(package: &str) -> String {
    package.strip_prefix("holdfast-").unwrap_or(package).to_owned()
}

/// Arrows that are not allowed, and crates that the picture does not know.
pub(super) fn check(tree: &Tree, crates: &[Crate]) -> Vec<Finding> {
    let Some(allowed) = tree.text(PICTURE).and_then(picture) else {
        return vec![Finding::new(PICTURE, format!("has no block that begins with {PICTURE_BEGINS}"))];
    };
    let mut findings = Vec::new();
    for each in crates {
        let place = format!("crate {}", each.role);
        let Some(arrows) = allowed.get(&each.role) else {
            findings.push(Finding::new(place, format!("is not in the picture of {PICTURE}")));
            continue;
        };
        let forbidden = each.built_from.difference(arrows);
        findings.extend(forbidden.map(|other| Finding::new(&place, format!("must not depend on {other} (see {PICTURE})"))));
        if each.built_from.contains(DEVELOPMENT) {
            findings.push(Finding::new(&place, format!("must depend on {DEVELOPMENT} for development only")));
        }
    }
    findings.extend(
        SERVICE
            .iter()
            .filter_map(|role| keyed_path(role, crates))
            .map(|path| Finding::new(format!("crate {}", path[0]), format!("reaches keys: {} (invariant 1)", path.join(" → ")))),
    );
    findings
}

fn picture(text: &str) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let (_, block) = text.split_once(PICTURE_BEGINS)?;
    let (block, _) = block.split_once("```")?;
    let arrow = |line: &str| {
        let (from, to) = line.split_once('→')?;
        let to = to.split(',').map(|role| role.trim().to_owned()).filter(|role| !role.is_empty());
        Some((from.trim().to_owned(), to.collect()))
    };
    Some(block.lines().filter_map(arrow).collect())
}

/// A way from a crate to one that holds keys.
fn keyed_path(from: &str, crates: &[Crate]) -> Option<Vec<String>> {
    let mut paths = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(path) = paths.pop() {
        let end = path.last()?;
        if KEYED.contains(&end.as_str()) {
            return Some(path);
        }
        let next = crates.iter().filter(|each| each.role == *end).flat_map(|each| &each.built_from);
        for role in next.filter(|role| seen.insert((*role).clone())) {
            paths.push([path.as_slice(), std::slice::from_ref(role)].concat());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Crate, Metadata, Tree, check, crates};

    const ALLOWED: &str = "# A\n```arrows\nformat →\nseal → format\nstorage →\nrepository → format, storage, helper\nhelper → seal\n\
                           testkit → storage\n```\n";

    fn of(role: &str, built_from: &[&str]) -> Crate {
        Crate { role: role.to_owned(), built_from: built_from.iter().map(|role| (*role).to_owned()).collect() }
    }

    fn findings(crates: &[Crate]) -> Vec<String> {
        check(&Tree::of(&[("ARCHITECTURE.md", ALLOWED)]), crates).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn allowed_arrows_pass() {
        assert!(findings(&[of("format", &[]), of("seal", &["format"]), of("repository", &["format", "storage"])]).is_empty());
    }

    #[test]
    fn an_arrow_that_the_picture_does_not_have_is_found() {
        assert_eq!(findings(&[of("storage", &["format"])]), ["crate storage: must not depend on format (see ARCHITECTURE.md)"]);
    }

    #[test]
    fn a_crate_that_the_picture_does_not_have_is_found() {
        assert_eq!(findings(&[of("extra", &[])]), ["crate extra: is not in the picture of ARCHITECTURE.md"]);
    }

    #[test]
    fn a_service_crate_that_reaches_seal_through_others_is_found_even_if_the_picture_allows_it() {
        let found = findings(&[of("format", &[]), of("repository", &["helper"]), of("helper", &["seal"]), of("seal", &[])]);
        assert_eq!(found, ["crate repository: reaches keys: repository → helper → seal (invariant 1)"]);
    }

    #[test]
    fn testkit_as_a_normal_dependency_is_found() {
        let found = findings(&[of("storage", &["testkit"])]);
        assert!(found.iter().any(|finding| finding.contains("for development only")), "{found:?}");
    }

    #[test]
    fn a_missing_picture_is_found() {
        assert_eq!(check(&Tree::of(&[]), &[]).len(), 1);
    }

    #[test]
    fn development_dependencies_are_no_arrows() {
        let text = r#"{"packages": [{"name": "holdfast-storage", "dependencies": [
            {"name": "holdfast-testkit", "kind": "dev", "path": "x"},
            {"name": "holdfast-format", "kind": null, "path": "y"},
            {"name": "holdfast-seal", "kind": "build", "path": "z"},
            {"name": "tokio", "kind": null, "path": null}]}]}"#;
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        let found = crates(metadata);
        assert_eq!(found[0].role, "storage");
        assert_eq!(found[0].built_from.iter().collect::<Vec<_>>(), ["format", "seal"]);
    }
}
