//! What an entry is read through: open directories and files.

mod directory;
mod file;

pub(crate) use directory::{Directory, Machine};
