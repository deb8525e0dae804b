//! Walks paths and says how long that took and how much memory: `walk [--threads N] [--details] [--read] PATH…`.
//! With `--details` it asks for the attributes of everything, with `--read` it reads all files, in one thread.

use engine::source::{Segment, SourceFile, TreeSource, WalkEvent};
use format::page::EntryKind;
use holdfast_workloads::files::{FileSet, FileSetOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let (mut details, mut read) = (false, false);
    let mut options = FileSetOptions::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => options.readers = arguments.next().ok_or("a number of threads")?.parse()?,
            "--details" => details = true,
            "--read" => read = true,
            _ => options.roots.push(PathBuf::from(argument)),
        }
    }
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    let start = Instant::now();
    let (mut entries, mut directories, mut warnings) = (0_u64, 0_u64, 0_u64);
    for event in FileSet::new(options)?.walk()? {
        match event? {
            WalkEvent::Batch(batch) => {
                entries += batch.entries.len() as u64;
                directories += 1;
                for entry in batch.entries {
                    if details {
                        batch.directory.details(&entry.name, entry.metadata.kind)?;
                    }
                    if read && entry.metadata.kind == EntryKind::File {
                        bytes += read_all(&*batch.directory.open(&entry.name)?, &mut buffer)?;
                    }
                }
            }
            WalkEvent::Listed { .. } | WalkEvent::Lost => {}
            WalkEvent::Warning(warning) => {
                warnings += 1;
                writeln!(out, "{:?} {}: {}", warning.kind, warning.path.escape_ascii(), warning.detail)?;
            }
            WalkEvent::LeftOut(left_out) => writeln!(out, "left out {}: {}", left_out.path.escape_ascii(), left_out.why)?,
        }
    }
    let took = start.elapsed();
    writeln!(
        out,
        "{entries} entries in {directories} batches, {bytes} bytes read, {warnings} warnings, in {:.3} s",
        took.as_secs_f64()
    )?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    writeln!(out, "{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("memory unknown"))?;
    Ok(())
}

fn read_all(file: &dyn SourceFile, buffer: &mut [u8]) -> std::io::Result<u64> {
    let (mut bytes, mut at) = (0, 0);
    while let Some(segment) = file.segment(at)? {
        let (Segment::Data { offset, length } | Segment::Hole { offset, length }) = segment;
        at = offset + length;
        if matches!(segment, Segment::Data { .. }) {
            let mut from = offset;
            while from < at {
                let wanted = buffer.len().min((at - from) as usize);
                let read = file.read_at(&mut buffer[..wanted], from)?;
                if read == 0 {
                    break;
                }
                from += read as u64;
                bytes += read as u64;
            }
        }
    }
    Ok(bytes)
}
