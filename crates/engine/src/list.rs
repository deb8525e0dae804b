//! What a point holds: the entries of a directory, or of all below it.

use crate::call::{Calls, on_thread};
use crate::cancel::Cancel;
use crate::error::{EngineError, Result, printable};
use crate::path;
use crate::read::{LeafFilter, LeafStream, OpenPoint, ReadKeys};
use contract::{Domain, PointInfo};
use format::descriptor::Descriptor;
use format::page::{Entry, TreeKey, compare_paths};
use std::cmp::Ordering;
use std::sync::Arc;

/// A list to be made.
pub struct ListRequest {
    /// Where the point is.
    pub domain: Arc<dyn Domain>,
    /// The vault's descriptor, verified.
    pub descriptor: Arc<Descriptor>,
    /// Keys.
    pub keys: ReadKeys,
    /// The point; it is verified before it is used.
    pub point: PointInfo,
    /// A directory, whose entries are listed, or anything else, which is listed itself. Empty: the root.
    pub path: Vec<u8>,
    /// List what is below directories too.
    pub recursive: bool,
    /// Stops it.
    pub cancel: Cancel,
}

/// An entry with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Path in the point.
    pub path: Vec<u8>,
    /// The entry.
    pub entry: Entry,
}

/// Gives every entry to `each`, in the order of the tree. Answers how many there were. A part of the tree that cannot be
/// read is an error after all others were given.
pub async fn run(request: ListRequest, mut each: impl FnMut(Listed) + Send + 'static) -> Result<u64> {
    on_thread(move |runtime| {
        let calls = Calls::new(request.domain.clone(), runtime);
        let point = OpenPoint::open(&calls, &request.descriptor, &request.keys, &request.point)?;
        let wanted: Vec<&[u8]> = request.path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        let wanted = wanted.join(&b'/');
        let Some(root) = point.files()?.root else { return if_found(0, wanted.is_empty(), &wanted) };
        let (mut count, mut itself, mut unreadable) = (0, None, None);
        for read in LeafStream::start(point.pages.clone(), root, filter(&wanted, request.recursive)) {
            request.cancel.check()?;
            let read = read?;
            let leaf = match read.leaf {
                Ok(leaf) => leaf,
                Err(error) => {
                    unreadable.get_or_insert(error);
                    continue;
                }
            };
            for found in leaf.entries {
                let below = if request.recursive { is_below(&found.directory, &wanted) } else { *found.directory == *wanted };
                let path = path::join(&found.directory, &found.entry.name);
                if below {
                    count += 1;
                    each(Listed { path, entry: found.entry });
                } else if path == wanted {
                    itself = Some(Listed { path, entry: found.entry });
                }
            }
        }
        if let Some(error) = unreadable {
            return Err(error);
        }
        let is_directory = |listed: &Listed| listed.entry.metadata.kind == format::page::EntryKind::Directory;
        match itself {
            Some(listed) if !is_directory(&listed) => {
                each(listed);
                Ok(1)
            }
            itself => if_found(count, itself.is_some() || wanted.is_empty() || count > 0, &wanted),
        }
    })
    .await
}

fn if_found(count: u64, found: bool, wanted: &[u8]) -> Result<u64> {
    if found { Ok(count) } else { Err(EngineError::NotFound(format!("the point has no '{}'", printable(wanted)))) }
}

fn is_below(directory: &[u8], above: &[u8]) -> bool {
    above.is_empty() || directory.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The parts of a tree that hold the entry of the path, or entries of (or below) its directory.
fn filter(wanted: &[u8], recursive: bool) -> LeafFilter {
    let wanted = wanted.to_vec();
    Arc::new(move |first: Option<&TreeKey>, end: Option<&TreeKey>| {
        let Some(first) = first else { return true };
        let slash = wanted.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = slash.map_or((&b""[..], &wanted[..]), |slash| (&wanted[..slash], &wanted[slash + 1..]));
        let before_end = |directory: &[u8], name: &[u8]| {
            end.is_none_or(|end| compare_paths(directory, &end.directory).then_with(|| name.cmp(&end.name)) == Ordering::Less)
        };
        let order = compare_paths(&first.directory, parent).then_with(|| first.name.as_slice().cmp(name));
        let entry = order != Ordering::Greater && before_end(parent, name);
        let starts_within = if recursive { is_below(&first.directory, &wanted) } else { *first.directory == *wanted };
        let content = before_end(&wanted, b"") && (starts_within || compare_paths(&first.directory, &wanted) == Ordering::Less);
        entry || content
    })
}
