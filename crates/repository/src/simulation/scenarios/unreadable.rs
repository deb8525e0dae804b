//! Bad places on the medium: what cannot be read is damage of one object, and may be readable again.

use super::damage::{a_pack, name, sample, taint};
use super::stage::{Stage, tree};
use super::{Scenario, ensure, expect_error, nothing, scenario};
use crate::ledger::{DamageSource, Ledger};
use crate::simulation::audit::no_progress;
use crate::simulation::identity::IDENTITY;
use crate::simulation::restore::restore;
use crate::simulation::walker::objects;
use contract::{CheckOptions, CheckReport, Domain, Error, Result};
use format::blob::BlobKind;
use format::{names, pack};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "a blob that cannot be read",
        |stage| Box::pin(bad_blob(stage)),
        |stage| Box::pin(check_heal_and_keep(stage)),
        nothing,
    ),
    scenario(
        "a footer that cannot be read",
        |stage| Box::pin(bad_footer(stage)),
        |stage| Box::pin(write_footer_anew(stage)),
        nothing,
    ),
    scenario(
        "packs that cannot be read are not rewritten",
        |stage| Box::pin(bad_packs(stage)),
        |stage| Box::pin(collect_around_them(stage)),
        nothing,
    ),
    scenario(
        "small objects that cannot be read",
        |stage| Box::pin(bad_small_objects(stage)),
        |stage| Box::pin(mend_small_objects(stage)),
        nothing,
    ),
    scenario(
        "a rebuild over a failing disk",
        |stage| Box::pin(bad_everything(stage)),
        |stage| Box::pin(rebuild_what_is_left(stage)),
        nothing,
    ),
];

async fn one_point(stage: &Stage) -> Result<()> {
    stage.back_up(&stage.others(), 0, &sample()).await.map(drop)
}

/// Records may be lost, through no fault of the repository.
async fn excuse_records(stage: &Stage) -> Result<()> {
    let points = stage.points(&stage.others()).await?;
    stage.world.model.borrow_mut().tainted.extend(points.iter().map(|point| format!("record {}", point.id)));
    stage.has_damage.set(true);
    Ok(())
}

/// None of an object's bytes can be read.
fn spoil(stage: &Stage, object: &str) {
    stage.world.weather.make_unreadable(&name(object), 0..u64::MAX);
}

fn spoil_all(stage: &Stage, prefix: &str) {
    objects(&stage.world.memory, prefix).iter().for_each(|(object, _)| spoil(stage, object));
}

async fn check(stage: &Stage) -> Result<CheckReport> {
    stage.own().check(CheckOptions { read_data: true }, no_progress()).await
}

/// Who says of each damaged copy that it is damaged.
async fn sources(stage: &Stage) -> Vec<DamageSource> {
    let rows = stage.world.current().ledger.snapshot().await.unwrap().damage(IDENTITY.domain).await.unwrap();
    rows.iter().map(|row| row.source).collect()
}

async fn bad_blob(stage: &Stage) -> Result<()> {
    one_point(stage).await?;
    let (object, parsed) = a_pack(stage, BlobKind::Data);
    stage.world.weather.make_unreadable(&name(&object), parsed.footer.entries[0].range());
    stage.has_damage.set(true);
    Ok(())
}

async fn check_heal_and_keep(stage: &Stage) -> Result<()> {
    let own = stage.own();
    let report = check(stage).await?;
    let one = report.damaged_copies.len() == 1 && !report.damaged_copies[0].other_copy && report.damaged_packs.is_empty();
    ensure(one, format!("check finds the blob and goes on: {report:?}"))?;
    ensure(sources(stage).await == [DamageSource::Reported], "nothing is given up because it cannot be read now")?;
    stage.back_up(&own, 0, &sample()).await?;
    for _ in 0..2 {
        stage.collect(&own).await?;
    }
    let report = check(stage).await?;
    let healed = report.is_sound() && report.damaged_copies.len() == 1;
    ensure(healed, format!("the next backup sends it again, and the copy stays that may be readable again: {report:?}"))?;
    let newest = stage.points(&own).await?.pop();
    let newest = newest.ok_or_else(|| Error::new(contract::ErrorKind::Internal, "there is a point"))?;
    restore(&stage.world, &own, &newest, 0.0, &mut stage.rng()).await?
}

async fn bad_footer(stage: &Stage) -> Result<()> {
    one_point(stage).await?;
    let (object, parsed) = a_pack(stage, BlobKind::Page);
    stage.world.weather.make_unreadable(&name(&object), parsed.footer_range);
    stage.has_damage.set(true);
    Ok(())
}

