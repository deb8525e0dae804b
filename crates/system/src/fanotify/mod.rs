//! What changes on file systems, as the kernel tells it (`fanotify(7)`, by file systems, with directory handles and names).
//!
//! Linux 5.17 or later, `CAP_SYS_ADMIN` for the marks and `CAP_DAC_READ_SEARCH` to open what handles name.

mod event;
mod kernel;

#[cfg(feature = "testing")]
pub use event::testing;
pub use event::{Event, Events, Handle};

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

/// The id that handles of a file system have.
pub fn file_system_id(on: BorrowedFd<'_>) -> io::Result<[u8; 8]> {
    kernel::file_system_id(on)
}

/// Opens what a handle names, to look at it and not to read it. `on` is anything on the same file system.
pub fn open(on: BorrowedFd<'_>, handle: &Handle) -> io::Result<OwnedFd> {
    kernel::open(on, handle)
}
