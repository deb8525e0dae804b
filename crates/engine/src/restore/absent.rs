//! Which paths a point does not have: known before anything is made of it.

use super::selection::Selection;
use crate::call::{Calls, on_thread};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::path;
use crate::read::{LeafFilter, LeafStream, OpenPoint, ReadKeys};
use contract::{Domain, PointInfo};
use format::descriptor::Descriptor;
use format::page::TreeKey;
use std::sync::Arc;

/// Paths to be looked for.
pub struct AbsentRequest {
    /// Where the point is.
    pub domain: Arc<dyn Domain>,
    /// The vault's descriptor, verified.
    pub descriptor: Arc<Descriptor>,
    /// Keys.
    pub keys: ReadKeys,
    /// The point; it is verified before it is used.
    pub point: PointInfo,
    /// The paths, as [`super::RestoreOptions`] has them.
    pub paths: Vec<Vec<u8>>,
    /// Stops it.
    pub cancel: Cancel,
}

/// Those paths that the point surely does not have. Reads at most two leaves for each path; where one cannot be read, nothing is
/// sure, and the restore says what is damaged.
pub async fn absent(request: AbsentRequest) -> Result<Vec<Vec<u8>>> {
    on_thread(move |runtime| {
        let calls = Calls::new(request.domain.clone(), runtime);
        let point = OpenPoint::open(&calls, &request.descriptor, &request.keys, &request.point)?;
        let selection = Selection::new(&request.paths, 0);
        let mut left: Vec<Vec<u8>> = selection.paths().iter().filter(|path| !path.is_empty()).cloned().collect();
        let Some(root) = point.files()?.root else { return Ok(left) };
        for read in LeafStream::start(point.pages.clone(), root, filter(left.clone())) {
            request.cancel.check()?;
            let Ok(leaf) = read?.leaf else { return Ok(Vec::new()) };
            for entry in &leaf.entries {
                let found = path::join(&entry.directory, &entry.entry.name);
                left.retain(|wanted| !path::is_within(&found, wanted));
            }
            if left.is_empty() {
                break;
            }
        }
        Ok(left)
    })
    .await
}

/// The parts of a tree that hold the entry of one of the paths, or would hold the first one below it.
fn filter(paths: Vec<Vec<u8>>) -> LeafFilter {
    let places = |wanted: &Vec<u8>| {
        let slash = wanted.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = slash.map_or((&b""[..], &wanted[..]), |slash| (&wanted[..slash], &wanted[slash + 1..]));
        let key = |directory: &[u8], name: &[u8]| TreeKey { directory: directory.into(), name: name.to_vec() };
        [key(parent, name), key(wanted, b"")]
    };
    let places: Vec<TreeKey> = paths.iter().flat_map(places).collect();
    Arc::new(move |first: Option<&TreeKey>, end: Option<&TreeKey>| {
        let holds = |place: &TreeKey| first.is_none_or(|first| first <= place) && end.is_none_or(|end| place < end);
        places.iter().any(holds)
    })
}
