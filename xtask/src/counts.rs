//! `cargo xtask counts`: instructions of the hot paths, against those that are written down.
//!
//! Times are noisy on a busy machine, instructions are not. Counted by callgrind while `holdfast-parts` does a part for the second
//! time.

use crate::checkout::{self, Profile};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Where they are written down.
const PATH: &str = "bench/instructions.toml";
/// More than this share above what is written down is a regression. How the compiler shares the code out moves some counts by 2 or 3 %.
const TOLERANCE: f64 = 0.05;

/// What is written down.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    /// What the processor offers that libraries choose their code by: counts hold on machines of the same kind.
    machine: String,
    instructions: BTreeMap<String, u64>,
}

/// The task.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let write = match arguments {
        [] => false,
        [flag] if flag == "--write" => true,
        _ => bail!("cargo xtask counts [--write]"),
    };
    let root = checkout::root()?;
    let counted = count(&root)?;
    let path = root.join(PATH);
    if write {
        let text = toml::to_string(&counted).context("counts cannot be written as TOML")?;
        std::fs::write(
            &path,
            format!("# Instructions of the hot paths, by callgrind. Written by 'cargo xtask counts --write'.\n{text}"),
        )?;
        println!("wrote {PATH}");
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PATH}"))?;
    let written: Written = toml::from_str(&text).with_context(|| format!("{PATH} is not what 'counts --write' writes"))?;
    if written.machine != counted.machine {
        println!("not compared: counted here with {}, written down with {}", counted.machine, written.machine);
        return Ok(ExitCode::SUCCESS);
    }
    let findings = compare(&written.instructions, &counted.instructions);
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(written: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Vec<String> {
    let mut findings = Vec::new();
    for (part, now) in counted {
        let Some(before) = written.get(part) else {
            findings.push(format!("{part}: is not in {PATH}; 'cargo xtask counts --write' writes it down"));
            continue;
        };
        let ratio = *now as f64 / *before as f64;
        println!("{part:12} {now:>14}  {ratio:.3} of what is written down");
        if ratio > 1.0 + TOLERANCE {
            findings
                .push(format!("{part}: {now} instructions instead of {before}; if that is meant, 'cargo xtask counts --write'"));
        } else if ratio < 1.0 - TOLERANCE {
            println!("{part}: better than what is written down; 'cargo xtask counts --write' keeps it so");
        }
    }
    let gone = written.keys().filter(|part| !counted.contains_key(*part));
    findings.extend(gone.map(|part| format!("{part}: is in {PATH} and is no part")));
    findings
}

fn count(root: &Path) -> Result<Written> {
    let program = checkout::build_programs(root, Profile::Release, &["holdfast-parts"])?.join("holdfast-parts");
    let parts = checkout::output(&mut Command::new(&program))?;
    let mut counted = Written { machine: machine(), ..Written::default() };
    for part in parts.lines() {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*holdfast_parts::measured*"]);
        let output = valgrind.arg(&program).arg(part).output().context("cannot start valgrind; install it")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{part}: {}\n{}", output.status, said.trim_end());
        }
        let instructions = collected(&said).with_context(|| format!("callgrind counted nothing for {part}:\n{said}"))?;
        counted.instructions.insert(part.to_owned(), instructions);
    }
    Ok(counted)
}

/// From what callgrind says at its end.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?.1;
    line.trim().parse().ok().filter(|count| *count > 0)
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags: Vec<&str> = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default().split_whitespace().collect();
    let known = ["sse4_1", "aes", "avx2", "bmi2"].into_iter().filter(|flag| flags.contains(flag));
    format!("{} {}", std::env::consts::ARCH, known.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::{collected, compare};
    use std::collections::BTreeMap;

    fn counts(cut: u64) -> BTreeMap<String, u64> {
        [("cut".to_owned(), cut)].into()
    }

    #[test]
    fn the_number_is_read_from_what_callgrind_says() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 1234\n==7== \n"), Some(1234));
        assert_eq!(collected("==7== Collected : 0\n"), None);
        assert_eq!(collected("Segmentation fault"), None);
    }

    #[test]
    fn what_is_slower_than_written_down_is_found_and_noise_is_not() {
        assert!(compare(&counts(1000), &counts(1040)).is_empty());
        assert!(compare(&counts(1000), &counts(1100))[0].contains("1100 instructions instead of 1000"));
        assert!(compare(&counts(1000), &counts(900)).is_empty(), "nobody has to stay slow");
        assert_eq!(compare(&BTreeMap::new(), &counts(1)).len(), 1);
        assert_eq!(compare(&counts(1), &BTreeMap::new()).len(), 1);
    }
}
