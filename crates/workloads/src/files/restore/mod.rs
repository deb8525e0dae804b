//! Restoring files below a directory.
//!
//! Invariant: nothing outside the destination is created, changed or removed, whatever paths a point names and whatever
//! symlinks stand in the destination or are put there meanwhile. Paths must be plain (no empty component, `.`, `..` or
//! zero); directories are reached by steps that follow no symlink and stay beneath the destination; everything else is done
//! by an open directory and one name in it, or on what is open.
//!
//! Entries are made for their owner only and get what belongs to them in the order of [`attributes`]: owner, plain
//! attributes, mode, ACLs and capabilities, times last, and then their name ([`unfinished`]). Files that are changed where they are, if
//! that was asked for, are the exception ([`in_place`]).

mod attributes;
mod directories;
mod effort;
mod file;
mod in_place;
mod nursery;
mod past_cache;
mod target;
mod turns;
mod unfinished;

pub use target::{RestoreOptions, RestoreTarget};
