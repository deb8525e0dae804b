//! What every fuzz target checks: a parser answers any bytes with a value or an error, and a value that it answers encodes
//! to the bytes that were read.
//!
//! Checksums and signatures would keep a fuzzer out: a target writes the right ones over the input first, so that a golden
//! file is a good seed and mutations of it reach what lies behind them.

#![forbid(unsafe_code)]

mod objects;
mod pages;
mod secrets;
mod segments;

pub use objects::{claim, descriptor, enrolment, footer, inner, journal, key_object, names, pack, record, trailer, wrap};
pub use pages::{attributes, image_page, manifest, stream_leaf, stream_node, tree_leaf, tree_node};
pub use secrets::{agent_key, details, enrolment_token, kit, opened_blob, write_only_key};
pub use segments::{segment, segment_set};

/// Writes the right checksum over the last 32 bytes.
fn with_checksum(data: &[u8]) -> Option<Vec<u8>> {
    let (body, _) = data.split_last_chunk::<32>()?;
    Some([body, &format::codec::checksum(body)].concat())
}
