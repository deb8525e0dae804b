//! What a walk gives and what it leaves out.

use crate::copy::{Walked, file_set, walk};
use engine::source::{TreeSource, WalkEvent, WarningKind};
use format::page::EntryKind;
use holdfast_workloads::files::{FileSet, FileSetOptions};
use holdfast_workloads::zoo::{self, ZooOptions};
use rustix::fs::{AtFlags, linkat};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A temporary directory under its real path.
pub(crate) struct Ground {
    _directory: TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn ground() -> Ground {
    ground_in("/tmp")
}

/// A file system in memory, for many files.
pub(crate) const MEMORY: &str = "/dev/shm";

pub(crate) fn ground_in(place: &str) -> Ground {
    let directory = tempfile::tempdir_in(place).unwrap();
    let path = directory.path().canonicalize().unwrap();
    Ground { _directory: directory, path }
}

impl Ground {
    pub(crate) fn plant(&self, paths: &[&str]) {
        for path in paths {
            let full = self.path.join(path.trim_end_matches('/'));
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            if path.ends_with('/') { fs::create_dir_all(full).unwrap() } else { fs::write(full, path).unwrap() }
        }
    }

    /// Path in the tree, as text.
    fn tree(&self, path: &str) -> String {
        let root = self.path.strip_prefix("/").unwrap().to_str().unwrap();
        if path.is_empty() { root.into() } else { format!("{root}/{path}") }
    }

    /// Paths below the ground that a walk gave.
    fn below(&self, walked: &Walked) -> Vec<String> {
        let paths = walked.entries.iter().map(|(path, _)| String::from_utf8_lossy(path).into_owned());
        paths.filter_map(|path| path.strip_prefix(&(self.tree("") + "/")).map(str::to_owned)).collect()
    }

    fn left_out(&self, walked: &Walked) -> Vec<(String, String)> {
        let start = self.tree("") + "/";
        let path = |path: &[u8]| String::from_utf8_lossy(path).strip_prefix(&start).unwrap().to_owned();
        walked.left_out.iter().map(|left_out| (path(&left_out.path), left_out.why.clone())).collect()
    }
}

/// Every path below a directory by way of the standard library.
fn all_below(directory: &Path) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            all.insert(entry.path().as_os_str().as_bytes()[1..].to_vec());
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    all
}

