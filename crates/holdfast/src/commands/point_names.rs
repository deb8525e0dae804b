//! How users name points: a prefix of the id, or `latest`.

use crate::failure::{Exit, Failure, Outcome};
use crate::local::Opened;
use contract::{Domain, PointFilter, PointInfo, PointState};
use format::ItemName;
use std::collections::BTreeSet;

/// Least characters of a prefix that is accepted.
const PREFIX_MIN: usize = 4;
/// Least characters of a prefix that is shown.
const SHOWN_MIN: usize = 8;

/// Points whose records are signed as they must be, and how many characters of their ids tell them apart.
pub(crate) async fn verified_points(
    opened: &Opened,
    domain: &dyn Domain,
    filter: PointFilter,
) -> Outcome<(Vec<PointInfo>, usize)> {
    let all = domain.points(PointFilter { item: None, deleted: true }).await?;
    for point in &all {
        engine::verify_point(&opened.descriptor, domain.id(), point)?;
    }
    let shortest = shortest_prefix(&all);
    let wanted = |point: &PointInfo| {
        (filter.deleted || point.state == PointState::Committed) && filter.item.as_ref().is_none_or(|item| *item == point.item)
    };
    Ok((all.into_iter().filter(wanted).collect(), shortest))
}

fn shortest_prefix(points: &[PointInfo]) -> usize {
    let mut ids: Vec<String> = points.iter().map(|point| point.id.to_string()).collect();
    ids.sort_unstable();
    let common = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2).map(common).max().map_or(SHOWN_MIN, |longest| (longest + 1).max(SHOWN_MIN))
}

/// The point that the user means.
pub(crate) async fn find_point(opened: &Opened, domain: &dyn Domain, name: &str, item: Option<&ItemName>) -> Outcome<PointInfo> {
    let (points, shortest) = verified_points(opened, domain, PointFilter { item: item.cloned(), deleted: true }).await?;
    if name == "latest" {
        return latest(points);
    }
    let fits: Vec<&PointInfo> = points.iter().filter(|point| point.id.to_string().starts_with(name)).collect();
    match fits.as_slice() {
        _ if name.len() < PREFIX_MIN => {
            Err(Failure::new(Exit::Usage, format!("a point is named by at least {PREFIX_MIN} characters of its id")))
        }
        [one] => Ok((*one).clone()),
        [] => Err(Failure::new(Exit::Failed, format!("there is no point '{name}'")).with_hint("'holdfast points' lists them")),
        several => {
            let ids: Vec<String> = several.iter().map(|point| point.id.to_string()[..shortest].to_owned()).collect();
            Err(Failure::new(Exit::Usage, format!("'{name}' is the beginning of several points")).with_hint(ids.join(", ")))
        }
    }
}

fn latest(points: Vec<PointInfo>) -> Outcome<PointInfo> {
    let listed: Vec<PointInfo> = points.into_iter().filter(|point| point.state == PointState::Committed).collect();
    let items: BTreeSet<&ItemName> = listed.iter().map(|point| &point.item).collect();
    if items.len() > 1 {
        let items: Vec<&str> = items.iter().map(|item| item.as_str()).collect();
        return Err(
            Failure::new(Exit::Usage, "'latest' of which item?").with_hint(format!("name it with --item: {}", items.join(", ")))
        );
    }
    let newest = listed.into_iter().max_by_key(|point| point.sequence);
    newest.ok_or_else(|| Failure::new(Exit::Failed, "there is no point yet").with_hint("'holdfast backup PATH' makes one"))
}
