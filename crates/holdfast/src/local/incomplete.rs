//! Which points are known here to lack a whole part of their item: for lists, which are made without keys.
//!
//! A point says it itself, to those who can open it. This is a copy of that in the state directory, one id a line, the newest last;
//! without it a list only lacks the mark.

use super::files::{read_private, write_private};
use super::remembered::lock;
use super::vault_home::VaultHome;
use crate::failure::{Failure, Outcome};
use format::PointId;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Most points that are known.
const POINTS_MAX: usize = 10_000;
/// What is longer is no such file.
const BYTES_MAX: u64 = POINTS_MAX as u64 * 100;

/// The points that are known.
pub(crate) struct Incomplete(BTreeSet<PointId>);

impl Incomplete {
    pub(crate) fn load(home: &VaultHome) -> Self {
        Self(read(home).into_iter().collect())
    }

    pub(crate) fn contains(&self, point: PointId) -> bool {
        self.0.contains(&point)
    }

    /// Adds a point.
    pub(crate) fn note(home: &VaultHome, point: PointId) -> Outcome<()> {
        let _alone = lock(home)?;
        let path = path(home);
        let there = path.try_exists().map_err(|error| Failure::io(format!("cannot look at '{}'", path.display()), &error))?;
        // What cannot be read is left alone: it may be read again one day.
        let mut points = if there { parse(&read_private(&path, BYTES_MAX)?) } else { Vec::new() };
        points.retain(|known| *known != point);
        points.push(point);
        let text: String = points[points.len().saturating_sub(POINTS_MAX)..].iter().map(|point| format!("{point}\n")).collect();
        write_private(&path, text.as_bytes())
    }
}

fn path(home: &VaultHome) -> PathBuf {
    home.state.join("incomplete")
}

/// What is there and can be read.
fn read(home: &VaultHome) -> Vec<PointId> {
    parse(&read_private(&path(home), BYTES_MAX).unwrap_or_default())
}

fn parse(bytes: &[u8]) -> Vec<PointId> {
    String::from_utf8_lossy(bytes).lines().filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_be_incomplete_is_kept_each_once_and_damage_only_forgets() {
        let directory = tempfile::tempdir().unwrap();
        let home = VaultHome { config: directory.path().join("config"), state: directory.path().join("state") };
        let known = || [1, 2, 3].map(|number| Incomplete::load(&home).contains(PointId([number; 32])));
        assert_eq!(known(), [false, false, false]);
        [1, 2, 1].into_iter().for_each(|number| Incomplete::note(&home, PointId([number; 32])).unwrap());
        assert_eq!(known(), [true, true, false]);
        assert_eq!(read(&home).len(), 2);
        write_private(&path(&home), b"\xff\x00 no id").unwrap();
        assert_eq!(known(), [false, false, false]);
        Incomplete::note(&home, PointId([3; 32])).unwrap();
        assert_eq!(known(), [false, false, true]);
    }

    #[test]
    fn of_more_points_than_are_kept_the_newest_are() {
        let directory = tempfile::tempdir().unwrap();
        let home = VaultHome { config: directory.path().join("config"), state: directory.path().join("state") };
        let point = |number: u16| PointId([number.to_le_bytes(); 16].concat().try_into().unwrap());
        let all: String = (0..POINTS_MAX as u16).map(|number| format!("{}\n", point(number))).collect();
        write_private(&path(&home), all.as_bytes()).unwrap();
        Incomplete::note(&home, point(20_000)).unwrap();
        let known = Incomplete::load(&home);
        assert_eq!([0, 1, 20_000].map(|number| known.contains(point(number))), [false, true, true]);
    }
}
