//! A check with keys: every page of every point opens, every link resolves, and every data blob opens if asked for.
//!
//! Each page and each data blob is read once, however many points need it. Points are pinned one at a time. Damage never ends
//! a check; it is mapped to the points and paths that it hits. The check without keys is the vault's own: [`contract::Domain::check`].

mod affected;
mod data;
mod pages;
mod points;

use crate::call::{Calls, on_thread};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::progress::Progress;
use crate::read::ReadKeys;
use contract::{Domain, PointInfo};
use format::descriptor::Descriptor;
use format::{BlobId, ItemName, PackName, PointId};
use points::Points;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Most affected paths, and most damaged blobs, that a report lists. All are counted.
pub const AFFECTED_MAX: usize = 1000;

/// A check to be done.
pub struct CheckRequest {
    /// What is checked.
    pub domain: Arc<dyn Domain>,
    /// The vault's descriptor, verified.
    pub descriptor: Arc<Descriptor>,
    /// Keys.
    pub keys: ReadKeys,
    /// The points.
    pub points: Vec<PointInfo>,
    /// Read and open every data blob too.
    pub read_data: bool,
    /// Threads that open blobs.
    pub workers: usize,
    /// Counted while it runs.
    pub progress: Progress,
    /// Stops it.
    pub cancel: Cancel,
}

/// Something that cannot be restored as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Affected {
    /// The item.
    pub item: ItemName,
    /// The point.
    pub point: PointId,
    /// Path in the point; where a part of the tree cannot be read, the path that it starts with.
    pub path: Vec<u8>,
    /// What is wrong.
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Points that were checked.
    pub points: u64,
    /// Points that cannot be trusted or not be read at all, with the reason.
    pub bad_points: Vec<(PointId, String)>,
    /// Pages that were opened.
    pub pages: u64,
    /// Data blobs that were looked up.
    pub data_blobs: u64,
    /// Data blobs that were opened.
    pub data_blobs_opened: u64,
    /// Bytes of plaintext of these.
    pub bytes_verified: u64,
    /// Bytes that were read for that.
    pub bytes_read: u64,
    /// How many blobs of a pack opened where they stand in it; of at most [`contract::CheckOptions::OPENED_MAX`] packs.
    pub opened: HashMap<PackName, u32>,
    /// Blobs of which a copy did not open although another one did.
    pub copies_damaged: u64,
    /// The first blobs of which no copy opens.
    pub damaged: Vec<BlobId>,
    /// How many there are.
    pub damaged_count: u64,
    /// The first paths that are affected, sorted.
    pub affected: Vec<Affected>,
    /// How many there are, counted in each point.
    pub affected_count: u64,
}

impl CheckReport {
    /// Whether every point can be restored whole, as far as was checked.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.bad_points.is_empty() && self.damaged_count == 0 && self.affected_count == 0
    }
}

/// How often a check begins anew because points were purged under it.
const PASSES_MAX: u32 = 3;

/// Blobs of which no copy opens.
#[derive(Default)]
pub(crate) struct DamagedBlobs {
    pub(crate) pages: HashSet<BlobId>,
    pub(crate) data: HashSet<BlobId>,
}

/// Checks points. Must be called within a multi-threaded runtime.
pub async fn run(request: CheckRequest) -> Result<CheckReport> {
    on_thread(move |runtime| {
        let calls = Calls::new(request.domain.clone(), runtime);
        let points = match Points::open(&request, &calls)? {
            Ok(points) => points,
            Err(bad_points) => return Ok(CheckReport { bad_points, ..CheckReport::default() }),
        };
        // What was purged while the check went on may be gone by now, and is nobody's damage: the others are looked at again.
        for _ in 1..PASSES_MAX {
            let (report, all_there) = check(&points)?;
            if all_there {
                return Ok(report);
            }
        }
        Ok(check(&points)?.0)
    })
    .await
}

/// Also answers whether what is damaged was needed by points that are there still, as far as that matters.
fn check(points: &Points<'_>) -> Result<(CheckReport, bool)> {
    let (mut report, mut damaged) = (CheckReport::default(), DamagedBlobs::default());
    let data = pages::check(points, &mut report, &mut damaged)?;
    data::check(points.request(), points.any(), data, &mut report, &mut damaged)?;
    report.damaged_count = (damaged.pages.len() + damaged.data.len()) as u64;
    let mut listed: Vec<BlobId> = damaged.pages.iter().chain(&damaged.data).copied().collect();
    listed.sort_unstable();
    listed.truncate(AFFECTED_MAX);
    report.damaged = listed;
    let all_there = report.damaged_count == 0 || affected::find(points, &damaged, &mut report)?;
    Ok((report, all_there))
}
