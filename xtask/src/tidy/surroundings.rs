//! What a crate may know of the machine around it.
//!
//! The simulation of `repository` repeats exactly from its seed only if nothing in that crate asks the machine for the time or
//! for randomness, except in the one place that the simulation replaces. `format`, `policy` and `seal` do no input or output. Libraries
//! know no terminal and no environment.

use super::Finding;
use super::rust_source::RustSource;
use super::settings::Settings;

struct Rule {
    crates: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const CLOCK_AND_ENTROPY: Rule = Rule {
    crates: &["policy", "repository"],
    words: &[
        "SystemTime",
        "Instant",
        "clock_gettime",
        "tokio::time",
        "thread::sleep",
        "getrandom",
        "rustix::rand",
        "system::random",
        "system::fill",
        "aws_lc_rs::rand",
        "rand::",
        "OsRng",
        "SystemRandom",
        "randomblob",
        "RandomState",
    ],
    why: "asks the machine for time or randomness: the simulation would not repeat",
};

const RULES: [Rule; 3] = [
    Rule {
        crates: &["format", "policy", "seal"],
        words: &["std::fs", "std::net", "std::env", "std::process", "std::thread", "SystemTime", "Instant", "tokio", "async fn"],
        why: "does input or output, or asks the machine: this crate only works things out",
    },
    Rule {
        crates: &["format", "contract", "policy", "seal", "storage", "repository", "engine", "workloads", "api"],
        words: &["println!", "eprintln!", "print!", "eprint!", "process::exit", "process::abort"],
        why: "talks to a terminal or ends the program: only binaries do",
    },
    Rule {
        crates: &["contract", "storage", "repository", "engine"],
        words: &["env::var", "env::var_os", "env::home_dir", "env::temp_dir", "env::args", "env::current_dir"],
        why: "reads the environment: the binary does, and passes on what it found",
    },
];

/// Findings about what crates ask of the machine. Tests and examples may ask.
pub(super) fn check(sources: &[RustSource<'_>], settings: &Settings) -> Vec<Finding> {
    let outside = |source: &&RustSource<'_>| !settings.clock_and_entropy.iter().any(|path| path == source.path);
    let timed = sources.iter().filter(outside).flat_map(|source| broken(source, &CLOCK_AND_ENTROPY));
    timed.chain(sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| broken(source, rule)))).collect()
}

fn broken(source: &RustSource<'_>, rule: &Rule) -> Vec<Finding> {
    if !rule.crates.contains(&source.krate()) || !source.path.contains("/src/") {
        return Vec::new();
    }
    let places = rule.words.iter().flat_map(|word| source.places(word).into_iter().map(move |at| (at, word)));
    let real = places.filter(|(at, _)| !source.in_tests(*at));
    real.map(|(at, word)| Finding::at(source.path, source.line(at), format!("`{word}` {}", rule.why))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{RustSource, Settings, check};

    fn findings(path: &str, text: &str) -> usize {
        let settings = Settings::parse("clock_and_entropy = [\"crates/repository/src/clock.rs\"]").unwrap();
        check(&RustSource::all(&Tree::of(&[(path, text)])), &settings).len()
    }

    #[test]
    fn time_and_randomness_in_the_repository_are_found_outside_their_place() {
        let text = "fn now() { std::time::SystemTime::now(); getrandom::fill(); system::random::<8>(); system::fill(&mut []); }";
        assert_eq!(findings("crates/repository/src/session.rs", text), 4);
        assert_eq!(findings("crates/repository/src/clock.rs", text), 0);
        assert_eq!(findings("crates/engine/src/session.rs", text), 0);
        assert_eq!(findings("crates/repository/src/a.rs", "#[cfg(test)]\nmod tests { use std::time::Instant; }"), 0);
    }

    #[test]
    fn input_and_output_in_format_or_seal_is_found() {
        assert_eq!(findings("crates/format/src/a.rs", "use std::fs::File;"), 1);
        assert_eq!(findings("crates/seal/src/a.rs", "pub async fn seal() {}"), 1);
    }

    #[test]
    fn terminals_and_environments_in_libraries_are_found() {
        assert_eq!(findings("crates/engine/src/a.rs", "fn a() { println!(); std::env::var(\"A\"); }"), 2);
        assert_eq!(findings("crates/engine/examples/a.rs", "fn a() { println!(); }"), 0);
        assert_eq!(findings("crates/holdfast/src/a.rs", "fn a() { println!(); std::env::var(\"A\"); }"), 0);
        assert_eq!(
            findings("crates/engine/src/a.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\"); write!(f, \"println!\");"),
            0
        );
    }
}
