//! How users name points: a prefix of the id, or `latest`.

use crate::failure::{Exit, Failure, Outcome};
use crate::local::Opened;
use crate::terminal::note;
use contract::{Domain, PointFilter, PointInfo, PointState};
use engine::EngineError;
use format::{ItemName, PointId};
use std::collections::BTreeSet;

/// Least characters of a prefix that is accepted.
const PREFIX_MIN: usize = 4;
/// Least characters of a prefix that is shown.
const SHOWN_MIN: usize = 8;

/// A domain's points as this machine may see them.
pub(crate) struct Points {
    /// Those whose records are signed as they must be, oldest first.
    pub(crate) trusted: Vec<PointInfo>,
    /// The others, and why.
    pub(crate) untrusted: Vec<(PointInfo, EngineError)>,
    /// How many characters of their ids tell all points apart.
    pub(crate) shown: usize,
    /// Items that have points in the list, whatever the filter leaves out.
    with_points: BTreeSet<ItemName>,
    /// Soft-deleted ones that the filter leaves out.
    pub(crate) unlisted: usize,
    /// Of how many items the newest point is gone that this machine knew: told on standard error.
    pub(crate) gone: usize,
}

/// The points of a domain. An alarm if the vault shows less of any item than this machine has seen.
pub(crate) async fn verified_points(opened: &Opened, domain: &dyn Domain, filter: PointFilter) -> Outcome<Points> {
    // Those that cannot be trusted are told below.
    let gone = opened.check_items(domain).await?.gone;
    let all = domain.points(PointFilter { item: None, deleted: true }).await?;
    let shown = shortest_prefix(&all);
    let mut points =
        Points { trusted: Vec::new(), untrusted: Vec::new(), shown, with_points: BTreeSet::new(), unlisted: 0, gone };
    for point in all {
        if point.state == PointState::Committed {
            points.with_points.insert(point.item.clone());
        }
        if filter.item.as_ref().is_some_and(|item| *item != point.item) {
            continue;
        }
        if !filter.deleted && point.state != PointState::Committed {
            points.unlisted += 1;
            continue;
        }
        match engine::verify_point(&opened.descriptor, domain.id(), &point) {
            Ok(_) => points.trusted.push(point),
            Err(error) => points.untrusted.push((point, error)),
        }
    }
    Ok(points)
}

impl Points {
    /// Whether the filter fits no point at all, also none that is not listed.
    pub(crate) fn has_none(&self) -> bool {
        self.trusted.is_empty() && self.untrusted.is_empty() && self.unlisted == 0
    }

    /// Why there is nothing of an item.
    pub(crate) fn no_point_of(&self, item: &ItemName) -> Failure {
        no_point(Some(item), &self.with_points)
    }

    /// Says which points cannot be trusted.
    pub(crate) fn warn(&self) {
        for (point, error) in &self.untrusted {
            let id = &point.id.to_string()[..self.shown];
            note!("warning: point {id} of item {} cannot be trusted: {error}", point.item);
        }
    }

    /// The point whose id begins like this, and why it cannot be trusted, if it cannot.
    fn named(&self, name: &str) -> Outcome<(&PointInfo, Option<&EngineError>)> {
        if name.len() < PREFIX_MIN {
            return Err(Failure::new(Exit::Usage, format!("a point is named by at least {PREFIX_MIN} characters of its id")));
        }
        let trusted = self.trusted.iter().map(|point| (point, None));
        let all = trusted.chain(self.untrusted.iter().map(|(point, error)| (point, Some(error))));
        let fits: Vec<_> = all.filter(|(point, _)| point.id.to_string().starts_with(name)).collect();
        match fits.as_slice() {
            [one] => Ok(*one),
            [] => {
                Err(Failure::new(Exit::Failed, format!("there is no point '{name}'")).with_hint("'holdfast points' lists them"))
            }
            several => {
                let ids: Vec<String> = several.iter().map(|(point, _)| point.id.to_string()[..self.shown].to_owned()).collect();
                Err(Failure::new(Exit::Usage, format!("'{name}' is the beginning of several points")).with_hint(ids.join(", ")))
            }
        }
    }
}

fn shortest_prefix(points: &[PointInfo]) -> usize {
    let mut ids: Vec<String> = points.iter().map(|point| point.id.to_string()).collect();
    ids.sort_unstable();
    let common = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2).map(common).max().map_or(SHOWN_MIN, |longest| (longest + 1).max(SHOWN_MIN))
}

