//! The mounts that a file set is on.

use engine::path::is_within;
use std::collections::BTreeMap;
use std::io;

/// File systems whose changes the kernel tells whoever makes them, and whose handles last.
const KNOWN: [&str; 5] = ["ext2", "ext3", "ext4", "xfs", "tmpfs"];

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) id: u64,
    device: String,
    /// What of its file system is mounted.
    root: Vec<u8>,
    /// Path in the tree.
    pub(super) path: Vec<u8>,
    kind: String,
    /// Whether its file system tells of changes, and its handles last.
    tells: bool,
}

/// The mounts of a file set: what its paths are on, and what is mounted below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounts {
    mounts: Vec<Mount>,
}

/// The mounts of a file set with these paths in the tree.
pub(super) fn mounts_of(roots: &[Vec<u8>]) -> io::Result<Mounts> {
    let all = parse(&std::fs::read("/proc/self/mountinfo")?)?;
    // The last one on a path hides those before it.
    let visible: BTreeMap<&[u8], &Mount> = all.iter().map(|mount| (mount.path.as_slice(), mount)).collect();
    let holds = |root: &Vec<u8>| {
        let above = visible.values().filter(|mount| is_within(root, &mount.path));
        above.max_by_key(|mount| mount.path.len()).map(|mount| mount.path.clone())
    };
    let holding: Vec<Vec<u8>> = roots.iter().filter_map(holds).collect();
    let belongs = |mount: &Mount| holding.contains(&mount.path) || roots.iter().any(|root| is_within(&mount.path, root));
    Ok(Mounts { mounts: visible.into_values().filter(|mount| belongs(mount)).cloned().collect() })
}

impl Mounts {
    /// Those whose changes can be followed: of known file systems, each at one place.
    pub(super) fn followed(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter().filter(|mount| mount.tells && self.is_seen_here(mount))
    }

    /// Whether what happens on a mount's file system is looked for here: it is the only one of it, or the first that shows all of it.
    fn is_seen_here(&self, mount: &Mount) -> bool {
        let mut all = self.mounts.iter().filter(|other| other.device == mount.device);
        let first = self.mounts.iter().find(|other| other.device == mount.device && other.root == b"/");
        first.map_or_else(|| all.all(|other| other.id == mount.id), |first| first.id == mount.id)
    }

    /// The file systems of these tell nothing.
    pub(super) fn do_not_follow(&mut self, ids: &[u64]) {
        self.mounts.iter_mut().filter(|mount| ids.contains(&mount.id)).for_each(|mount| mount.tells = false);
    }

    /// Where one of both has a mount that the other does not have.
    pub(super) fn differing(&self, other: &Self) -> Vec<Vec<u8>> {
        let only = |here: &Self, there: &Self| {
            let own = here.mounts.iter().filter(|mount| !there.mounts.contains(mount));
            own.map(|mount| mount.path.clone()).collect::<Vec<_>>()
        };
        [only(self, other), only(other, self)].concat()
    }

    /// Where the others are. Views of the kernel are among them; a walk leaves them out.
    pub(super) fn not_followed(&self) -> Vec<Vec<u8>> {
        let followed: Vec<&Mount> = self.followed().collect();
        let is_covered = |mount: &Mount| followed.iter().any(|whole| whole.id == mount.id || whole.shows_the_same(mount));
        self.mounts.iter().filter(|mount| !is_covered(mount)).map(|mount| mount.path.clone()).collect()
    }
}

impl Mount {
    /// Whether another one shows at its place what would be there without it: a part of the same file system that is mounted onto itself,
    /// to be written in a place where the rest is read-only, or the other way round.
    fn shows_the_same(&self, other: &Mount) -> bool {
        let below = match self.path.is_empty() {
            true => Some(other.path.as_slice()),
            false => other.path.strip_prefix(self.path.as_slice()).and_then(|rest| rest.strip_prefix(b"/")),
        };
        self.device == other.device
            && self.root == b"/"
            && below.is_some_and(|below| other.root.strip_prefix(b"/") == Some(below))
    }
}

pub(super) fn parse(text: &[u8]) -> io::Result<Vec<Mount>> {
    let broken = || io::Error::other("/proc/self/mountinfo is not understood");
    let line = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        let text = |at: usize| fields.get(at).map(|field| String::from_utf8_lossy(field).into_owned());
        let path = unescape(fields.get(4)?);
        let kind = text(dash + 1)?;
        Some(Mount {
            id: text(0)?.parse().ok()?,
            device: text(2)?,
            root: unescape(fields.get(3)?),
            path: path.strip_prefix(b"/").unwrap_or(&path).to_vec(),
            tells: KNOWN.contains(&kind.as_str()),
            kind,
        })
    };
    text.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()).map(|text| line(text).ok_or_else(broken)).collect()
}

