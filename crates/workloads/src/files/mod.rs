//! File sets: real files of a Linux machine, in and out.

mod file_set;
mod owners;
mod restore;
mod source;
mod walk;

pub use file_set::{FileSet, FileSetOptions};
pub use restore::{RestoreOptions, RestoreTarget};
