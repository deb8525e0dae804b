//! Backups.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario};
use crate::index::{MemoryFiles, TAILS_BYTES_MAX};
use contract::{Domain, Error, PointFilter};
use format::blob::BlobKind;
use format::record::RecordKind;
use std::sync::{Arc, Mutex};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a plain backup", nothing, |stage| Box::pin(plain(stage)), nothing),
    scenario("a backup on top of another", |stage| Box::pin(first(stage)), |stage| Box::pin(second(stage)), nothing),
    scenario("a point that came first", nothing, |stage| Box::pin(overtaken(stage)), nothing),
    scenario("a checkpoint, then its point", |stage| Box::pin(first(stage)), |stage| Box::pin(checkpoint(stage)), nothing),
    scenario(
        "a checkpoint whose session died",
        |stage| Box::pin(left_checkpoint(stage)),
        |stage| Box::pin(adopt_checkpoint(stage)),
        nothing,
    ),
    scenario("data of an interrupted backup", |stage| Box::pin(left_data(stage)), |stage| Box::pin(adopt_data(stage)), nothing),
    scenario("an abandoned session", |stage| Box::pin(first(stage)), |stage| Box::pin(abandon(stage)), nothing),
    scenario("many packs, many segments", nothing, |stage| Box::pin(many_packs(stage)), nothing),
    scenario("a long session", |stage| Box::pin(many_segments(stage)), |stage| Box::pin(long_session(stage)), nothing),
    scenario("merges that others do", nothing, |stage| Box::pin(overtaken_merges(stage)), nothing),
    scenario("commits beside a merge", nothing, |stage| Box::pin(left_segments(stage)), nothing),
    scenario("an index disk that is full", nothing, |stage| Box::pin(full_index(stage)), nothing),
    scenario("sessions that leave packs", nothing, |stage| Box::pin(left_packs(stage)), nothing),
    scenario("a page with many links", nothing, |stage| Box::pin(many_links(stage)), nothing),
    scenario("an undeleted point", |stage| Box::pin(first(stage)), |stage| Box::pin(undelete(stage)), nothing),
];

async fn plain(stage: &Stage) -> contract::Result<()> {
    stage.back_up(&stage.own(), 0, &tree(&[&[&[0, 1], &[2]], &[&[3]]])).await.map(drop)
}

async fn first(stage: &Stage) -> contract::Result<()> {
    stage.back_up(&stage.others(), 0, &tree(&[&[&[0, 1], &[2]], &[&[3]], &[&[4]]])).await.map(drop)
}

/// Changes one leaf; the other pages are adopted.
async fn second(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let mut session = stage.session(&own, 0).await?;
    let changed = tree(&[&[&[0, 1], &[5]], &[&[3]], &[&[4]]]);
    let missing = session.missing(&stage.graph(&changed)).await?;
    ensure(missing.len() == 4, format!("chunk, leaf, middle page and root are missing: {}", missing.len()))?;
    stage.finish(&mut session, &changed).await.map(drop)
}

async fn overtaken(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let mut session = stage.session(&own, 0).await?;
    first(stage).await?;
    stage.finish(&mut session, &tree(&[&[&[0, 1], &[7]]])).await?;
    let points = own.points(PointFilter { item: None, deleted: false }).await?;
    ensure(points.len() == 2 && points[1].sequence.0 == 2, "both points are in the chain")
}

async fn checkpoint(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let mut session = stage.session(&own, 0).await?;
    let part = stage.graph(&tree(&[&[&[0, 1], &[8]]]));
    session.send_missing(&part).await?;
    session.commit(part.root, RecordKind::Checkpoint).await?;
    stage.finish(&mut session, &tree(&[&[&[0, 1], &[8]], &[&[9]]])).await.map(drop)
}

async fn left_checkpoint(stage: &Stage) -> contract::Result<()> {
    let node = stage.world.node("gone");
    let repository = node.assemble(&stage.world.current());
    repository.start().await?;
    let mut session = stage.session(&repository, 0).await?;
    let part = stage.graph(&tree(&[&[&[10, 11], &[12]], &[&[13]]]));
    session.send_missing(&part).await?;
    session.commit(part.root, RecordKind::Checkpoint).await?;
    let more = stage.graph(&tree(&[&[&[14, 15]]]));
    session.send_missing(&more).await?;
    node.process.kill();
    Ok(())
}

