//! What goes in comes out equal in every attribute.

use crate::copy::{copy, file_set, join};
use engine::source::WarningKind;
use holdfast_workloads::zoo::{self, ZooOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where a path of this machine stands below a destination.
pub(crate) fn below(destination: &Path, path: &Path) -> PathBuf {
    destination.join(path.strip_prefix("/").unwrap())
}

fn canonical(directory: &TempDir) -> PathBuf {
    directory.path().canonicalize().unwrap()
}

#[test]
fn the_zoo_comes_out_equal() {
    for place in ["/tmp", "/dev/shm"] {
        let (source, target) = (tempfile::tempdir_in(place).unwrap(), tempfile::tempdir_in(place).unwrap());
        let root = canonical(&source).join("zoo");
        std::fs::create_dir(&root).unwrap();
        let skipped = zoo::build(&root, ZooOptions::default()).unwrap();
        assert!(skipped.iter().all(|what| place == "/dev/shm" && what.contains("nosuch")), "{skipped:?}");

        let copied = copy(file_set(&[&root]), target.path());
        assert_eq!(zoo::compare(&root, &below(target.path(), &root)), Vec::<String>::new());
        assert_eq!(copied.shortfalls, []);
        assert_eq!(copied.left_out, []);
        let socket = join(&root.as_os_str().as_bytes()[1..], b"nodes/socket");
        let warnings: Vec<_> = copied.warnings.iter().map(|warning| (warning.path.clone(), warning.kind)).collect();
        assert_eq!(warnings, [(socket, WarningKind::NotKept)]);
        // The way to the root is there too, with its own attributes.
        let above = canonical(&source);
        let modes = |path: &Path| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap());
        assert_eq!(modes(&above), modes(&below(target.path(), &above)));
    }
}

#[test]
fn comparing_finds_what_differs() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    let build = |root: &Path| {
        std::fs::create_dir(root).unwrap();
        for name in ["content", "mode", "owner", "time", "hole", "kind", "missing", "link 1"] {
            std::fs::write(root.join(name), vec![7; 20_000]).unwrap();
        }
        std::fs::hard_link(root.join("link 1"), root.join("link 2")).unwrap();
        symlink("target", root.join("symlink")).unwrap();
    };
    build(&a);
    std::fs::create_dir(directory.path().join("scratch")).unwrap();
    copy(file_set(&[&a]), &directory.path().join("scratch"));
    std::fs::rename(below(&directory.path().join("scratch"), &a.canonicalize().unwrap()), &b).unwrap();
    assert_eq!(zoo::compare(&a, &b), Vec::<String>::new());

    let change = |name: &str, act: &dyn Fn(&Path)| {
        let time = std::fs::metadata(b.join(name)).and_then(|metadata| metadata.modified()).ok();
        act(&b.join(name));
        if let (Some(time), Ok(file)) = (time, std::fs::File::options().append(true).open(b.join(name))) {
            file.set_modified(time).unwrap();
        }
    };
    change("content", &|path| std::fs::write(path, [vec![7; 19_999], vec![8]].concat()).unwrap());
    change("mode", &|path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o4644)).unwrap());
    change("owner", &|path| chown(path, Some(1), None).unwrap());
    change("hole", &|path| {
        let file = std::fs::File::create(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 20_000 - 8192], 8192).unwrap();
    });
    std::fs::File::options().append(true).open(b.join("time")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    std::fs::remove_file(b.join("kind")).unwrap();
    std::fs::create_dir(b.join("kind")).unwrap();
    std::fs::remove_file(b.join("missing")).unwrap();
    std::fs::write(b.join("new"), "").unwrap();
    std::fs::copy(b.join("link 1"), b.join("link 3")).unwrap();
    std::fs::rename(b.join("link 3"), b.join("link 2")).unwrap();
    std::fs::remove_file(b.join("symlink")).unwrap();
    symlink("other", b.join("symlink")).unwrap();

    let differences = zoo::compare(&a, &b);
    for expected in [
        "./content: content differs",
        "./mode: mode: \"644\" became \"4644\"",
        "./owner: owner: (0, 0) became (1, 0)",
        "./hole: holes",
        "./time: modified",
        "./kind: kind",
        ".: missing is missing",
        ".: new was not there",
        "./link 2: is no longer the same file",
        "./symlink: target: \"target\" became \"other\"",
    ] {
        assert!(differences.iter().any(|difference| difference.starts_with(expected)), "{expected} not in {differences:#?}");
    }
    assert!(!differences.iter().any(|difference| difference.starts_with("./content: mod")), "{differences:#?}");
}

#[test]
fn a_file_that_grows_or_shrinks_meanwhile_is_read_to_its_end_at_the_time() {
    use engine::source::{Segment, SourceFile, TreeSource, WalkEvent};
    let directory = tempfile::tempdir().unwrap();
    let path = canonical(&directory).join("file");
    let open = |content: &[u8]| -> Box<dyn SourceFile> {
        std::fs::write(&path, content).unwrap();
        std::fs::File::open(&path).unwrap().sync_all().unwrap();
        let set = holdfast_workloads::files::FileSet::new(file_set(&[&path])).unwrap();
        let last = set.walk().unwrap().filter_map(|event| match event.unwrap() {
            WalkEvent::Batch(batch) => Some(batch),
            _ => None,
        });
        last.last().unwrap().directory.open(b"file").unwrap()
    };
    let append = |content: &[u8]| {
        std::io::Write::write_all(&mut std::fs::File::options().append(true).open(&path).unwrap(), content).unwrap();
    };
    let file = open(&[1; 8192]);
    assert_eq!(file.segment(0).unwrap(), Some(Segment::Data { offset: 0, length: 8192 }));
    append(&[2; 100]);
    assert_eq!(file.segment(8192).unwrap(), Some(Segment::Data { offset: 8192, length: 100 }));
    let mut buffer = [0; 9000];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 8292);
    assert_eq!(file.metadata().unwrap().size, 8292);

    let file = open(&[1; 8192]);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 10);
    assert_eq!(file.segment(8192).unwrap(), None);
    assert_eq!(file.segment(10).unwrap(), None);
    assert_eq!(file.metadata().unwrap().size, 10);

    let file = open(b"");
    assert_eq!(file.segment(0).unwrap(), None);
    append(b"late");
    assert_eq!(file.segment(0).unwrap(), Some(Segment::Data { offset: 0, length: 4 }));
    // No longer a file: not opened.
    let set = holdfast_workloads::files::FileSet::new(file_set(&[&path])).unwrap();
    let events: Vec<_> = set.walk().unwrap().map(Result::unwrap).collect();
    let Some(WalkEvent::Batch(batch)) = events.last() else { panic!("no batch") };
    std::fs::remove_file(&path).unwrap();
    assert_eq!(batch.directory.open(b"file").err().unwrap().kind(), std::io::ErrorKind::NotFound);
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    assert!(batch.directory.open(b"file").is_err());
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(batch.directory.open(b"file").is_err());
}
