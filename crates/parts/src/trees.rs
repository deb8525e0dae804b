//! What every entry of a tree goes through.

use crate::samples::{Numbers, noise};
use crate::{Amount, Part};
use format::BlobId;
use format::page::{Attributes, Content, Entry, EntryKind, Extent, Leaf, Metadata, Owner, Timestamp, TreeEntry};
use std::sync::Arc;

const DIRECTORIES: u64 = 40;
const FILES: u64 = 20;

/// A leaf as sources have them: small files, several in a blob.
fn leaf() -> Leaf {
    let mut numbers = Numbers::new(3);
    let owner = Owner { id: 1000, name: Some(Arc::from(&b"user"[..])) };
    let mut entries = Vec::new();
    let mut blob = (blob_id(0), 0);
    for directory in 0..DIRECTORIES {
        let path: Arc<[u8]> = format!("home/user/project/module-{directory:03}").into_bytes().into();
        for file in 0..FILES {
            let size = 200 + numbers.below(20_000);
            if blob.1 + size > 512 << 10 {
                blob = (blob_id(directory * FILES + file), 0);
            }
            let seconds = 1_700_000_000 + numbers.below(10_000_000) as i64;
            let modified = Timestamp { seconds, nanoseconds: numbers.below(1_000_000_000) as u32 };
            let metadata = Metadata {
                kind: EntryKind::File,
                mode: 0o644,
                user: owner.clone(),
                group: owner.clone(),
                modified,
                changed: modified,
                inode: 1_000_000 + directory * FILES + file,
                names: 1,
                size,
                device: (0, 0),
            };
            let extent = Extent::Data { blob: blob.0, offset: blob.1 as u32, length: size as u32 };
            blob.1 += size;
            let entry = Entry {
                name: format!("source-file-{file:03}.rs").into_bytes(),
                metadata,
                attributes: Attributes::Inline(Vec::new()),
                content: Content::Extents(vec![extent]),
                target: Vec::new(),
                link_group: None,
                unsettled: false,
            };
            entries.push(TreeEntry { directory: path.clone(), entry });
        }
    }
    Leaf { entries }
}

fn blob_id(seed: u64) -> BlobId {
    BlobId(noise(seed, 32).try_into().expect("32 bytes"))
}

pub(crate) fn write() -> Part {
    let leaf = leaf();
    Part::new("tree-write", Amount::Things(DIRECTORIES * FILES), move || {
        leaf.encode().expect("a leaf can be encoded").content.len() as u64
    })
}

pub(crate) fn read() -> Part {
    let page = leaf().encode().expect("a leaf can be encoded");
    Part::new("tree-read", Amount::Things(DIRECTORIES * FILES), move || {
        Leaf::decode(&page.links, &page.content).expect("a leaf can be decoded").entries.len() as u64
    })
}
