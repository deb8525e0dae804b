//! What kind of file system a path is on.

use std::io;
use std::path::Path;

/// Magic numbers of file systems on other machines, from `linux/magic.h` and the file systems' own sources.
const NETWORK: [(&str, u32); 14] = [
    ("9p", 0x0102_1997),
    ("afs", 0x5346_414f),
    ("kafs", 0x6b41_4653),
    ("beegfs", 0x1983_0326),
    ("ceph", 0x00c3_6400),
    ("cifs", 0xff53_4d42),
    ("coda", 0x7375_7245),
    ("gpfs", 0x4750_4653),
    ("lustre", 0x0bd0_0bd0),
    ("ncp", 0x0000_564c),
    ("nfs", 0x0000_6969),
    ("orangefs", 0x2003_0528),
    ("smb", 0x0000_517b),
    ("smb2", 0xfe53_4d42),
];

/// Whether a path is on a file system that is known to be on another machine. A path that is not there yet is judged by the
/// nearest directory above it that is. FUSE does not tell what is behind it and counts as local.
pub fn is_network_file_system(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = std::path::absolute(path)?;
    for there in path.ancestors() {
        match rustix::fs::statfs(there) {
            // The numbers have 32 bits; the field is wider, and signed, on some machines.
            Ok(found) => return Ok(is_network_magic(found.f_type as u32)),
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn is_network_magic(magic: u32) -> bool {
    NETWORK.iter().any(|(_, network)| *network == magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_file_systems_are_told_from_those_of_other_machines() {
        // ext4, xfs, btrfs, tmpfs, overlayfs, zfs, FUSE
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0x6573_5546] {
            assert!(!is_network_magic(local), "{local:#x}");
        }
        for (name, network) in NETWORK {
            assert!(is_network_magic(network), "{name}");
        }
        // The field is sign-extended on 64-bit machines for those with the highest bit.
        assert!(is_network_magic(0xffff_ffff_ff53_4d42_u64 as i64 as u32));
    }

    #[test]
    fn a_path_that_is_not_there_is_judged_by_what_is_above_it() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_network_file_system(directory.path()).unwrap());
        assert!(!is_network_file_system(directory.path().join("not/there/yet")).unwrap());
        assert!(!is_network_file_system("not-there-either").unwrap());
    }
}
