//! File systems that hold no files of anybody: views of the kernel.

use rustix::fs::{Mode, OFlags, fstatfs, openat};
use std::io;
use std::os::fd::BorrowedFd;

/// Magic numbers from the kernel's `linux/magic.h` and the file systems' sources. tmpfs and devtmpfs hold real files and
/// are not listed.
const PSEUDO: &[(u32, &str)] = &[
    (0x0000_9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0000_1cd1, "devpts"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6265_6570, "configfs"),
    (0x6573_5543, "fusectl"),
    (0x1980_0202, "mqueue"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x0000_0187, "autofs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x9584_58f6, "hugetlbfs"),
    (0x6e73_6673, "nsfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x6759_6969, "rpc_pipefs"),
    (0x6e66_7364, "nfsd"),
    (0x5a3c_69f0, "apparmorfs"),
    (0x0765_5821, "resctrl"),
    (0xabba_1974, "xenfs"),
];

/// The name of the pseudo file system that an entry of a directory is on, if it is on one.
pub(crate) fn pseudo_file_system(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<&'static str>> {
    let entry = openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let magic = fstatfs(entry)?.f_type as u32;
    Ok(PSEUDO.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn proc_is_pseudo_and_usr_is_not() {
        let slash = File::open("/").unwrap();
        assert_eq!(pseudo_file_system(slash.as_fd(), b"proc").unwrap(), Some("proc"));
        assert_eq!(pseudo_file_system(slash.as_fd(), b"usr").unwrap(), None);
    }
}
