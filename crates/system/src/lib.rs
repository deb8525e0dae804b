//! What both programs ask of the operating system for themselves: settings of the allocator, large buffers, open files,
//! randomness.

#![deny(unsafe_code)]

mod allocator;
mod buffers;
pub mod fanotify;
mod open_files;
mod random;

pub use allocator::configure_allocator;
pub use buffers::{Buffer, Buffers};
pub use open_files::raise_open_files;
pub use random::{fill, random};
