//! A second collection beside one that runs: there must be none, and if there is it must not destroy anything.

use super::stage::{Stage, tree};
use super::{Scenario, ensure, nothing, scenario, thorough};
use crate::ledger::{Ledger, PackRow, PackState};
use crate::simulation::identity::IDENTITY;
use crate::simulation::walker::objects;
use contract::{CollectOptions, ErrorKind, Result};
use format::names;
use std::pin::Pin;
use testkit::{Fault, Operation, join_all, yield_now};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "a collection that outlasts every lease",
        |stage| Box::pin(something_to_rewrite(stage)),
        |stage| Box::pin(outlast_leases(stage)),
        nothing,
    ),
    scenario(
        "two sweeps at once, in spite of everything",
        |stage| Box::pin(something_to_rewrite(stage)),
        |stage| Box::pin(two_sweeps(stage)),
        nothing,
    ),
];

/// More turns than a collection takes until it has put a pack.
const TURNS_MAX: u32 = 5_000;

/// Half of what several packs hold.
async fn something_to_rewrite(stage: &Stage) -> Result<()> {
    let others = stage.others();
    let first = stage.back_up(&others, 0, &tree(&[&[&[0, 1], &[2, 3], &[4, 5], &[6, 7]]])).await?;
    stage.back_up(&others, 0, &tree(&[&[&[0], &[2], &[4], &[6]]])).await?;
    stage.purge(&others, first).await
}

/// The next collection has rewritten one pack, and takes long to read the second one, before it swaps them in together.
fn slow_down(stage: &Stage) {
    stage.world.weather.script(Operation::Get, "/pack/", 2, Fault::Delay { steps: 2_000 });
}

/// Waits until a collection has put a pack that it rewrites, and has not swapped it in.
async fn a_pack_waits_for_the_swap(stage: &Stage) {
    let is_stored = |row: &PackRow| !objects(&stage.world.memory, &names::pack(IDENTITY.domain, row.name)).is_empty();
    for _ in 0..TURNS_MAX {
        let ledger = stage.world.current().ledger;
        let rows = ledger.snapshot().await.unwrap().packs(IDENTITY.domain).await.unwrap();
        if rows.iter().any(|row| row.state == PackState::Issued && row.session.is_none() && is_stored(row)) {
            return;
        }
        yield_now().await;
    }
}

async fn both<'a>(one: impl Future<Output = Result<()>> + 'a, other: impl Future<Output = Result<()>> + 'a) -> Result<()> {
    let both: [Pin<Box<dyn Future<Output = Result<()>> + 'a>>; 2] = [Box::pin(one), Box::pin(other)];
    join_all(both).await.into_iter().collect()
}

async fn outlast_leases(stage: &Stage) -> Result<()> {
    let (own, others) = (stage.own(), stage.others());
    slow_down(stage);
    let collecting = async { stage.collect(&others).await.map(drop) };
    let beside = async {
        a_pack_waits_for_the_swap(stage).await;
        stage.world.locks.run_out();
        own.inner.end_dead_sessions().await?;
        let second = stage.collect(&own).await;
        let refused = second.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict);
        ensure(refused, format!("a second collection is refused: {second:?}"))
    };
    both(collecting, beside).await
}

/// The second one rewrites nothing itself: it only clears what it takes for left-overs.
async fn two_sweeps(stage: &Stage) -> Result<()> {
    let (own, others) = (stage.own(), stage.others());
    slow_down(stage);
    let beside = async {
        a_pack_waits_for_the_swap(stage).await;
        stage.sweep_only(&own, CollectOptions { repack_dead_percent: 200 }).await
    };
    both(stage.sweep_only(&others, thorough()), beside).await
}