/// The point that the user means, which can be trusted.
pub(crate) async fn find_point(opened: &Opened, domain: &dyn Domain, name: &str, item: Option<&ItemName>) -> Outcome<PointInfo> {
    let points = verified_points(opened, domain, PointFilter { item: item.cloned(), deleted: true }).await?;
    if name == "latest" {
        points.warn();
        return latest(points, item);
    }
    match points.named(name)? {
        (point, None) => Ok(point.clone()),
        (point, Some(error)) => {
            let id = &point.id.to_string()[..points.shown];
            Err(Failure::new(Exit::Damage, format!("point {id} cannot be trusted")).because(error))
        }
    }
}

/// The point that the user means to be rid of, or to have back: also one that cannot be trusted, and by its whole id one that is
/// not listed because it was set aside.
pub(crate) async fn find_any_point(
    opened: &Opened,
    domain: &dyn Domain,
    name: &str,
    item: Option<&ItemName>,
) -> Outcome<PointId> {
    let points = verified_points(opened, domain, PointFilter { item: item.cloned(), deleted: true }).await?;
    match (name, name.parse()) {
        ("latest", _) => Ok(latest(points, item)?.id),
        // What was set aside is in no list; nobody can say of which item it is.
        (_, Ok(id)) if item.is_none() => Ok(id),
        _ => Ok(points.named(name)?.0.id),
    }
}

/// The newest point of the one item that there is. It never stands for an older one: where something newer cannot be trusted, the
/// user has to say which point is meant.
fn latest(points: Points, item: Option<&ItemName>) -> Outcome<PointInfo> {
    let Points { trusted, untrusted, shown, with_points, .. } = points;
    let is_listed = |point: &PointInfo| point.state == PointState::Committed;
    let listed: Vec<PointInfo> = trusted.into_iter().filter(is_listed).collect();
    let untrusted: Vec<_> = untrusted.into_iter().filter(|(point, _)| is_listed(point)).collect();
    let items: BTreeSet<&ItemName> =
        listed.iter().chain(untrusted.iter().map(|(point, _)| point)).map(|point| &point.item).collect();
    if items.len() > 1 {
        let items: Vec<&str> = items.iter().map(|item| item.as_str()).collect();
        return Err(
            Failure::new(Exit::Usage, "'latest' of which item?").with_hint(format!("name it with --item: {}", items.join(", ")))
        );
    }
    let newest = listed.into_iter().max_by_key(|point| point.sequence);
    let newer = untrusted.iter().max_by_key(|(point, _)| point.sequence);
    match (newest, newer) {
        (newest, Some((point, error))) if newest.as_ref().is_none_or(|newest| newest.sequence <= point.sequence) => {
            let id = &point.id.to_string()[..shown];
            let failure =
                Failure::new(Exit::Damage, format!("'latest' would be point {id} of {}, which cannot be trusted", point.item));
            let hint = match newest {
                Some(newest) => {
                    format!("name a point by its id: the newest that can be trusted is {}", &newest.id.to_string()[..shown])
                }
                None => "no point of it can be trusted; 'holdfast points' lists what there is".to_owned(),
            };
            Err(failure.because(error).with_hint(hint))
        }
        (Some(newest), _) => Ok(newest),
        (None, _) => Err(no_point(item, &with_points)),
    }
}

/// Most items that a hint names.
const NAMED_MAX: usize = 12;

fn no_point(item: Option<&ItemName>, with_points: &BTreeSet<ItemName>) -> Failure {
    let Some(item) = item else {
        return Failure::new(Exit::Failed, "there is no point yet").with_hint("'holdfast backup PATH' makes one");
    };
    let failure = Failure::new(Exit::Failed, format!("item '{item}' has no point"));
    if with_points.is_empty() {
        return failure.with_hint(format!("no item has one yet; 'holdfast backup PATH --item {item}' makes one"));
    }
    let alike = |name: &&str| name.bytes().zip(item.as_str().bytes()).take_while(|(left, right)| left == right).count();
    let mut names: Vec<&str> = with_points.iter().map(ItemName::as_str).collect();
    // The likeliest first: a list that is cut has the one that was meant.
    names.sort_by_key(|name| std::cmp::Reverse(alike(name)));
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    names.truncate(NAMED_MAX);
    failure.with_hint(format!("items with points: {}{more}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, ItemName, no_point};

    #[test]
    fn of_many_items_those_are_named_that_are_most_like_the_one_that_is_not_there() {
        let item = |name: &str| ItemName::new(name).unwrap();
        let items: BTreeSet<ItemName> = (10..30).map(|number| item(&format!("a{number}"))).chain([item("web-files")]).collect();
        let failure = no_point(Some(&item("web-flies")), &items);
        assert_eq!(failure.heading(), "item 'web-flies' has no point");
        let hint = failure.hint().unwrap();
        assert!(hint.starts_with("items with points: web-files, a10, ") && hint.ends_with(", and 9 more"), "{hint}");
    }
}
