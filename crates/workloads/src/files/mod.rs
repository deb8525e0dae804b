//! File sets: real files of a Linux machine, in and out.

mod changed;
mod file_set;
mod journal;
mod owners;
mod restore;
mod source;
mod walk;

pub use file_set::{FileSet, FileSetOptions};
pub use journal::{Caution, Followed, Journal, Known};
pub use restore::{RestoreOptions, RestoreTarget};
