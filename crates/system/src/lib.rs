//! What both programs ask of the operating system for themselves: settings of the allocator, large and aligned buffers, open files,
//! randomness, priorities of threads.

#![deny(unsafe_code)]

mod aligned;
mod allocator;
mod buffers;
mod crew;
pub mod fanotify;
mod open_files;
mod priority;
mod random;

pub use aligned::{Aligned, AlignedPool, BLOCK_BYTES};
pub use allocator::configure_allocator;
pub use buffers::{Buffer, Buffers};
pub use crew::{Crew, Membership, Priorities, Priority, spawn};
pub use open_files::raise_open_files;
pub use random::{fill, random};
