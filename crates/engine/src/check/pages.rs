//! Opens every page that points reach, each once, and collects the data blobs that they name.

use super::points::{Bad, Points};
use super::{CheckReport, DamagedBlobs};
use crate::error::{EngineError, Result, chain};
use crate::read::{decode, is_damage};
use crate::sorter::Sorter;
use format::BlobId;
use format::page::{Content, Extent, ImagePage, Leaf, Manifest, Node, Page, PageType, StreamLeaf, StreamNode};
use std::collections::HashSet;

/// Pages that are read together.
const TOGETHER: usize = 32;

/// Ids of data blobs, sorted.
pub(super) type DataIds = Sorter<32>;

/// What a page names.
#[derive(Default)]
struct Names {
    pages: Vec<BlobId>,
    data: Vec<BlobId>,
}

/// Checks the pages of all points.
pub(super) fn check(points: &Points<'_>, report: &mut CheckReport, damaged: &mut DamagedBlobs) -> Result<DataIds> {
    let request = points.request();
    let mut data = Sorter::new();
    let mut seen: HashSet<BlobId> = HashSet::new();
    let mut bad_points = Bad::new();
    report.points = points.each(&mut bad_points, |point, bad_points| {
        let root = point.point.root();
        if let Err(error) = point.files().map(drop)
            && is_damage(&error)
        {
            bad_points.push((point.point.id, chain(&error)));
        }
        let mut todo: Vec<BlobId> = if seen.insert(root) { vec![root] } else { Vec::new() };
        while !todo.is_empty() {
            request.cancel.check()?;
            let some = todo.split_off(todo.len().saturating_sub(TOGETHER));
            for (id, page) in some.iter().zip(point.pages.pages(&some)?) {
                match page.and_then(|page| names(&page)) {
                    Ok(names) => {
                        report.pages += 1;
                        request.progress.entries_done.add(1);
                        todo.extend(names.pages.into_iter().filter(|page| seen.insert(*page)));
                        names.data.into_iter().try_for_each(|blob| data.push(blob.0))?;
                    }
                    Err(error) if is_damage(&error) => {
                        request.progress.warnings.add(1);
                        damaged.pages.insert(*id);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    })?;
    report.bad_points = bad_points;
    Ok(data)
}

fn names(page: &Page) -> Result<Names> {
    let mut names = Names::default();
    match decode(page, |_, content| PageType::of(content))? {
        PageType::Manifest => {
            names.pages.extend(decode(page, Manifest::decode)?.parts.iter().filter_map(|part| part.root));
        }
        PageType::TreeNode => names.pages.extend(decode(page, Node::decode)?.children.iter().map(|child| child.page)),
        PageType::TreeLeaf => {
            for each in decode(page, Leaf::decode)?.entries {
                names.add_entry(&each.entry);
            }
        }
        PageType::StreamNode => {
            names.pages.extend(decode(page, StreamNode::decode)?.children.iter().map(|child| child.page));
        }
        PageType::StreamLeaf => names.add_extents(&decode(page, StreamLeaf::decode)?.extents),
        PageType::Image => {
            let image = decode(page, ImagePage::decode)?;
            let below = if image.level == 0 { &mut names.data } else { &mut names.pages };
            below.extend(image.slots.iter().flatten());
        }
    }
    if names.pages.iter().chain(&names.data).any(|id| page.links.binary_search(id).is_err()) {
        return Err(EngineError::Internal("a page names a blob that is none of its links"));
    }
    Ok(names)
}

impl Names {
    fn add_entry(&mut self, entry: &format::page::Entry) {
        match &entry.content {
            Content::Extents(extents) => self.add_extents(extents),
            Content::Stream { root } => self.pages.push(*root),
        }
        if let format::page::Attributes::Stream { root, .. } = &entry.attributes {
            self.pages.push(*root);
        }
    }

    fn add_extents(&mut self, extents: &[Extent]) {
        let mut last = None;
        for extent in extents {
            if let Extent::Data { blob, .. } = extent
                && last.replace(*blob) != Some(*blob)
            {
                self.data.push(*blob);
            }
        }
    }
}
