//! Bad places on the medium: what cannot be read is damage of one object, and may be readable again.

use super::damage::{a_pack, is_whole, name, sample, taint};
use super::stage::{Stage, tree};
use super::{Scenario, ensure, expect_error, nothing, scenario};
use crate::fault::Fault;
use crate::ledger::{DamageSource, Ledger};
use crate::repository::Repository;
use crate::simulation::audit::no_progress;
use crate::simulation::identity::IDENTITY;
use crate::simulation::restore::restore;
use crate::simulation::walker::{at_once, objects};
use contract::{CheckOptions, CheckReport, Domain, Error, Result};
use format::blob::BlobKind;
use format::record::RecordKind;
use format::{names, pack};
use storage::ObjectStore;

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
    scenario(
        "what can be read again",
        |stage| Box::pin(bad_blob(stage)),
        |stage| Box::pin(check_before_and_after_the_disk_heals(stage)),
        nothing,
    ),
    scenario(
        "a key object that can be read again",
        |stage| Box::pin(bad_keys(stage)),
        |stage| Box::pin(check_without_keys(stage)),
        nothing,
    ),
    scenario(
        "pages that a rebuild cannot read",
        |stage| Box::pin(bad_pages(stage)),
        |stage| Box::pin(rebuild_before_and_after_the_disk_heals(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario(
        "pages that a rebuild does not find",
        |stage| Box::pin(two_points(stage)),
        |stage| Box::pin(rebuild_before_and_after_a_pack_is_put_back(stage)),
        |stage| Box::pin(is_whole(stage)),
    ),
    scenario(
        "a pack that cannot be read and is on a deletion list",
        |stage| Box::pin(one_point(stage)),
        |stage| Box::pin(rebuild_over_a_deletion_list(stage)),
        nothing,
    ),
    scenario(
        "what was set aside is purged while a session is open",
        |stage| Box::pin(two_points(stage)),
        |stage| Box::pin(purge_what_was_set_aside(stage)),
        nothing,
    ),
    scenario(
        "a checkpoint that was set aside",
        |stage| Box::pin(checkpoint_without_pages(stage)),
        |stage| Box::pin(drop_what_was_set_aside(stage)),
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

async fn check(repository: &Repository) -> Result<CheckReport> {
    repository.check(CheckOptions::all_data(), no_progress()).await
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
    let report = check(&stage.own()).await?;
    let one = report.damaged_copies.len() == 1 && !report.damaged_copies[0].other_copy && report.damaged_packs.is_empty();
    ensure(one, format!("check finds the blob and goes on: {report:?}"))?;
    ensure(sources(stage).await == [DamageSource::Unreadable], "nothing is given up because it cannot be read now")?;
    stage.back_up(&own, 0, &sample()).await?;
    for _ in 0..2 {
        stage.collect(&own).await?;
    }
    let report = check(&stage.own()).await?;
    let healed = report.is_sound() && report.damaged_copies.len() == 1;
    ensure(healed, format!("the next backup sends it again, and the copy stays that may be readable again: {report:?}"))?;
    let newest = stage.points(&own).await?.pop();
    let newest = newest.ok_or_else(|| Error::new(contract::ErrorKind::Internal, "there is a point"))?;
    restore(&stage.world, &own, &newest, 0.0, &mut stage.rng()).await?
}

async fn check_before_and_after_the_disk_heals(stage: &Stage) -> Result<()> {
    check(&stage.own()).await?;
    ensure(sources(stage).await == [DamageSource::Unreadable], "the copy cannot be read")?;
    stage.world.weather.make_all_readable();
    let report = check(&stage.own()).await?;
    let sources = sources(stage).await;
    ensure(report.damaged_copies.is_empty() && sources.is_empty(), format!("and then it can: {sources:?}, {report:?}"))
}

async fn bad_keys(stage: &Stage) -> Result<()> {
    one_point(stage).await?;
    spoil_all(stage, &names::keys(IDENTITY.domain));
    stage.has_damage.set(true);
    Ok(())
}

async fn check_without_keys(stage: &Stage) -> Result<()> {
    let report = check(&stage.own()).await?;
    ensure(!report.is_sound() && report.damaged_objects.len() == 1, format!("the key is named: {report:?}"))?;
    ensure(sources(stage).await.is_empty(), "no copy is damaged because its key cannot be read")?;
    stage.world.weather.make_all_readable();
    let report = check(&stage.own()).await?;
    ensure(report.is_sound(), format!("and then it can: {report:?}"))
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
        let report = stage.own().check(CheckOptions { read_data, ..CheckOptions::default() }, no_progress()).await?;
        ensure(report.damaged_packs.len() == 1 && report.damaged_copies.is_empty(), format!("the frame alone: {report:?}"))?;
    }
    stage.collect(&stage.own()).await?;
    let report = check(&stage.own()).await?;
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
    let reported = !sources.is_empty() && sources.iter().all(|source| *source == DamageSource::Unreadable);
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
    let report = check(&stage.own()).await?;
    ensure(report.is_sound() && report.mended.len() >= 4, format!("all have another copy somewhere: {report:?}"))?;
    let report = check(&stage.own()).await?;
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

async fn two_points(stage: &Stage) -> Result<()> {
    one_point(stage).await?;
    stage.back_up(&stage.others(), 1, &tree(&[&[&[0, 1], &[20]], &[&[21]]])).await.map(drop)
}

async fn bad_pages(stage: &Stage) -> Result<()> {
    two_points(stage).await?;
    spoil(stage, &a_pack(stage, BlobKind::Page).0);
    Ok(())
}

/// A pack of pages is gone. If that is given up, all that it named may go too.
async fn lose_pages(stage: &Stage) -> Result<()> {
    for (_, bytes) in objects(&stage.world.memory, &names::packs(IDENTITY.domain)) {
        taint(stage, &pack::parse(&bytes)?);
    }
    stage.world.weather.lose(&name(&a_pack(stage, BlobKind::Page).0)).await.unwrap();
    Ok(())
}

/// A database made anew that lacks a pack of pages: it must delete nothing.
async fn rebuild_without_pages(stage: &Stage) -> Result<Repository> {
    let database = stage.world.new_database();
    let repository = stage.take_over(&stage.actor, &database).await?;
    let set_aside = check(&repository).await?.set_aside;
    ensure(set_aside.len() == 1, format!("the point that lacks pages is set aside: {set_aside:?}"))?;
    expect_error(stage.collect(&repository).await, "a collection while a page that a set-aside point reaches is not there")?;
    Ok(repository)
}

async fn rebuild_and_restore(stage: &Stage) -> Result<()> {
    let repository = stage.take_over(&stage.actor, &stage.world.current()).await?;
    for _ in 0..2 {
        stage.collect(&repository).await?;
    }
    let points = stage.points(&repository).await?;
    ensure(points.len() == 2, format!("all points are back: {points:?}"))?;
    for point in points {
        restore(&stage.world, &repository, &point, 0.0, &mut stage.rng()).await??;
    }
    Ok(())
}

async fn rebuild_before_and_after_the_disk_heals(stage: &Stage) -> Result<()> {
    rebuild_without_pages(stage).await?;
    stage.world.weather.make_all_readable();
    rebuild_and_restore(stage).await
}

async fn rebuild_before_and_after_a_pack_is_put_back(stage: &Stage) -> Result<()> {
    let object = name(&a_pack(stage, BlobKind::Page).0);
    let bytes = at_once(stage.world.memory.get(&object, None)).unwrap();
    lose_pages(stage).await?;
    rebuild_without_pages(stage).await?;
    at_once(stage.world.memory.put(&object, bytes)).unwrap();
    rebuild_and_restore(stage).await
}

async fn purge_what_was_set_aside(stage: &Stage) -> Result<()> {
    lose_pages(stage).await?;
    let repository = rebuild_without_pages(stage).await?;
    let mut session = stage.session(&repository, 1).await?;
    let set_aside = check(&repository).await?.set_aside;
    let point = set_aside.first().and_then(|aside| aside.point);
    let point = point.ok_or_else(|| Error::new(contract::ErrorKind::Internal, "it has an id"))?;
    stage.purge(&repository, point).await?;
    // The second mark takes purged points too, as long as a session may rest on what they reach.
    stage.collect(&repository).await?;
    stage.finish(&mut session, &tree(&[&[&[0, 1], &[22]]])).await?;
    stage.collect(&repository).await.map(drop)
}

/// A checkpoint whose pages are lost, and whose session is over.
async fn checkpoint_without_pages(stage: &Stage) -> Result<()> {
    let others = stage.others();
    let mut session = stage.session(&others, 0).await?;
    let part = stage.graph(&sample());
    session.send_missing(&part).await?;
    session.commit(part.root, RecordKind::Checkpoint).await?;
    others.abandon_session(session.session).await?;
    lose_pages(stage).await
}

async fn drop_what_was_set_aside(stage: &Stage) -> Result<()> {
    let repository = rebuild_without_pages(stage).await?;
    stage.back_up(&repository, 0, &tree(&[&[&[0, 1]], &[&[7]]])).await?;
    let set_aside = check(&repository).await?.set_aside;
    ensure(set_aside.is_empty(), format!("the item's next point drops it: {set_aside:?}"))?;
    stage.collect(&repository).await.map(drop)
}

/// What a list gave up is gone, whether or not it could be read.
async fn rebuild_over_a_deletion_list(stage: &Stage) -> Result<()> {
    let own = stage.own();
    let point = stage.points(&own).await?.remove(0).id;
    stage.purge(&own, point).await?;
    let mut transaction = own.inner.ledger.begin().await.map_err(Fault::from)?;
    let mut domain = own.inner.domain_row(transaction.as_mut()).await?;
    let packs = transaction.packs(IDENTITY.domain).await.map_err(Fault::from)?;
    let pages: Vec<_> = packs.iter().filter(|row| row.kind == Some(BlobKind::Page)).collect();
    let entry = own.inner.list_for_deletion(transaction.as_mut(), &mut domain, &pages).await?;
    transaction.commit().await.map_err(Fault::from)?;
    let entry = entry.ok_or_else(|| Error::new(contract::ErrorKind::Internal, "there are pages"))?;
    own.inner.make_durable(&entry).await?;
    pages.iter().for_each(|row| spoil(stage, &names::pack(IDENTITY.domain, row.name)));
    stage.world.foreign_packs.set(true);
    let database = stage.world.new_database();
    let repository = stage.actor.assemble(&database);
    let report = repository.inner.rebuild().await.map_err(Error::from)?;
    stage.world.current.replace(database);
    ensure(report.unreadable_packs.is_empty() && report.set_aside.is_empty(), format!("nothing is lacking: {report:?}"))?;
    stage.collect(&repository).await.map(drop)
}