async fn write_footer_anew(stage: &Stage) -> Result<()> {
    for read_data in [false, true] {
        let report = stage.own().check(CheckOptions { read_data }, no_progress()).await?;
        ensure(report.damaged_packs.len() == 1 && report.damaged_copies.is_empty(), format!("the frame alone: {report:?}"))?;
    }
    stage.collect(&stage.own()).await?;
    let report = check(stage).await?;
    ensure(report.is_sound(), format!("the pack is written anew from the index: {report:?}"))
}

async fn bad_packs(stage: &Stage) -> Result<()> {
    let others = stage.others();
    let first = stage.back_up(&others, 0, &tree(&[&[&[0, 1], &[2, 3]], &[&[4, 5]]])).await?;
    stage.back_up(&others, 0, &tree(&[&[&[0, 1], &[6]], &[&[4, 5]]])).await?;
    stage.purge(&others, first).await?;
    spoil_all(stage, &names::packs(IDENTITY.domain));
    stage.has_damage.set(true);
    Ok(())
}

async fn collect_around_them(stage: &Stage) -> Result<()> {
    let own = stage.own();
    let report = stage.collect(&own).await?;
    ensure(report.packs_rewritten == 0, format!("what cannot be read is not rewritten: {report:?}"))?;
    let sources = sources(stage).await;
    let reported = !sources.is_empty() && sources.iter().all(|source| *source == DamageSource::Reported);
    ensure(reported, format!("it is on record, and nothing is given up for it: {sources:?}"))?;
    stage.world.weather.make_all_readable();
    let report = stage.collect(&own).await?;
    ensure(report.packs_rewritten > 0, format!("once it can be read it is rewritten: {report:?}"))
}

async fn bad_small_objects(stage: &Stage) -> Result<()> {
    one_point(stage).await?;
    let keys = objects(&stage.world.memory, &names::keys(IDENTITY.domain));
    spoil(stage, &keys[0].0);
    spoil_all(stage, &names::journal_entries(IDENTITY.domain));
    spoil_all(stage, &names::claims(IDENTITY.domain));
    excuse_records(stage).await
}

async fn mend_small_objects(stage: &Stage) -> Result<()> {
    stage.actor_starts_again().await?;
    let report = check(stage).await?;
    ensure(report.is_sound() && report.mended.len() >= 4, format!("all have another copy somewhere: {report:?}"))?;
    let report = check(stage).await?;
    ensure(report.mended.is_empty(), format!("and can be read again: {report:?}"))
}

async fn bad_everything(stage: &Stage) -> Result<()> {
    one_point(stage).await?;
    stage.back_up(&stage.others(), 1, &tree(&[&[&[20, 21]]])).await?;
    let (object, _) = a_pack(stage, BlobKind::Data);
    spoil(stage, &object);
    let entries = objects(&stage.world.memory, &names::journal_entries(IDENTITY.domain));
    spoil(stage, &entries[1].0);
    let keys = objects(&stage.world.memory, &names::keys(IDENTITY.domain));
    let key = names::parse_key(&keys[0].0)?;
    for copy in names::COPIES {
        spoil(stage, &names::key(IDENTITY.domain, key, copy));
    }
    // What the record keeps that nobody can read is given up in the end.
    for (_, bytes) in objects(&stage.world.memory, &names::packs(IDENTITY.domain)) {
        taint(stage, &pack::parse(&bytes)?);
    }
    for (object, _) in keys {
        stage.world.model.borrow_mut().tainted.insert(format!("key {}", names::parse_key(&object)?));
    }
    excuse_records(stage).await
}

async fn rebuild_what_is_left(stage: &Stage) -> Result<()> {
    stage.world.foreign_packs.set(true);
    let database = stage.world.new_database();
    let report = stage.actor.assemble(&database).inner.rebuild().await.map_err(Error::from)?;
    stage.world.current.replace(database);
    let found = report.unreadable_packs.len() == 1 && report.unreadable_entries.len() == 1;
    ensure(found, format!("what cannot be read is named, and the rest is there: {report:?}"))?;
    let given_up = sources(stage).await.contains(&DamageSource::Verified);
    ensure(!given_up, "a key that cannot be read now does not give up what it opens")?;
    let repository = stage.actor.assemble(&stage.world.current());
    repository.start().await?;
    expect_error(stage.collect(&repository).await, "a collection while entries of the journal are unread")?;
    repository.inner.give_up_unread().await?;
    stage.collect(&repository).await.map(drop)
}
