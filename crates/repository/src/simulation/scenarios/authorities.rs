//! Databases made anew, brought back, replaced.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, expect_error, nothing, scenario};
use crate::simulation::backup::TRIES;
use contract::{Domain, Error};
use testkit::{Fault, Operation, join_all};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { is_new: true, ..scenario("a new vault", nothing, |stage| Box::pin(new_vault(stage)), nothing) },
    scenario("rebuild", |stage| Box::pin(some_points(stage)), |stage| Box::pin(rebuild(stage)), nothing),
    scenario(
        "rebuild while the old authority commits",
        |stage| Box::pin(some_points(stage)),
        |stage| Box::pin(rebuild_while_committing(stage)),
        nothing,
    ),
    scenario(
        "a database brought back",
        |stage| Box::pin(bring_back(stage)),
        |stage| Box::pin(refuse_and_rebuild(stage)),
        nothing,
    ),
    scenario("a fenced collector", |stage| Box::pin(some_points(stage)), |stage| Box::pin(fenced_collector(stage)), nothing),
    scenario("a record that comes late", |stage| Box::pin(some_points(stage)), |stage| Box::pin(late_record(stage)), nothing),
    scenario("a claim that is lost", |stage| Box::pin(some_points(stage)), |stage| Box::pin(lost_claim(stage)), nothing),
];

async fn some_points(stage: &Stage) -> contract::Result<()> {
    let others = stage.others();
    let first = stage.back_up(&others, 0, &tree(&[&[&[0, 1], &[2]], &[&[3]]])).await?;
    stage.back_up(&others, 0, &tree(&[&[&[0, 1], &[4]], &[&[3]]])).await?;
    stage.back_up(&others, 1, &tree(&[&[&[5, 6]]])).await?;
    stage.purge(&others, first).await
}

/// Two processes are the first to open it, at once.
async fn new_vault(stage: &Stage) -> contract::Result<()> {
    let repositories = [&stage.actor, &stage.other].map(|node| node.assemble(&stage.world.current()));
    let opened = join_all(repositories.iter().map(|repository| repository.start())).await;
    opened.into_iter().try_for_each(|outcome| outcome.map_err(Error::from))?;
    stage.back_up(&repositories[0], 1, &tree(&[&[&[5, 6]]])).await.map(drop)
}

async fn rebuild(stage: &Stage) -> contract::Result<()> {
    let before: Vec<_> = stage.points(&stage.own()).await?.iter().map(|point| point.id).collect();
    let repository = stage.take_over(&stage.actor, &stage.world.new_database()).await?;
    let after: Vec<_> = stage.points(&repository).await?.iter().map(|point| point.id).collect();
    ensure(before == after, format!("the same points: {before:?}, {after:?}"))?;
    expect_error(stage.back_up(&stage.others(), 0, &tree(&[&[&[9]]])).await, "a commit by the replaced database")?;
    stage.back_up(&repository, 0, &tree(&[&[&[0, 1], &[8]], &[&[3]]])).await?;
    stage.collect(&repository).await.map(drop)
}

