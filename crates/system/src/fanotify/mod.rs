//! What changes on file systems, as the kernel tells it (`fanotify(7)`, by file systems, with directory handles and names).
//!
//! Linux 5.19 or later (before, what `io_uring` writes is not told), `CAP_SYS_ADMIN` for the marks and `CAP_DAC_READ_SEARCH` to open what handles name.

mod event;
mod kernel;

#[cfg(feature = "testing")]
pub use event::testing;
pub use event::{Event, Events, FileSystemId, Handle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A queue of events of file systems.
#[derive(Debug)]
pub struct Watch {
    queue: OwnedFd,
}

impl Watch {
    /// An empty queue, of as many events as come.
    pub fn new() -> io::Result<Self> {
        let uname = rustix::system::uname();
        if !is_new_enough(&uname.release().to_string_lossy()) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this Linux is older than 5.19, and does not tell everything",
            ));
        }
        Ok(Self { queue: kernel::queue()? })
    }

    /// Watches the file system on which this is, from now on.
    pub fn file_system(&self, on: BorrowedFd<'_>) -> io::Result<()> {
        kernel::mark(self.queue.as_fd(), on)
    }

    /// Whether the file system on which this is is watched: one that was unmounted meanwhile is not any more.
    pub fn has(&self, on: BorrowedFd<'_>) -> io::Result<bool> {
        kernel::has_mark(self.queue.as_fd(), on)
    }

    /// Waits until there are events, or for so long. Whether there are.
    pub fn wait(&self, most: Duration) -> io::Result<bool> {
        let mut queues = [PollFd::new(&self.queue, PollFlags::IN)];
        let most = Timespec::try_from(most).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut queues, Some(&most)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes events that are there; none if there are none. `buffer` takes a few KiB at least.
    pub fn read<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Events<'a>> {
        loop {
            match rustix::io::read(&self.queue, &mut *buffer) {
                Ok(length) => return Ok(Events::new(&buffer[..length])),
                Err(Errno::AGAIN) => return Ok(Events::new(&[])),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether a kernel of this release tells all that its documents say.
fn is_new_enough(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5_u32, 19_u32),
        _ => false,
    }
}

/// The id that handles of a file system have.
pub fn file_system_id(on: BorrowedFd<'_>) -> io::Result<FileSystemId> {
    kernel::file_system_id(on)
}

/// The handle of what is open; none where its file system has none.
pub fn handle_of(on: BorrowedFd<'_>) -> io::Result<Option<Handle>> {
    match kernel::handle_of(on) {
        Ok(handle) => Ok(Some(handle)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens what a handle names, to look at it and not to read it. `on` is anything on the same file system.
pub fn open(on: BorrowedFd<'_>, handle: &Handle) -> io::Result<OwnedFd> {
    kernel::open(on, handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_linux_are_compared_by_their_numbers() {
        for (release, expected) in
            [("5.19.0-1-amd64", true), ("6.1.0", true), ("10.0", true), ("5.4.0-150", false), ("4.20", false), ("odd", false)]
        {
            assert_eq!(is_new_enough(release), expected, "{release}");
        }
    }

    #[test]
    fn what_a_handle_names_is_found_again_whatever_it_is_called() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("before")).unwrap();
        let directory = std::fs::File::open(place.path().join("before")).unwrap();
        let Some(handle) = handle_of(directory.as_fd()).unwrap() else { return };
        std::fs::rename(place.path().join("before"), place.path().join("after")).unwrap();
        let on = std::fs::File::open(place.path()).unwrap();
        match open(on.as_fd(), &handle) {
            Ok(opened) => {
                let path = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened))).unwrap();
                assert!(path.ends_with("after"), "{path:?}");
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
    }
}