async fn adopt_checkpoint(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    stage.collect(&own).await?;
    let mut session = stage.session(&own, 0).await?;
    let whole = tree(&[&[&[10, 11], &[12]], &[&[13]], &[&[14, 15]]]);
    let missing = session.missing(&stage.graph(&whole)).await?;
    ensure(missing.len() == 3, format!("only a leaf, its middle page and the root are missing: {}", missing.len()))?;
    stage.finish(&mut session, &whole).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await.map(drop)
}

/// Data packs, some pages, no point.
async fn left_data(stage: &Stage) -> contract::Result<()> {
    let node = stage.world.node("gone");
    let repository = node.assemble(&stage.world.current());
    repository.start().await?;
    let mut session = stage.session(&repository, 0).await?;
    session.send_missing(&stage.graph(&tree(&[&[&[20, 21, 22], &[23]]]))).await?;
    node.process.kill();
    Ok(())
}

async fn adopt_data(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    stage.collect(&own).await?;
    let mut session = stage.session(&own, 0).await?;
    let same = tree(&[&[&[20, 21, 22], &[23]]]);
    let missing = session.missing(&stage.graph(&same)).await?;
    let is_data = |blob: &crate::simulation::content::Blob| blob.kind == BlobKind::Data;
    ensure(!missing.values().any(is_data), "the data of the interrupted backup is found again")?;
    stage.finish(&mut session, &same).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await.map(drop)
}

async fn abandon(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let mut session = stage.session(&own, 0).await?;
    session.send_missing(&stage.graph(&tree(&[&[&[24, 25]], &[&[0, 1]]]))).await?;
    own.abandon_session(session.session).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await?;
    let status = own.status().await?;
    ensure(status.copies_condemned == 0 && status.sessions_open == 0, format!("nothing is left over: {status:?}"))
}

async fn many_points(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    for first in [0, 12, 24] {
        let leaves: Vec<Vec<u64>> = (first..first + 12).map(|chunk| vec![chunk]).collect();
        let leaves: Vec<&[u64]> = leaves.iter().map(Vec::as_slice).collect();
        stage.back_up(&own, 0, &tree(&[&leaves])).await?;
    }
    Ok(())
}

async fn many_packs(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    many_points(stage).await?;
    let status = own.status().await?;
    ensure(status.segments > 0, "there are segments")?;
    stage.collect(&own).await?;
    let status = own.status().await?;
    ensure(status.packs_unmerged == 0, "collection merges what is left")
}

async fn many_segments(stage: &Stage) -> contract::Result<()> {
    let others = stage.others();
    for chunk in [40, 41, 42] {
        stage.back_up(&others, 1, &tree(&[&[&[chunk]]])).await?;
        others.inner.merge_for_marking().await.map_err(Error::from)?;
    }
    Ok(())
}

/// A pack for each blob: the session makes segment after segment and merges them. Somebody else merges some of them with others'.
async fn long_session(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let leaves: Vec<Vec<u64>> = (0..21).map(|chunk| vec![chunk]).collect();
    let leaves: Vec<&[u64]> = leaves.iter().map(Vec::as_slice).collect();
    let (whole, mut session) = (tree(&[&leaves]), stage.session(&own, 0).await?);
    let missing = session.missing(&stage.graph(&whole)).await?;
    let view = own.inner.view(session.session)?;
    let mut most = 0;
    for (number, blob) in missing.into_values().filter(|blob| blob.kind == BlobKind::Data).enumerate() {
        session.send(vec![blob]).await?;
        most = most.max(view.own_segments().len());
        if number == 13 {
            let before = view.own_segments().len();
            stage.others().inner.merge_for_marking().await.map_err(Error::from)?;
            ensure(before == 2, format!("there is something to merge: {before}"))?;
        }
    }
    ensure(most == 2, format!("segments are merged while there are more than two: {most}"))?;
    let tables = view.own_tables().ordinals().count();
    ensure(tables <= 6, format!("few tables are looked up in: {tables}"))?;
    stage.finish(&mut session, &whole).await.map(drop)
}

/// Others merge all packs after each one, and after every third one: the session keeps nothing of what was there before.
async fn overtaken_merges(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    for (item, every) in [(0, 1), (1, 3)] {
        let first = 100 * every;
        let leaves: Vec<Vec<u64>> = (first..first + 9).map(|chunk| vec![chunk]).collect();
        let leaves: Vec<&[u64]> = leaves.iter().map(Vec::as_slice).collect();
        let (whole, mut session) = (tree(&[&leaves]), stage.session(&own, item).await?);
        let missing = session.missing(&stage.graph(&whole)).await?;
        let view = own.inner.view(session.session)?;
        let mut packs = 0;
        for (number, blob) in (1..).zip(missing.into_values().filter(|blob| blob.kind == BlobKind::Data)) {
            session.send(vec![blob]).await?;
            packs += 1;
            if number % every == 0 {
                stage.others().inner.merge_for_marking().await.map_err(Error::from)?;
            }
            ensure(view.own_tables().packs().len() == packs, "a pack is in no table that the session looks in")?;
        }
        let (tails, tables) = (view.own_tails().len(), view.own_tables().ordinals().count());
        ensure(
            tails <= 3 && tables <= 6,
            format!("{tails} packs and {tables} tables are left, others merged after every {every}"),
        )?;
        stage.finish(&mut session, &whole).await?;
    }
    Ok(())
}