async fn rebuild_while_committing(stage: &Stage) -> contract::Result<()> {
    let database = stage.world.new_database();
    let others = stage.others();
    let committing = async {
        for chunk in 10..16 {
            // Acknowledged before the claim, or refused: the audit knows which.
            let _ = stage.back_up(&others, 1, &tree(&[&[&[5, chunk]]])).await;
        }
        Ok(())
    };
    let rebuilding = async { stage.take_over(&stage.actor, &database).await.map(drop) };
    type Future<'a> = std::pin::Pin<Box<dyn std::future::Future<Output = contract::Result<()>> + 'a>>;
    let both: [Future<'_>; 2] = [Box::pin(committing), Box::pin(rebuilding)];
    join_all(both).await.into_iter().collect::<contract::Result<Vec<()>>>()?;
    let repository = stage.actor.assemble(&database);
    repository.start().await?;
    stage.collect(&repository).await.map(drop)
}

/// The database is that of an earlier moment, everything else is not.
async fn bring_back(stage: &Stage) -> contract::Result<()> {
    some_points(stage).await?;
    let database = stage.world.current();
    let state = database.ledger.save();
    stage.back_up(&stage.others(), 1, &tree(&[&[&[5, 7]]])).await?;
    stage.collect(&stage.others()).await?;
    database.ledger.restore(state);
    stage.world.is_reverted.set(true);
    stage.world.foreign_packs.set(true);
    Ok(())
}

async fn refuse_and_rebuild(stage: &Stage) -> contract::Result<()> {
    let database = stage.world.current();
    let repository = stage.actor.assemble(&database);
    expect_error(repository.start().await.map_err(Error::from), "opening a database that was brought back")?;
    let repository = stage.take_over(&stage.actor, &database).await?;
    stage.world.is_reverted.set(false);
    ensure(stage.points(&repository).await?.len() == 3, "all points are back")?;
    stage.back_up(&repository, 0, &tree(&[&[&[0, 1], &[8]], &[&[3]]])).await?;
    stage.collect(&repository).await.map(drop)
}

async fn fenced_collector(stage: &Stage) -> contract::Result<()> {
    let database = stage.world.new_database();
    let others = stage.others();
    let collecting = async {
        let _ = stage.collect(&others).await;
        Ok(())
    };
    let replacing = async {
        let repository = stage.take_over(&stage.actor, &database).await?;
        stage.back_up(&repository, 0, &tree(&[&[&[0, 1], &[2]], &[&[3]]])).await.map(drop)
    };
    type Future<'a> = std::pin::Pin<Box<dyn std::future::Future<Output = contract::Result<()>> + 'a>>;
    let both: [Future<'_>; 2] = [Box::pin(collecting), Box::pin(replacing)];
    join_all(both).await.into_iter().collect::<contract::Result<Vec<()>>>()?;
    expect_error(stage.collect(&others).await, "a collection by a replaced database")
}

/// Two records at once, and storage takes its time with the first: when a successor has read the journal, nothing may come
/// after that was decided before.
async fn late_record(stage: &Stage) -> contract::Result<()> {
    let others = stage.others();
    let (one, two) = (tree(&[&[&[20]]]), tree(&[&[&[21]]]));
    let mut first = stage.session(&others, 0).await?;
    first.send_missing(&stage.graph(&one)).await?;
    let mut second = stage.session(&others, 1).await?;
    second.send_missing(&stage.graph(&two)).await?;
    for _ in 0..TRIES {
        stage.world.weather.script(Operation::Put, "/journal/", 0, Fault::Late { steps: 1_000 });
    }
    let (root_one, root_two) = (one.graph().root, two.graph().root);
    let _ = first.commit(root_one, format::record::RecordKind::Point).await;
    let _ = second.commit(root_two, format::record::RecordKind::Point).await;
    let repository = stage.take_over(&stage.actor, &stage.world.new_database()).await?;
    stage.world.weather.settle_late().await;
    stage.back_up(&repository, 0, &tree(&[&[&[22]]])).await?;
    stage.world.audit_equality("after the late record");
    Ok(())
}

/// Without its claim the old authority is still known by its journal: the next takes a higher number, which stops it.
async fn lost_claim(stage: &Stage) -> contract::Result<()> {
    let name = format::names::claim(crate::simulation::identity::IDENTITY.domain, format::Incarnation(1));
    let _ = stage.world.weather.lose(&storage::ObjectName::new(name).unwrap()).await;
    let repository = stage.take_over(&stage.actor, &stage.world.new_database()).await?;
    ensure(repository.status().await?.incarnation.0 == 2, "the second incarnation")?;
    expect_error(stage.back_up(&stage.others(), 0, &tree(&[&[&[9]]])).await, "a commit by the replaced database")
}