#[test]
fn every_entry_comes_once_and_in_order_with_any_number_of_threads() {
    let ground = ground_in(MEMORY);
    zoo::build(&ground.path, ZooOptions { deep: false, socket: false, large_directory: 5500 }).unwrap();
    for a in 0..12 {
        for b in 0..12 {
            ground.plant(&[&format!("wide/{a}/{b}/file"), &format!("wide/{a}/{b}/{a}{b}/")]);
        }
    }
    let expected = all_below(&ground.path);
    for readers in [1, 2, 5, 32] {
        let walked = walk(FileSetOptions { readers, ..file_set(&[&ground.path]) });
        assert!(walked.warnings.is_empty() && walked.left_out.is_empty());
        let mut found: BTreeSet<_> = walked.entries.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(found.len(), walked.entries.len());
        let ancestors: Vec<_> = ground.path.ancestors().filter(|path| *path != Path::new("/")).collect();
        for path in ancestors {
            assert!(found.remove(&path.as_os_str().as_bytes()[1..]), "{path:?}");
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn metadata_is_what_stat_tells() {
    use std::os::unix::fs::MetadataExt;
    let ground = ground();
    zoo::build(&ground.path, ZooOptions { deep: false, socket: false, large_directory: 3 }).unwrap();
    for (path, entry) in walk(file_set(&[&ground.path])).entries {
        let stat = fs::symlink_metadata(Path::new("/").join(std::ffi::OsStr::from_bytes(&path))).unwrap();
        let metadata = entry.metadata;
        let shown = path.escape_ascii().to_string();
        assert_eq!(u32::from(metadata.mode), stat.mode() & 0o7777, "{shown}");
        assert_eq!((metadata.user.id, metadata.group.id), (stat.uid(), stat.gid()), "{shown}");
        assert_eq!(
            (metadata.inode, entry.file_system, u64::from(metadata.names)),
            (stat.ino(), stat.dev(), stat.nlink()),
            "{shown}"
        );
        assert_eq!(
            (metadata.modified.seconds, i64::from(metadata.modified.nanoseconds)),
            (stat.mtime(), stat.mtime_nsec()),
            "{shown}"
        );
        assert_eq!(
            (metadata.changed.seconds, i64::from(metadata.changed.nanoseconds)),
            (stat.ctime(), stat.ctime_nsec()),
            "{shown}"
        );
        let is_sized = stat.is_file() || stat.is_symlink();
        assert_eq!(metadata.size, if is_sized { stat.size() } else { 0 }, "{shown}");
        assert_eq!(metadata.user.name.as_deref() == Some(b"root"), stat.uid() == 0, "{shown}");
        let since = entry.observed_ns - (i128::from(stat.ctime()) * 1_000_000_000 + i128::from(stat.ctime_nsec()));
        assert!(since > 0, "{shown} was observed before its last change");
    }
}

#[test]
fn the_way_to_a_root_holds_nothing_else_and_nested_roots_are_one() {
    let ground = ground();
    ground.plant(&["a/b/c/file", "a/b/other", "a/beside", "x/y/file", "z"]);
    let root = |path: &str| ground.path.join(path);
    let walked = walk(file_set(&[&root("a/b/c"), &root("x"), &root("a/b/c/file"), &root("x"), &root("x/y")]));
    assert_eq!(ground.below(&walked), ["a", "x", "a/b", "a/b/c", "a/b/c/file", "x/y", "x/y/file"]);
    let whole = walk(file_set(&[&root("a"), &root("a/b")]));
    assert_eq!(ground.below(&whole), ["a", "a/b", "a/beside", "a/b/c", "a/b/other", "a/b/c/file"]);
}

#[test]
fn a_root_may_be_a_file_or_a_symlink_but_not_missing() {
    let ground = ground();
    ground.plant(&["real/file", "real/deep/file", "beside"]);
    symlink("real", ground.path.join("link")).unwrap();
    let kept = |path: &str| {
        let walked = walk(file_set(&[&ground.path.join(path)]));
        let last = walked.entries.last().unwrap().1.metadata.kind;
        (ground.below(&walked), last)
    };
    assert_eq!(kept("real/file"), (vec!["real".into(), "real/file".into()], EntryKind::File));
    assert_eq!(kept("link"), (vec!["link".into()], EntryKind::Symlink));
    assert_eq!(kept("link/deep").0, ["real", "real/deep", "real/deep/file"]);
    assert_eq!(kept("link/").0, ["real", "real/deep", "real/file", "real/deep/file"]);

    let set = FileSet::new(file_set(&[&ground.path.join("beside"), &ground.path.join("real/soon gone")])).unwrap();
    let error = set.walk().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("soon gone"), "{error}");
    assert!(FileSet::new(file_set(&[&ground.path.join("missing/below")])).is_err());
    assert!(FileSet::new(FileSetOptions::default()).is_err());
}

#[test]
fn patterns_leave_out_what_they_match_except_what_a_root_names() {
    let ground = ground();
    ground.plant(&["keep.txt", "x.o", "build/out", "src/build/x", "src/main.c", "src/keep.o", "cache/a/file", "cache/b"]);
    let options = |roots: &[&Path]| FileSetOptions {
        excludes: vec!["*.o".into(), "build/".into(), format!("/{}", ground.tree("cache")), "!keep.o".into()],
        ..file_set(roots)
    };
    let walked = walk(options(&[&ground.path]));
    assert_eq!(ground.below(&walked), ["keep.txt", "src", "src/keep.o", "src/main.c"]);
    let left_out: Vec<_> = ground.left_out(&walked).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left_out, ["build", "cache", "x.o", "src/build"]);
    assert!(walked.left_out.iter().all(|left_out| left_out.why.starts_with("excluded by")));

    // A root within what is excluded stays, with its way.
    let walked = walk(options(&[&ground.path, &ground.path.join("cache/a"), &ground.path.join("x.o")]));
    assert_eq!(ground.below(&walked), ["cache", "keep.txt", "src", "x.o", "cache/a", "cache/a/file", "src/keep.o", "src/main.c"]);
    let walked = walk(options(&[&ground.path.join("cache")]));
    assert_eq!(ground.below(&walked), ["cache", "cache/a", "cache/b", "cache/a/file"]);

    let walked = walk(FileSetOptions { includes: vec!["x.o".into()], ..options(&[&ground.path]) });
    assert!(ground.below(&walked).contains(&"x.o".into()));
}

#[test]
fn the_vault_is_left_out_even_where_a_root_names_it() {
    let ground = ground();
    ground.plant(&["data/file", "vault/pack", "state/later/"]);
    symlink("vault", ground.path.join("link to vault")).unwrap();
    let options = |roots: &[&Path]| FileSetOptions {
        skip: vec![ground.path.join("link to vault"), ground.path.join("state/later"), ground.path.join("not there")],
        ..file_set(roots)
    };
    for roots in [vec![ground.path.clone()], vec![ground.path.clone(), ground.path.join("vault/pack")]] {
        let walked = walk(options(&roots.iter().map(PathBuf::as_path).collect::<Vec<_>>()));
        assert_eq!(ground.below(&walked), ["data", "link to vault", "state", "data/file"]);
        let left_out: Vec<_> = ground.left_out(&walked).into_iter().map(|(path, _)| path).collect();
        assert_eq!(left_out, ["vault", "state/later"]);
    }
}

#[test]
fn caches_and_nodump_are_left_out_on_demand() {
    let ground = ground();
    ground.plant(&["cache/file", "cache/sub/file", "no cache/CACHEDIR.TAG", "no cache/file", "secret/file", "plain"]);
    fs::write(ground.path.join("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n# a comment").unwrap();
    let chattr = Command::new("chattr").arg("+d").arg(ground.path.join("secret")).status();
    let has_nodump = chattr.is_ok_and(|status| status.success());

    let walked = walk(file_set(&[&ground.path]));
    assert_eq!(walked.left_out, []);
    let walked = walk(FileSetOptions { exclude_caches: true, exclude_nodump: true, ..file_set(&[&ground.path]) });
    let below = ground.below(&walked);
    assert!(below.contains(&"cache/CACHEDIR.TAG".into()) && below.contains(&"no cache/file".into()));
    assert!(!below.contains(&"cache/file".into()) && !below.contains(&"cache/sub".into()));
    assert_eq!(below.contains(&"secret".into()), !has_nodump);
    assert!(ground.left_out(&walked).contains(&("cache".into(), "content of a cache directory (CACHEDIR.TAG)".into())));
}

/// Something mounted until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(kind: &str, source: &Path, on: &Path) -> Option<Self> {
        let arguments = if kind == "bind" { vec!["--bind"] } else { vec!["-t", kind] };
        let status = Command::new("mount").args(arguments).arg(source).arg(on).status();
        status.is_ok_and(|status| status.success()).then(|| Self(on.to_path_buf()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn pseudo_file_systems_are_left_out_and_others_only_on_demand() {
    let ground = ground();
    ground.plant(&["proc/", "tmp/", "bound/", "from/file", "bound file"]);
    let on = |name: &str| ground.path.join(name);
    let mounts = [
        Mounted::new("proc", Path::new("proc"), &on("proc")),
        Mounted::new("tmpfs", Path::new("none"), &on("tmp")),
        Mounted::new("bind", &on("from"), &on("bound")),
        Mounted::new("bind", Path::new("/proc/version"), &on("bound file")),
    ];
    if mounts.iter().any(Option::is_none) {
        eprintln!("mounting is not allowed here: nothing was tested");
        return;
    }
    ground.plant(&["tmp/file"]);
    let walked = walk(file_set(&[&ground.path]));
    // Mount points stay; what is bound from the same file system is not another one.
    assert_eq!(ground.below(&walked), ["bound", "from", "proc", "tmp", "bound/file", "from/file", "tmp/file"]);
    let pseudo = [("bound file", "a pseudo file system (proc)"), ("proc", "a pseudo file system (proc)")];
    assert_eq!(ground.left_out(&walked), pseudo.map(|(path, why)| (path.to_owned(), why.to_owned())));

    let walked = walk(FileSetOptions { one_file_system: true, ..file_set(&[&ground.path]) });
    assert_eq!(ground.below(&walked), ["bound", "from", "proc", "tmp", "bound/file", "from/file"]);
    assert!(ground.left_out(&walked).contains(&("tmp".into(), "another file system".into())));
    // A root on the other file system is meant.
    let walked = walk(FileSetOptions { one_file_system: true, ..file_set(&[&ground.path, &on("tmp/file")]) });
    assert!(ground.below(&walked).contains(&"tmp/file".into()));
    let error = FileSet::new(file_set(&[&on("proc")])).unwrap().walk().err().unwrap();
    assert!(error.to_string().contains("pseudo"), "{error}");
}

#[test]
fn a_walk_may_be_left_at_any_time() {
    let ground = ground_in(MEMORY);
    zoo::build(&ground.path, ZooOptions { deep: false, socket: false, large_directory: 9000 }).unwrap();
    for taken in [0, 1, 2, 5, 11] {
        let set = FileSet::new(file_set(&[&ground.path])).unwrap();
        assert_eq!(set.walk().unwrap().take(taken).count(), taken.min(11));
    }
}

#[test]
fn what_comes_and_goes_meanwhile_is_a_warning_at_most() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let ground = ground();
    ground.plant(&["stays/file"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                for n in 0..200 {
                    ground.plant(&[&format!("changing/{n}/{round}/file"), &format!("changing/file {n}")]);
                }
                for n in 0..200 {
                    let _ = fs::remove_dir_all(ground.path.join(format!("changing/{n}")));
                    let _ = symlink("..", ground.path.join(format!("changing/{n}")));
                    let _ = fs::remove_file(ground.path.join(format!("changing/file {n}")));
                }
                let _ = fs::remove_dir_all(ground.path.join("changing"));
            }
        });
        for _ in 0..60 {
            let walked = walk(file_set(&[&ground.path]));
            assert!(ground.below(&walked).contains(&"stays/file".into()));
            assert!(walked.warnings.iter().all(|warning| warning.kind == WarningKind::Vanished), "{:?}", walked.warnings);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn open_files_stay_few_however_many_directories_are_held() {
    let ground = ground_in(MEMORY);
    for n in 0..6000 {
        ground.plant(&[&format!("{}/{n}/file", n % 7)]);
    }
    let mut held = Vec::new();
    let mut most = 0;
    for event in FileSet::new(file_set(&[&ground.path])).unwrap().walk().unwrap() {
        if let WalkEvent::Batch(batch) = event.unwrap() {
            if batch.entries[0].name == b"file" {
                batch.directory.details(b"file", EntryKind::File).unwrap();
            }
            held.push(batch);
            if held.len() % 100 == 0 {
                most = most.max(fs::read_dir("/proc/self/fd").unwrap().count());
            }
        }
    }
    assert!(held.len() > 6000);
    assert!(most < 2300, "{most} open files");
    let last = held.iter().rev().find(|batch| batch.entries[0].name == b"file").unwrap();
    let mut content = vec![0; 100];
    let read = last.directory.open(b"file").unwrap().read_at(&mut content, 0).unwrap();
    assert!(content[..read].ends_with(b"/file"));
}

#[test]
fn a_directory_that_was_replaced_does_not_serve_another_ones_files() {
    let ground = ground_in(MEMORY);
    // More directories than may stay open, so that the last ones are opened anew.
    for n in 0..3000 {
        ground.plant(&[&format!("{n:05}/file")]);
    }
    let events: Vec<_> = FileSet::new(file_set(&[&ground.path])).unwrap().walk().unwrap().map(Result::unwrap).collect();
    fs::rename(ground.path.join("02999"), ground.path.join("old")).unwrap();
    ground.plant(&["02999/file"]);
    let last = events.iter().rev().find_map(|event| match event {
        WalkEvent::Batch(batch) => Some(batch),
        _ => None,
    });
    assert_eq!(last.unwrap().directory.open(b"file").err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn a_directory_with_a_million_entries_is_walked_in_little_memory() {
    // On a file system in memory: this is about ours.
    let ground = ground_in(MEMORY);
    ground.plant(&["one file"]);
    let directory = fs::File::open(&ground.path).unwrap();
    for n in 0..1_000_000_u32 {
        let name = format!("one of many names of some length {:08x}", n.wrapping_mul(2_654_435_761));
        linkat(&directory, "one file", &directory, name, AtFlags::empty()).unwrap();
    }
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory_kib();
    let mut entries = 0;
    for event in FileSet::new(file_set(&[&ground.path])).unwrap().walk().unwrap() {
        match event.unwrap() {
            WalkEvent::Batch(batch) => entries += batch.entries.len(),
            _ => panic!("nothing goes wrong here"),
        }
    }
    assert_eq!(entries, 1_000_001 + ground.path.components().count() - 1);
    let grown = memory_kib() - before;
    assert!(grown < 80 << 10, "{grown} KiB");
}

#[test]
fn a_chain_of_thousands_of_directories_is_walked_with_few_open_files_and_little_memory() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let ground = ground_in(MEMORY);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, &ground.path, flags, Mode::empty()).unwrap();
    let (levels, name) = (2500, "n".repeat(200));
    for _ in 0..levels {
        mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        // Siblings before and behind, which wait while the walk goes down.
        mkdirat(&at, "a", Mode::RWXU).unwrap();
        mkdirat(&at, "z", Mode::RWXU).unwrap();
        at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    drop(at);
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory_kib();
    let mut entries = 0;
    let mut open_files = 0;
    for event in FileSet::new(file_set(&[&ground.path])).unwrap().walk().unwrap() {
        let WalkEvent::Batch(batch) = event.unwrap() else { panic!("nothing goes wrong here") };
        entries += batch.entries.len();
        if batch.path.len() > 10_000 {
            batch.directory.details(b"a", EntryKind::Directory).unwrap();
        }
        open_files = open_files.max(fs::read_dir("/proc/self/fd").unwrap().count());
    }
    assert_eq!(entries, 3 * levels + ground.path.components().count() - 1);
    let grown = memory_kib() - before;
    assert!(open_files < 2300, "{open_files} open files");
    assert!(grown < 80 << 10, "{grown} KiB");
}

/// Most memory that this process used since that was reset.
fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_path_of_which_nothing_is_kept_is_told_unless_it_is_always_left_out_beside_others() {
    let ground = ground();
    ground.plant(&["kept/file", "vault/inside/file", "other/file"]);
    let _listener = std::os::unix::net::UnixListener::bind(ground.path.join("socket")).unwrap();
    let told_of = |names: &[&str]| {
        let roots = names.iter().map(|name| ground.path.join(name)).collect();
        let walked = walk(FileSetOptions { roots, skip: vec![ground.path.join("vault")], ..FileSetOptions::default() });
        let unreadable = walked.warnings.iter().filter(|warning| warning.kind == WarningKind::Unreadable);
        let told: Vec<String> = unreadable.map(|warning| String::from_utf8_lossy(&warning.path).into_owned()).collect();
        (ground.below(&walked), told)
    };
    let kept = vec!["kept".to_owned(), "kept/file".to_owned()];
    assert_eq!(told_of(&["kept", "vault", "vault/inside", "socket"]), (kept, vec![ground.tree("socket")]));
    assert_eq!(told_of(&["vault", "vault/inside"]), (vec![], vec![ground.tree("vault"), ground.tree("vault/inside")]));
}
