//! Reading what a point reaches: blobs, pages and trees, every blob opened and its id computed anew.
//!
//! Invariant: nothing is handed out that does not have the id that was asked for.

mod blobs;
mod content;
mod footers;
mod keys;
mod leaves;
mod open;
mod packs;
mod pages;
mod session;
mod side_by_side;
mod tree;

pub use keys::ReadKeys;

pub(crate) use blobs::{BlobReader, Unopened, is_damage};
pub(crate) use content::{ContentReader, read_attributes};
pub(crate) use keys::KeyRing;
pub(crate) use leaves::{LeafFilter, LeafStream};
pub(crate) use open::OpenPoint;
pub(crate) use packs::{ENDED_EARLY, Fetched, PackRead, group_by_pack, start_readers};
pub(crate) use pages::{FILES_PART, PageReader, decode, files_part};
pub(crate) use side_by_side::{Pair, SideBySide};
