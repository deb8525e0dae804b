//! Walks paths and says how long that took and how much memory: `walk [--threads N] PATH…`.

use engine::source::{TreeSource, WalkEvent};
use holdfast_workloads::files::{FileSet, FileSetOptions};
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = FileSetOptions::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => options.readers = arguments.next().ok_or("a number of threads")?.parse()?,
            _ => options.roots.push(PathBuf::from(argument)),
        }
    }
    let start = Instant::now();
    let (mut entries, mut directories, mut warnings) = (0_u64, 0_u64, 0_u64);
    for event in FileSet::new(options)?.walk()? {
        match event? {
            WalkEvent::Batch(batch) => {
                entries += batch.entries.len() as u64;
                directories += 1;
            }
            WalkEvent::Warning(warning) => {
                warnings += 1;
                println!("{:?} {}: {}", warning.kind, warning.path.escape_ascii(), warning.detail);
            }
            WalkEvent::LeftOut(left_out) => println!("left out {}: {}", left_out.path.escape_ascii(), left_out.why),
        }
    }
    let took = start.elapsed();
    println!("{entries} entries in {directories} batches, {warnings} warnings, in {:.3} s", took.as_secs_f64());
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("memory unknown"));
    Ok(())
}
