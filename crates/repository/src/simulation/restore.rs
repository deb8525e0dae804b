//! A restore: reads everything that a point reaches, and verifies it.

use super::backup::patiently;
use super::content::opens;
use super::world::World;
use crate::repository::Repository;
use contract::{Domain, Error, ErrorKind, Location, PointInfo, Result};
use format::blob::BlobKind;
use format::pack::Footer;
use format::record::SignedRecord;
use format::{BlobId, SessionId};
use std::collections::BTreeSet;
use testkit::Rng;

/// How often a blob is located again because its pack was rewritten.
const LOOKS: usize = 6;

/// Reads a point whole, with pauses. An outer error says that reading could not begin: the point may be purged by now.
pub(super) async fn restore(
    world: &World,
    repository: &Repository,
    point: &PointInfo,
    pause: f64,
    rng: &mut Rng,
) -> Result<Result<()>> {
    let session = patiently(world, || repository.open_reader(point.id)).await?;
    let outcome = read_all(world, repository, session, point, pause, rng).await;
    let _ = repository.close_reader(session).await;
    Ok(outcome)
}

async fn read_all(
    world: &World,
    repository: &Repository,
    session: SessionId,
    point: &PointInfo,
    pause: f64,
    rng: &mut Rng,
) -> Result<()> {
    let record = SignedRecord::parse(&point.record)?;
    patiently(world, || repository.key_object(record.body.key)).await?;
    let mut todo = vec![record.body.root];
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        todo.extend(patiently(world, || read_blob(repository, session, id)).await?);
        if rng.chance(pause) {
            world.simulation.time().sleep_ms(1 + rng.below(60)).await;
        }
    }
    Ok(())
}

/// Reads a blob from whichever copy opens. Answers its links.
async fn read_blob(repository: &Repository, session: SessionId, id: BlobId) -> Result<Vec<BlobId>> {
    let mut last = Error::new(ErrorKind::NotFound, format!("blob {id} is nowhere"));
    for _ in 0..LOOKS {
        let places = repository.locate(session, &[id]).await?.remove(0);
        for place in places {
            match read_copy(repository, id, &place).await {
                Ok(links) => return Ok(links),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

async fn read_copy(repository: &Repository, id: BlobId, place: &Location) -> Result<Vec<BlobId>> {
    let range = u64::from(place.offset)..u64::from(place.offset) + u64::from(place.length);
    let sealed = repository.read_pack(place.pack, std::slice::from_ref(&range)).await?.remove(0);
    let footer = Footer::parse(&repository.read_footer(place.pack).await?)?;
    let entry = footer.find(&id).ok_or_else(|| Error::new(ErrorKind::Corrupt, "the footer does not name the blob"))?;
    repository.key_object(place.key).await?;
    if !opens(id, footer.kind, place.key, &entry.links, &sealed) {
        return Err(Error::new(ErrorKind::Corrupt, format!("a copy of blob {id} does not open")));
    }
    Ok(if footer.kind == BlobKind::Page { entry.links.clone() } else { Vec::new() })
}
