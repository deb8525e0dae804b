//! The engine against real vaults in directories, with file sets in memory and on disk.

#![allow(clippy::unwrap_used, clippy::type_complexity, unreachable_pub)]

mod backups;
mod changes;
mod checks;
mod damage;
mod interruptions;
mod journal;
mod listings;
mod memory_source;
mod memory_target;
mod real_files;
mod restores;
mod scale;
mod searches;
mod shapes;
mod trust;
mod vault;