/// The value of an option of the file system itself, in a line of `mountinfo`.
pub(super) fn option<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let options = line.rsplit(|byte| *byte == b' ').next()?;
    options.split(|byte| *byte == b',').find_map(|option| option.strip_prefix(name)?.strip_prefix(b"="))
}

/// Blanks, tabs, line ends and backslashes stand as octal numbers.
pub(super) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let number = behind.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &behind[3..];
            }
            None => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_blanks_in_paths_and_options_of_overlays() {
        let text = b"36 35 98:0 /mnt1 /mnt2/a\\040b rw,noatime master:1 shared:2 - ext4 /dev/root rw,errors=continue\n\
                     40 35 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/var/up\\054per,workdir=/w\n";
        let mounts = parse(text).unwrap();
        assert_eq!((mounts[0].id, mounts[0].device.as_str(), mounts[0].kind.as_str()), (36, "98:0", "ext4"));
        assert_eq!((mounts[0].root.as_slice(), mounts[0].path.as_slice()), (&b"/mnt1"[..], &b"mnt2/a b"[..]));
        assert_eq!(mounts[1].path, b"");
        let line = text.split(|byte| *byte == b'\n').nth(1).unwrap();
        assert_eq!(option(line, b"upperdir").map(unescape), Some(b"/var/up,per".to_vec()));
        assert!(parse(b"nonsense\n").is_err());
    }

    fn mount(id: u64, device: &str, root: &str, path: &str, kind: &str) -> Mount {
        let (device, tells) = (device.into(), KNOWN.contains(&kind));
        Mount { id, device, root: root.as_bytes().to_vec(), path: path.as_bytes().to_vec(), kind: kind.into(), tells }
    }

    fn ids(mounts: &Mounts) -> Vec<u64> {
        mounts.followed().map(|mount| mount.id).collect()
    }

    #[test]
    fn of_a_file_system_that_is_seen_at_two_places_one_is_followed_if_it_shows_all_of_it() {
        let two_parts = [mount(2, "8:2", "/x", "a", "xfs"), mount(3, "8:2", "/y", "b", "xfs")];
        let others = [mount(1, "8:1", "/", "", "ext4"), mount(4, "0:5", "/", "n", "nfs4")];
        let mounts = Mounts { mounts: [others, two_parts].concat() };
        assert_eq!(ids(&mounts), [1]);
        assert_eq!(mounts.not_followed(), [&b"n"[..], b"a", b"b"]);
        let twice = Mounts {
            mounts: vec![
                mount(1, "8:1", "/x", "a", "ext4"),
                mount(2, "8:1", "/", "b", "ext4"),
                mount(3, "8:1", "/", "c", "ext4"),
            ],
        };
        assert_eq!(ids(&twice), [2]);
        assert_eq!(twice.not_followed(), [&b"a"[..], b"c"]);
    }

    #[test]
    fn mounts_that_came_and_went_are_told_by_their_places_and_one_that_tells_nothing_is_not_followed() {
        let before = Mounts { mounts: vec![mount(1, "8:1", "/", "", "ext4"), mount(2, "8:2", "/", "went", "xfs")] };
        let mut after = Mounts { mounts: vec![mount(1, "8:1", "/", "", "ext4"), mount(5, "8:3", "/", "came", "xfs")] };
        assert_eq!(before.differing(&after), [&b"went"[..], b"came"]);
        assert!(after.differing(&after).is_empty());
        after.do_not_follow(&[5]);
        assert_eq!((ids(&after), after.not_followed()), (vec![1], vec![b"came".to_vec()]));
    }

    #[test]
    fn a_directory_that_is_mounted_onto_itself_changes_nothing() {
        let own = |path: &str| mount(7, "8:1", &format!("/{path}"), path, "ext4");
        let mounts = Mounts {
            mounts: vec![mount(1, "8:1", "/", "", "ext4"), own("var/lib/holdfast"), mount(3, "8:1", "/srv", "else", "ext4")],
        };
        assert_eq!(ids(&mounts), [1]);
        assert_eq!(mounts.not_followed(), [b"else"]);
        let below = Mounts { mounts: vec![mount(1, "8:1", "/", "data", "ext4"), mount(2, "8:1", "/x", "data/x", "ext4")] };
        assert!(below.not_followed().is_empty());
    }
}
