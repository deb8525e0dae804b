//! Restores many small files below a directory and says how fast that was: `restore [--threads N] DIRECTORY`.

use engine::target::{DirectoryRole, Overwrite, TreeTarget};
use format::page::{EntryKind, Metadata, Owner, Timestamp};
use holdfast_workloads::files::{RestoreOptions, RestoreTarget};
use std::io::{self, Write};
use std::time::Instant;

const DIRECTORIES: usize = 5000;
const FILES: usize = 79_000;

fn metadata(kind: EntryKind, size: u64) -> Metadata {
    Metadata {
        kind,
        mode: if kind == EntryKind::Directory { 0o755 } else { 0o644 },
        user: Owner { id: 0, name: Some(b"root".as_slice().into()) },
        group: Owner { id: 0, name: Some(b"root".as_slice().into()) },
        modified: Timestamp { seconds: 1_000_000_000, nanoseconds: 0 },
        changed: Timestamp::default(),
        inode: 1,
        names: 1,
        size,
        device: (0, 0),
    }
}

fn directory(number: usize) -> Vec<String> {
    let (a, b) = (number / 70, number % 70);
    vec![format!("top/{a:03}"), format!("top/{a:03}/sub"), format!("top/{a:03}/sub/{b:03}")]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout();
    let (mut threads, mut destination) = (2, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => threads = arguments.next().ok_or("a number of threads")?.parse()?,
            _ => destination = Some(argument),
        }
    }
    let options =
        RestoreOptions { overwrite: Overwrite::Always, ..RestoreOptions::new(destination.ok_or("a directory to restore to")?) };
    let target = RestoreTarget::new(options)?;
    let start = Instant::now();
    target.make_directory(b"top", DirectoryRole::Restored)?;
    for number in 0..DIRECTORIES {
        for path in directory(number) {
            target.make_directory(path.as_bytes(), DirectoryRole::Restored)?;
        }
    }
    let made = start.elapsed();
    let content = vec![b'x'; 3000];
    let one = &|number: usize| -> io::Result<()> {
        let path = format!("{}/a file of some name {number:06}.c", directory(number % DIRECTORIES)[2]).into_bytes();
        let metadata = metadata(EntryKind::File, content.len() as u64);
        target.place(&path, &metadata)?;
        let file = target.create_file(&path, metadata.size)?;
        file.write_at(&content, 0)?;
        file.finish(&metadata, &[])?;
        Ok(())
    };
    std::thread::scope(|scope| -> io::Result<()> {
        let start_of = |thread: usize| FILES * thread / threads;
        let workers: Vec<_> = (0..threads)
            .map(|thread| (start_of(thread)..start_of(thread + 1), one))
            .map(|(mut part, one)| scope.spawn(move || part.try_for_each(one)))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed"))))
    })?;
    let files = start.elapsed() - made;
    for number in 0..DIRECTORIES {
        for path in directory(number).iter().rev() {
            target.finish_directory(path.as_bytes(), &metadata(EntryKind::Directory, 0), &[])?;
        }
    }
    let all = start.elapsed();
    let rate = FILES as f64 / files.as_secs_f64();
    writeln!(out, "directories made {made:?}, {FILES} files {files:?} ({rate:.0} a second), all {all:?}")?;
    Ok(())
}
