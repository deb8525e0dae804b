//! Which points and paths damage hits.

use super::points::{Bad, Points};
use super::{AFFECTED_MAX, Affected, CheckReport, CheckRequest, DamagedBlobs};
use crate::error::Result;
use crate::path;
use crate::read::{ContentReader, LeafStream, OpenPoint, PageReader, is_damage};
use format::BlobId;
use format::page::{Attributes, Content, Entry, Extent};

/// Goes through all points again and lists what needs a damaged blob. False if some were purged meanwhile.
pub(super) fn find(points: &Points<'_>, damaged: &DamagedBlobs, report: &mut CheckReport) -> Result<bool> {
    let again = points.each(&mut Bad::new(), |point, _| find_in(points.request(), point, damaged, report))?;
    report.affected.sort();
    Ok(again == report.points)
}

fn find_in(request: &CheckRequest, point: &OpenPoint, damaged: &DamagedBlobs, report: &mut CheckReport) -> Result<()> {
    let root = match point.files() {
        Ok(part) => part.root,
        Err(error) if is_damage(&error) => {
            note(report, point, b"", "the point cannot be read".to_owned());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let Some(root) = root else { return Ok(()) };
    for read in LeafStream::start(point.pages.clone(), root, LeafStream::everything()) {
        request.cancel.check()?;
        let read = read?;
        match read.leaf {
            Ok(leaf) => {
                for each in leaf.entries {
                    if let Some(what) = why_affected(&point.pages, damaged, &each.entry)? {
                        note(report, point, &path::join(&each.directory, &each.entry.name), what.to_owned());
                    }
                }
            }
            Err(_) => {
                let first = read.first.map_or_else(Vec::new, |first| path::join(&first.directory, &first.name));
                note(report, point, &first, "a part of the tree that starts here cannot be read".to_owned());
            }
        }
    }
    Ok(())
}

fn note(report: &mut CheckReport, point: &OpenPoint, path: &[u8], what: String) {
    report.affected_count += 1;
    if report.affected.len() < AFFECTED_MAX {
        let (item, point) = (point.point.body.item.clone(), point.point.id);
        report.affected.push(Affected { item, point, path: path.to_vec(), what });
    }
}

fn why_affected(pages: &PageReader, damaged: &DamagedBlobs, entry: &Entry) -> Result<Option<&'static str>> {
    if let Attributes::Stream { root, .. } = &entry.attributes
        && stream_is_hit(pages, damaged, *root)?
    {
        return Ok(Some("its extended attributes are damaged"));
    }
    let hit = match &entry.content {
        Content::Extents(extents) => extents.iter().any(|extent| is_hit(damaged, extent)),
        Content::Stream { root } => stream_is_hit(pages, damaged, *root)?,
    };
    Ok(hit.then_some("its content is damaged"))
}

fn is_hit(damaged: &DamagedBlobs, extent: &Extent) -> bool {
    matches!(extent, Extent::Data { blob, .. } if damaged.data.contains(blob))
}

fn stream_is_hit(pages: &PageReader, damaged: &DamagedBlobs, root: BlobId) -> Result<bool> {
    if damaged.pages.contains(&root) {
        return Ok(true);
    }
    for extent in ContentReader::of_stream(pages, root) {
        match extent {
            Ok(extent) if is_hit(damaged, &extent) => return Ok(true),
            Ok(_) => {}
            Err(error) if is_damage(&error) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
