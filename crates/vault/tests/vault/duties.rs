//! What the service does by itself, and when it is asked for.

use crate::jobs::{ask, wait_for};
use crate::retention::{DAY, by_hand, make_points, protect, short};
use crate::running::{DOMAIN, Hands, Protected};
use api::{Job, JobOrigin, JobResult, JobState, JobsQuery, Work, WorkKind};
use contract::{ErrorKind, PointFilter};
use format::JobId;
use std::sync::Arc;
use std::time::Duration;
use vault::Config;

/// Waits for a job of the service of this kind for which this holds.
pub(crate) async fn wait_for_own(protected: &Protected, kind: WorkKind, holds: impl Fn(&Job) -> bool) -> Job {
    let query = JobsQuery { kind: Some(kind), domain: Some(DOMAIN), ..JobsQuery::default() };
    for _ in 0..300 {
        let jobs = protected.admin().jobs(&query).await.unwrap().jobs;
        if let Some(job) = jobs.into_iter().find(|job| job.origin == JobOrigin::Service && holds(job)) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:#?}", protected.admin().jobs(&JobsQuery::default()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn by_itself_the_service_expires_purges_frees_and_scrubs_as_time_passes() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(Config::default(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 4).await;
    protect(&protected, short(100)).await;
    let domain = protected.domain().await;
    let bytes = domain.status().await.unwrap().pack_bytes;
    hands.pass(3 * DAY);
    let expired = |job: &Job| matches!(&job.result, Some(JobResult::Retention(result)) if result.expired == 3);
    wait_for_own(&protected, WorkKind::Retention, expired).await;
    hands.pass(3 * DAY);
    let purged = |job: &Job| matches!(&job.result, Some(JobResult::Retention(result)) if result.purged == 3);
    let purged = wait_for_own(&protected, WorkKind::Retention, purged).await;
    let after = |job: &Job| job.state == JobState::Succeeded && job.created_ms >= purged.ended_ms.unwrap();
    wait_for_own(&protected, WorkKind::Collection, after).await;
    hands.pass(8 * DAY);
    let scrub = wait_for_own(&protected, WorkKind::Scrub, |job| job.state == JobState::Succeeded).await;
    assert!(matches!(scrub.result, Some(JobResult::Scrub(result)) if result.sound && result.points == 1), "{scrub:?}");
    assert_eq!(scrub.work, Work::Scrub { read_data: true });
    for _ in 0..100 {
        if domain.status().await.unwrap().pack_bytes < bytes / 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let status = domain.status().await.unwrap();
    assert!(status.pack_bytes < bytes / 2 && status.points == 1, "{} of {bytes}", status.pack_bytes);
    protected.keyed.restore(domain, &source.path().join("out")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_purged_is_freed_soon() {
    let duties = vault::Duties { collection_hours: 1000, ..by_hand().duties };
    let protected = Protected::at(Config { duties, ..by_hand() }, Arc::new(Hands::default())).await;
    let made = make_points(&protected, tempfile::tempdir().unwrap().path(), 2).await;
    let domain = protected.domain().await;
    domain.expire(&made[..1]).await.unwrap();
    domain.purge(&made[..1]).await.unwrap();
    wait_for_own(&protected, WorkKind::Collection, |job| job.state == JobState::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_purged_is_freed_soon_also_where_its_round_of_retention_fails_behind_that() {
    let hands = Arc::new(Hands::default());
    let duties = vault::Duties { collection_hours: 1000, ..by_hand().duties };
    let protected = Protected::at(Config { duties, ..by_hand() }, hands.clone()).await;
    make_points(&protected, tempfile::tempdir().unwrap().path(), 4).await;
    protect(&protected, short(100)).await;
    hands.pass(3 * DAY);
    assert_eq!(crate::retention::retain(&protected, 1).await.1.expired, 3);
    let pool = crate::told::database(protected.running.directory.path()).await;
    let failing = "CREATE TRIGGER failing BEFORE DELETE ON points BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(failing).execute(&pool).await.unwrap();
    pool.close().await;
    hands.pass(3 * DAY);
    ask(protected.admin(), 2, Work::Retention).await.unwrap();
    wait_for(protected.admin(), JobId([2; 16]), JobState::Failed).await;
    wait_for_own(&protected, WorkKind::Collection, |job| job.state == JobState::Succeeded).await;
    let listed = protected.domain().await.points(PointFilter { item: None, deleted: true }).await.unwrap();
    assert_eq!(listed.len(), 1, "they were purged");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_a_duty_gets_a_job_with_what_came_of_it() {
    let protected = Protected::at(by_hand(), Arc::new(Hands::default())).await;
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 1).await;
    let admin = protected.admin();
    ask(admin, 1, Work::Collection).await.unwrap();
    let collected = wait_for(admin, JobId([1; 16]), JobState::Succeeded).await;
    assert!(matches!(collected.result, Some(JobResult::Collection(_))) && collected.origin == JobOrigin::Person);
    ask(admin, 2, Work::Scrub { read_data: true }).await.unwrap();
    let mut events = admin.follow_job(DOMAIN, JobId([2; 16])).await.unwrap();
    let mut last = None;
    while let Some(job) = events.next().await.unwrap() {
        last = Some(job);
    }
    let last = last.unwrap();
    assert!(matches!(last.result, Some(JobResult::Scrub(result)) if result.bytes_read > 0), "{last:?}");
    admin.cancel_job(DOMAIN, JobId([2; 16])).await.unwrap();
    assert_eq!(admin.job(DOMAIN, JobId([2; 16])).await.unwrap().state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_that_finds_damage_names_it() {
    let protected = Protected::at(by_hand(), Arc::new(Hands::default())).await;
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 1).await;
    let packs = protected.running.directory.path().join("data/vault/objects").join(DOMAIN.to_string()).join("pack");
    let files = std::fs::read_dir(packs).unwrap().flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let largest = files.map(|file| file.unwrap()).max_by_key(|file| file.metadata().unwrap().len()).unwrap().path();
    let mut bytes = std::fs::read(&largest).unwrap();
    bytes[5000] ^= 1;
    let mut permissions = std::fs::metadata(&largest).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(&largest, permissions).unwrap();
    std::fs::write(&largest, bytes).unwrap();
    ask(protected.admin(), 1, Work::Scrub { read_data: true }).await.unwrap();
    let job = wait_for(protected.admin(), JobId([1; 16]), JobState::Warnings).await;
    assert!(matches!(job.result, Some(JobResult::Scrub(result)) if !result.sound && result.damaged_copies > 0), "{job:?}");
    let log = protected.admin().job_log(DOMAIN, JobId([1; 16])).await.unwrap();
    assert!(
        log.lines[0].text.ends_with("is damaged, and there is no other") && job.warnings_count == log.lines.len() as u64,
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_that_cannot_be_done_fails_with_the_reason_and_one_of_nowhere_is_refused() {
    let protected = Protected::at(by_hand(), Arc::new(Hands::default())).await;
    let admin = protected.admin();
    let nowhere = api::JobRequest { job: JobId([1; 16]), work: Work::Collection };
    let refused = admin.begin_job(format::DomainId([9; 16]), &nowhere).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    make_points(&protected, tempfile::tempdir().unwrap().path(), 1).await;
    // Somebody else wrote into the domain: this authority must not go on.
    let objects = protected.running.directory.path().join("data/vault/objects");
    let entry = |number| objects.join(format::names::journal(DOMAIN, format::JournalNumber(number)));
    std::fs::copy(entry(1), entry(100)).unwrap();
    ask(admin, 2, Work::Collection).await.unwrap();
    let job = wait_for(admin, JobId([2; 16]), JobState::Failed).await;
    assert!(job.problem.is_some_and(|problem| !problem.message.is_empty() && problem.hint.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_stops_when_somebody_wants_it_to_and_the_next_one_is_done() {
    let protected = Protected::at(by_hand(), Arc::new(Hands::default())).await;
    let source = tempfile::tempdir().unwrap();
    for number in 0..6 {
        std::fs::write(source.path().join(format!("{number}")), crate::running::noise(number, 32 << 20)).unwrap();
    }
    protected.keyed.backup(protected.domain().await, source.path()).await.unwrap();
    let admin = protected.admin();
    let scrub = ask(admin, 1, Work::Scrub { read_data: true }).await.unwrap();
    ask(admin, 2, Work::Collection).await.unwrap();
    let mut events = admin.follow_job(DOMAIN, scrub.job).await.unwrap();
    while events.next().await.unwrap().unwrap().state == JobState::Waiting {}
    assert_eq!(admin.job(DOMAIN, JobId([2; 16])).await.unwrap().state, JobState::Waiting, "one at a time");
    admin.cancel_job(DOMAIN, scrub.job).await.unwrap();
    let cancelled = wait_for(admin, scrub.job, JobState::Cancelled).await;
    assert!(cancelled.result.is_none() && cancelled.ended_ms.is_some());
    wait_for(admin, JobId([2; 16]), JobState::Succeeded).await;
    assert_eq!(protected.domain().await.status().await.unwrap().sessions_open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_the_service_that_was_running_when_it_died_is_interrupted() {
    let (hands, config) = (Arc::new(Hands::default()), by_hand());
    let protected = Protected::at(config.clone(), hands.clone()).await;
    make_points(&protected, tempfile::tempdir().unwrap().path(), 1).await;
    ask(protected.admin(), 1, Work::Scrub { read_data: true }).await.unwrap();
    wait_for(protected.admin(), JobId([1; 16]), JobState::Succeeded).await;
    let Protected { running, admin_token, keyed } = protected;
    let directory = running.stop().await;
    // As it is while the work is done.
    let database = directory.path().join("data/service.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", database.display())).await.unwrap();
    sqlx::query("UPDATE jobs SET state = 'running', ended_ms = NULL, result = NULL").execute(&pool).await.unwrap();
    pool.close().await;
    let running = crate::running::Running::start_at(directory, config, hands).await;
    let admin = running.client(&admin_token);
    let job = admin.job(DOMAIN, JobId([1; 16])).await.unwrap();
    assert!(job.state == JobState::Interrupted && job.ended_ms.is_some() && job.result.is_none(), "{job:?}");
    drop(keyed);
    let domain = contract::Vault::domain(&admin, DOMAIN).await.unwrap();
    assert_eq!(domain.points(PointFilter::default()).await.unwrap().len(), 1);
}
