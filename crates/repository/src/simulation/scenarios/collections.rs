//! Collections, and what goes on beside them.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario};
use crate::simulation::restore::restore;
use contract::{Domain, ErrorKind};
use testkit::join_all;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("purge and collect", |stage| Box::pin(two_points(stage)), |stage| Box::pin(purge_and_collect(stage)), nothing),
    scenario(
        "an older session uses what was condemned",
        |stage| Box::pin(two_points(stage)),
        |stage| Box::pin(older_session(stage)),
        nothing,
    ),
    scenario("repack", |stage| Box::pin(two_points(stage)), |stage| Box::pin(repack(stage)), nothing),
    scenario(
        "a reader while packs are rewritten",
        |stage| Box::pin(two_points(stage)),
        |stage| Box::pin(reader_while_repacking(stage)),
        nothing,
    ),
    scenario(
        "a purged point that is being read",
        |stage| Box::pin(two_points(stage)),
        |stage| Box::pin(purge_while_reading(stage)),
        nothing,
    ),
    scenario("a point purged twice", |stage| Box::pin(purged_twice(stage)), nothing, nothing),
    scenario("a session beside a deletion list", nothing, |stage| Box::pin(session_beside_a_list(stage)), nothing),
    scenario("two collectors", |stage| Box::pin(two_points(stage)), |stage| Box::pin(two_collectors(stage)), nothing),
    scenario(
        "a commit while a collection runs",
        |stage| Box::pin(two_points(stage)),
        |stage| Box::pin(commit_while_collecting(stage)),
        nothing,
    ),
    scenario(
        "keys of points that sent nothing",
        |stage| Box::pin(two_points(stage)),
        |stage| Box::pin(keys_of_unchanged(stage)),
        nothing,
    ),
];

/// Item 0 has two points that share much.
async fn two_points(stage: &Stage) -> contract::Result<()> {
    let others = stage.others();
    stage.back_up(&others, 0, &tree(&[&[&[0, 1], &[2, 3]], &[&[4, 5]]])).await?;
    stage.back_up(&others, 0, &tree(&[&[&[0, 1], &[6]], &[&[4, 5]]])).await.map(drop)
}

async fn purge_and_collect(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let oldest = stage.points(&own).await?.remove(0).id;
    stage.purge(&own, oldest).await?;
    let report = stage.collect(&own).await?;
    ensure(report.packs_deleted + report.packs_rewritten > 0, format!("something is freed: {report:?}"))
}

/// Opened before the condemnation, it may still link to what was condemned, and later collections keep that.
async fn older_session(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let mut session = stage.session(&others, 1).await?;
    for point in stage.points(&own).await? {
        stage.purge(&own, point.id).await?;
    }
    stage.collect(&own).await?;
    let report = stage.collect(&own).await?;
    ensure(report.waiting_for_sessions == 1 && report.packs_deleted == 0, format!("it waits: {report:?}"))?;
    let same = tree(&[&[&[0, 1], &[2, 3]], &[&[4, 5]]]);
    ensure(session.missing(&stage.graph(&same)).await?.is_empty(), "everything is there for the older session")?;
    let mut newer = stage.session(&others, 0).await?;
    ensure(!newer.missing(&stage.graph(&same)).await?.is_empty(), "and not for a newer one")?;
    stage.finish(&mut session, &same).await?;
    stage.collect(&own).await?;
    stage.finish(&mut newer, &same).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await.map(drop)
}

async fn repack(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    stage.back_up(&own, 0, &tree(&[&[&[30, 31, 32]]])).await?;
    for point in stage.points(&own).await?.into_iter().take(2) {
        stage.purge(&own, point.id).await?;
    }
    stage.back_up(&own, 1, &tree(&[&[&[0], &[5]]])).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await.map(drop)
}

async fn reader_while_repacking(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let mut points = stage.points(&own).await?;
    let kept = points.remove(1);
    stage.purge(&own, points[0].id).await?;
    let mut rng = stage.rng();
    let reading = async { restore(&stage.world, &others, &kept, 0.5, &mut rng).await };
    let collecting = async {
        stage.collect(&own).await?;
        stage.collect(&own).await.map(|_| Ok(()))
    };
    let outcomes = join_all([boxed(reading), boxed(collecting)]).await;
    outcomes.into_iter().try_for_each(|outcome| outcome?)
}

type Outcome = contract::Result<contract::Result<()>>;

