//! The way that the kernel goes to a path: every directory and every symlink on it, where they really are.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The kernel follows no more symlinks on one way (path_resolution(7)).
const SYMLINKS_MAX: usize = 40;

/// What stands on the way to a path, from `/` on and itself last: directories, symlinks, and what each of those leads through. Where something
/// is missing the way ends with what would come next by its name, and why.
pub(super) fn way_to(path: &Path) -> (Vec<PathBuf>, io::Result<()>) {
    let mut way = vec![PathBuf::from("/")];
    let mut at = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = steps(path);
    let mut symlinks = 0;
    while let Some(step) = ahead.pop_front() {
        if step == ".." {
            at.pop();
            continue;
        }
        let next = at.join(step);
        way.push(next.clone());
        let target = match std::fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_symlink() => std::fs::read_link(&next),
            Ok(_) => {
                at = next;
                continue;
            }
            Err(error) => Err(error),
        };
        symlinks += 1;
        let target = match target {
            Ok(target) if symlinks <= SYMLINKS_MAX => target,
            Ok(_) => return (way, Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()))),
            Err(error) => {
                way.push(ahead.iter().fold(next, |path, step| path.join(step)));
                return (way, Err(error));
            }
        };
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        let mut further = steps(&target);
        further.append(&mut ahead);
        ahead = further;
    }
    (way, Ok(()))
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let step = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_symlink_of_a_chain_and_what_it_leads_through_stands_on_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for made in ["bin", "opt/v1/bin", "links"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        fs::write(root.join("opt/v1/bin/freeze"), "").unwrap();
        symlink("v1", root.join("opt/current")).unwrap();
        symlink("../links/freeze", root.join("bin/freeze")).unwrap();
        symlink(root.join("opt/current/bin/freeze"), root.join("links/freeze")).unwrap();
        let (way, end) = way_to(&root.join("bin/freeze"));
        end.unwrap();
        for place in ["bin/freeze", "links/freeze", "opt/current", "opt/v1", "opt/v1/bin/freeze"] {
            assert!(way.contains(&root.join(place)), "{place}: {way:?}");
        }
        assert_eq!(way.last().unwrap(), &root.join("opt/v1/bin/freeze"));
    }

    #[test]
    fn a_way_that_ends_early_or_never_is_no_way_and_says_how_far_it_went() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (way, end) = way_to(&root.join("gone/below"));
        assert!(end.is_err() && way.contains(&root.join("gone/below")), "{way:?}");
        symlink("loop", root.join("loop")).unwrap();
        assert!(way_to(&root.join("loop")).1.is_err());
    }
}