/// While somebody in the process merges segments, its commits and sessions leave them to him: one of two merges would be in vain.
async fn left_segments(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let merging = own.inner.merging.lock().await;
    many_points(stage).await?;
    let left = own.status().await?.segments;
    ensure(left > 4, format!("nobody merges segments: {left} are there"))?;
    drop(merging);
    stage.back_up(&own, 0, &tree(&[&[&[40]]])).await?;
    let merged = own.status().await?.segments;
    ensure(merged < left, format!("the next commit merges: {merged} of {left} segments are left"))
}

/// An index disk that is full until this is dropped.
struct Full(Arc<Mutex<MemoryFiles>>);

impl Full {
    fn new(files: Arc<Mutex<MemoryFiles>>) -> Self {
        files.lock().unwrap().is_full = true;
        Self(files)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        self.0.lock().unwrap().is_full = false;
    }
}

/// Packs are taken while they cannot be merged, but not without end.
async fn full_index(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let leaves: Vec<Vec<u64>> = (0..10).map(|chunk| vec![chunk]).collect();
    let leaves: Vec<&[u64]> = leaves.iter().map(Vec::as_slice).collect();
    let (whole, mut session) = (tree(&[&leaves]), stage.session(&own, 0).await?);
    let missing = session.missing(&stage.graph(&whole)).await?;
    let view = own.inner.view(session.session)?;
    let files = stage.world.current().files;
    let full = Full::new(files);
    let mut taken = 0;
    for blob in missing.into_values().filter(|blob| blob.kind == BlobKind::Data) {
        match session.send_once(blob).await {
            Ok(()) => taken += 1,
            Err(error) => {
                ensure(error.kind() == contract::ErrorKind::Unavailable, format!("{error}"))?;
                break;
            }
        }
    }
    drop(full);
    ensure(taken == 6 && view.own_tails().len() == 6, format!("{taken} packs are taken that cannot be merged"))?;
    stage.finish(&mut session, &whole).await?;
    let tails = view.own_tails().len();
    ensure(tails <= 3, format!("{tails} packs are left"))
}

/// However many sessions end without a point, what they leave is merged.
async fn left_packs(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    for first in [0, 10, 20, 30] {
        let mut session = stage.session(&own, 0).await?;
        let leaves: Vec<Vec<u64>> = (first..first + 2).map(|chunk| vec![chunk]).collect();
        let leaves: Vec<&[u64]> = leaves.iter().map(Vec::as_slice).collect();
        for blob in session.missing(&stage.graph(&tree(&[&leaves]))).await?.into_values() {
            if blob.kind == BlobKind::Data {
                session.send(vec![blob]).await?;
            }
        }
        own.abandon_session(session.session).await?;
    }
    let unmerged = own.status().await?.packs_unmerged;
    ensure(unmerged <= 6, format!("{unmerged} packs are in no segment"))
}

/// Of three packs it is the bytes of their footers, and not their number, that has them merged.
async fn many_links(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let chunks: Vec<u64> = (0..30).collect();
    let whole = tree(&[&[&chunks]]);
    let mut session = stage.session(&own, 0).await?;
    session.send_missing(&stage.graph(&whole)).await?;
    let view = own.inner.view(session.session)?;
    let bytes: usize = view.own_tails().iter().map(|(_, table)| table.tail_bytes()).sum();
    ensure(bytes < TAILS_BYTES_MAX, format!("{bytes} bytes of footers are left"))?;
    stage.finish(&mut session, &whole).await.map(drop)
}

async fn undelete(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let point = stage.points(&own).await?.remove(0);
    own.expire(&[point.id]).await?;
    ensure(own.points(PointFilter::default()).await?.is_empty(), "a soft-deleted point is not listed")?;
    stage.collect(&own).await?;
    own.undelete(&[point.id]).await?;
    stage.collect(&own).await?;
    ensure(own.points(PointFilter::default()).await?.len() == 1, "an undeleted point is listed again")
}