fn boxed<'a>(future: impl Future<Output = Outcome> + 'a) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + 'a>> {
    Box::pin(future)
}

async fn purge_while_reading(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let oldest = stage.points(&own).await?.remove(0);
    let reader = others.open_reader(oldest.id).await?;
    stage.purge(&own, oldest.id).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await?;
    let record = format::record::SignedRecord::parse(&oldest.record)?;
    let walker = crate::simulation::walker::Walker::new(&stage.world.memory);
    ensure(walker.closure(record.body.root).0.is_empty(), "what is being read stays")?;
    others.close_reader(reader).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await?;
    let walker = crate::simulation::walker::Walker::new(&stage.world.memory);
    ensure(!walker.closure(record.body.root).0.is_empty(), "and goes when nobody reads it any more")
}

/// Two purge the same point at once; the slower one's tombstone is concluded when a collector that died meanwhile has swept some
/// of what the point held. That must not make it a root again.
async fn purged_twice(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    for step in 0.. {
        let point = stage.back_up(&others, 0, &tree(&[&[&[50 + step, 51 + step]]])).await?;
        stage.back_up(&others, 0, &tree(&[&[&[49]]])).await?;
        let (collector, collectors) = stage.another("collector").await?;
        let slower = stage.enter_tombstone(&others, point).await?;
        stage.purge(&own, point).await?;
        let died = stage.sweep_and_die(&collector, &collectors, step).await?;
        let mut older = stage.session(&others, 1).await?;
        others.inner.conclude(&slower).await.map_err(contract::Error::from)?;
        stage.collect(&own).await?;
        stage.finish(&mut older, &tree(&[&[&[0]]])).await?;
        if !died {
            break;
        }
    }
    Ok(())
}

/// A collector dies. A session carries the deletion list out that it entered, sends anew what is on it, and its point is whole.
async fn session_beside_a_list(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    for step in 0.. {
        let purged = tree(&[&[&[50 + step, 51 + step]]]);
        let point = stage.back_up(&others, 0, &purged).await?;
        stage.back_up(&others, 0, &tree(&[&[&[49]]])).await?;
        stage.purge(&others, point).await?;
        let (collector, collectors) = stage.another("collector").await?;
        let died = stage.sweep_and_die(&collector, &collectors, step).await?;
        let mut session = stage.session(&own, 1).await?;
        ensure(stage.lists_pending(&own).await? == 0, "a session carries deletion lists out".to_owned())?;
        stage.finish(&mut session, &purged).await?;
        stage.collect(&others).await?;
        ensure(stage.lists_pending(&others).await? == 0, "a collection does".to_owned())?;
        if !died {
            break;
        }
    }
    Ok(())
}

async fn two_collectors(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let oldest = stage.points(&own).await?.remove(0).id;
    stage.purge(&own, oldest).await?;
    let outcomes = join_all([own, others].map(|repository| Box::pin(async move { stage.collect(&repository).await }))).await;
    let refused = |error: &contract::Error| error.kind() == ErrorKind::Conflict;
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let all = outcomes.iter().all(|outcome| outcome.as_ref().err().is_none_or(refused));
    ensure(done >= 1 && all, format!("one collects, the other is refused or comes later: {outcomes:?}"))
}

async fn commit_while_collecting(stage: &Stage) -> contract::Result<()> {
    let (own, others) = (stage.own(), stage.others());
    let oldest = stage.points(&own).await?.remove(0).id;
    let mut session = stage.session(&others, 1).await?;
    stage.purge(&own, oldest).await?;
    let committing = async { stage.finish(&mut session, &tree(&[&[&[0, 1], &[2, 3]], &[&[7]]])).await.map(|_| Ok(())) };
    let collecting = async {
        stage.collect(&own).await?;
        stage.collect(&own).await.map(|_| Ok(()))
    };
    let outcomes = join_all([boxed(committing), boxed(collecting)]).await;
    outcomes.into_iter().try_for_each(|outcome| outcome?)
}

/// A backup of what did not change has a key, with which its record's metadata is sealed, and no pack that names it.
async fn keys_of_unchanged(stage: &Stage) -> contract::Result<()> {
    let own = stage.own();
    let same = tree(&[&[&[0, 1], &[6]], &[&[4, 5]]]);
    let unchanged = stage.back_up(&own, 0, &same).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await?;
    stage.purge(&own, unchanged).await?;
    stage.collect(&own).await?;
    stage.collect(&own).await.map(drop)
}
