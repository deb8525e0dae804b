//! How much of its item is in a point: what the point says of itself, to those with keys, and what is remembered of it for those
//! without.

use crate::local::{Incomplete, Opened};
use crate::terminal::{self, note};
use api::Completeness;
use contract::{Domain, PointInfo};
use engine::backup::Findings;
use engine::{PointDetails, ReadKeys};
use std::sync::Arc;

/// So many paths of a point are named.
const PATHS_SHOWN: usize = 5;

/// Of a backup that was just made.
pub(super) fn of_findings(findings: &Findings) -> Completeness {
    of(findings.is_incomplete(), findings.warnings_count())
}

/// Of a point that was opened.
pub(super) fn of_details(details: &PointDetails) -> Completeness {
    of(details.is_incomplete(), details.warnings)
}

pub(super) fn of(lacks_a_part: bool, warnings: u64) -> Completeness {
    match warnings {
        _ if lacks_a_part => Completeness::Incomplete,
        0 => Completeness::Clean,
        _ => Completeness::Warnings,
    }
}

/// Says, and remembers, that a point is incomplete which is about to be read. What it says of itself; none where that cannot be read:
/// who reads on meets the reason.
pub(super) async fn tell(opened: &Opened, domain: &Arc<dyn Domain>, keys: &ReadKeys, point: &PointInfo) -> Option<Completeness> {
    let descriptor = Arc::new(opened.descriptor.clone());
    let details = engine::read_details(domain.clone(), descriptor, keys.clone(), point.clone()).await.ok()?;
    if details.is_incomplete() {
        let shown = details.paths.iter().take(PATHS_SHOWN).map(|path| terminal::printable(path));
        let more = details.paths.len().saturating_sub(PATHS_SHOWN) as u64 + details.paths_left_out;
        let more = (more > 0).then(|| format!("{more} more"));
        note!(
            "INCOMPLETE: point {} was to hold {}; {} could not be read, or not whole",
            &point.id.to_string()[..8],
            shown.chain(more).collect::<Vec<_>>().join(", "),
            terminal::counted(details.paths_unread, "path", "paths")
        );
        // It is only for a list.
        let _ = Incomplete::note(&opened.home, point.id);
    }
    Some(of_details(&details))
}
