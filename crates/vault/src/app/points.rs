//! Lists of points, a page at a time.

use api::limits::POINTS_PAGE_MAX;
use api::{Point, PointList, PointsQuery};
use contract::{Domain, Error, ErrorKind, PointFilter, Result};

/// Most bytes of records in a page; it has one point at least.
const PAGE_BYTES: usize = 32 << 20;

/// The page behind `after`. `Conflict` if that point is no longer in the list.
pub(crate) async fn page(domain: &dyn Domain, query: PointsQuery) -> Result<PointList> {
    let limit = query.limit.unwrap_or(POINTS_PAGE_MAX);
    if !(1..=POINTS_PAGE_MAX).contains(&limit) {
        return Err(Error::new(ErrorKind::Invalid, format!("limit is 1 to {POINTS_PAGE_MAX}")));
    }
    let all = domain.points(PointFilter { item: query.item, deleted: query.deleted }).await?;
    let start = match query.after {
        None => 0,
        Some(after) => {
            let place = all.iter().position(|point| point.id == after);
            1 + place.ok_or_else(|| Error::new(ErrorKind::Conflict, "the point that the list should go on from is not in it"))?
        }
    };
    let left = all.len().saturating_sub(start);
    let mut bytes = 0;
    let fits = |point: &contract::PointInfo| {
        let first = bytes == 0;
        bytes += point.record.len() + 1;
        first || bytes <= PAGE_BYTES
    };
    let points: Vec<Point> = all.into_iter().skip(start).take(limit).take_while(fits).map(Point::from).collect();
    Ok(PointList { more: points.len() < left, points })
}
