//! Names in a directory.

use rustix::fs::RawDir;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

/// Bytes of names that the kernel gives at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Gives each name in a directory, without `.` and `..`, in the order of the file system. A name may come twice when the
/// directory is being changed.
pub(crate) fn list_names(directory: BorrowedFd<'_>, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut names = RawDir::new(directory, &mut buffer);
    while let Some(entry) = names.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name)?;
        }
    }
    Ok(())
}
