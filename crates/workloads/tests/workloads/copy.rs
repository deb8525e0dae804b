//! A copy from a source to a target without anything between: what the engine does, at its simplest.

use engine::source::{LeftOut, Segment, SourceEntry, TreeSource, WalkEvent, Warning};
use engine::target::{DirectoryRole, Placement, Shortfall, TreeTarget};
use format::page::{EntryKind, Metadata, compare_paths};
use holdfast_workloads::files::{FileSet, FileSetOptions, RestoreOptions, RestoreTarget};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// What a copy came across.
#[derive(Default)]
pub(crate) struct Copied {
    pub(crate) entries: u64,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) shortfalls: Vec<(Vec<u8>, Shortfall)>,
}

/// Everything that a walk gives, in its order, checked.
#[derive(Default)]
pub(crate) struct Walked {
    pub(crate) entries: Vec<(Vec<u8>, SourceEntry)>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Directories that a walk of changes listed.
    pub(crate) listed: Vec<Vec<u8>>,
}

pub(crate) fn file_set(roots: &[&Path]) -> FileSetOptions {
    FileSetOptions { roots: roots.iter().map(|root| root.to_path_buf()).collect(), ..FileSetOptions::default() }
}

pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Walks and checks that everything comes in the order of trees, each directory after its own entry.
pub(crate) fn walk(options: FileSetOptions) -> Walked {
    let mut walked = Walked::default();
    let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
    for event in FileSet::new(options).unwrap().walk().unwrap() {
        match event.unwrap() {
            WalkEvent::Warning(warning) => walked.warnings.push(warning),
            WalkEvent::LeftOut(left_out) => walked.left_out.push(left_out),
            WalkEvent::Listed { path, .. } => walked.listed.push(path.to_vec()),
            WalkEvent::Lost => panic!("every directory can be read"),
            WalkEvent::Batch(batch) => {
                assert!(!batch.entries.is_empty() && batch.entries.len() <= 4096);
                for entry in batch.entries {
                    let key = (batch.path.to_vec(), entry.name.clone());
                    if let Some((directory, name)) = &last {
                        let order = compare_paths(directory, &key.0).then_with(|| name.cmp(&key.1));
                        assert!(order.is_lt(), "{last:?} before {key:?}");
                    }
                    walked.entries.push((join(&key.0, &key.1), entry));
                    last = Some(key);
                }
            }
        }
    }
    walked
}

/// Copies a file set below a directory.
pub(crate) fn copy(options: FileSetOptions, destination: &Path) -> Copied {
    copy_to(options, &RestoreTarget::new(RestoreOptions::new(destination)).unwrap())
}

pub(crate) fn copy_to(options: FileSetOptions, target: &RestoreTarget) -> Copied {
    let mut copied = Copied::default();
    let mut directories: Vec<(Vec<u8>, Metadata, Vec<format::page::Attribute>)> = Vec::new();
    let mut links: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for event in FileSet::new(options).unwrap().walk().unwrap() {
        let batch = match event.unwrap() {
            WalkEvent::Batch(batch) => batch,
            WalkEvent::Warning(warning) => {
                copied.warnings.push(warning);
                continue;
            }
            WalkEvent::LeftOut(left_out) => {
                copied.left_out.push(left_out);
                continue;
            }
            WalkEvent::Listed { .. } | WalkEvent::Lost => continue,
        };
        for entry in batch.entries {
            copied.entries += 1;
            let path = join(&batch.path, &entry.name);
            let metadata = entry.metadata;
            let details = batch.directory.details(&entry.name, metadata.kind).unwrap();
            assert_eq!(details.unreadable, None, "{}", path.escape_ascii());
            if metadata.kind == EntryKind::Directory {
                target.make_directory(&path, DirectoryRole::Restored).unwrap();
                directories.push((path, metadata, details.attributes));
                continue;
            }
            if target.place(&path, &metadata).unwrap() == Placement::Skip {
                continue;
            }
            if metadata.names > 1 {
                if let Some(first) = links.get(&(entry.file_system, metadata.inode)) {
                    target.make_link(first, &path).unwrap();
                    continue;
                }
                links.insert((entry.file_system, metadata.inode), path.clone());
            }
            let shortfalls = match metadata.kind {
                EntryKind::File => {
                    let source = batch.directory.open(&entry.name).unwrap();
                    let file = target.create_file(&path, metadata.size).unwrap();
                    let mut at = 0;
                    while let Some(segment) = source.segment(at).unwrap() {
                        at = copy_segment(&*source, &*file, segment).unwrap();
                    }
                    assert_eq!(at, metadata.size, "{}", path.escape_ascii());
                    file.finish(&metadata, &details.attributes).unwrap()
                }
                EntryKind::Symlink => target.make_symlink(&path, &details.target, &metadata, &details.attributes).unwrap(),
                _ => target.make_node(&path, &metadata, &details.attributes).unwrap(),
            };
            copied.shortfalls.extend(shortfalls.into_iter().map(|shortfall| (path.clone(), shortfall)));
        }
    }
    for (path, metadata, attributes) in directories.iter().rev() {
        let shortfalls = target.finish_directory(path, metadata, attributes).unwrap();
        copied.shortfalls.extend(shortfalls.into_iter().map(|shortfall| (path.clone(), shortfall)));
    }
    copied
}

fn copy_segment(
    source: &dyn engine::source::SourceFile,
    file: &dyn engine::target::TargetFile,
    segment: Segment,
) -> io::Result<u64> {
    match segment {
        Segment::Hole { offset, length } => Ok(offset + length),
        Segment::Data { offset, length } => {
            let mut buffer = vec![0; (1 << 20).min(length as usize)];
            let mut at = offset;
            while at < offset + length {
                let wanted = buffer.len().min((offset + length - at) as usize);
                let read = source.read_at(&mut buffer[..wanted], at)?;
                file.write_at(&buffer[..read], at)?;
                at += read as u64;
                if read < wanted {
                    break;
                }
            }
            Ok(offset + length)
        }
    }
}
