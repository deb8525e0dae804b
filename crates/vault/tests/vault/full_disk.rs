//! A disk that is full or nearly so: who has the reserve, and what waits.
//!
//! Needs to mount a tmpfs; where that is not allowed, the tests say so and end.

use crate::duties::wait_for_own;
use crate::jobs::{ask, run_of, wait_for, with_item};
use crate::retention::{DAY, by_hand, make_points, protect, short};
use crate::running::{DOMAIN, Hands, Protected, item, noise};
use api::{JobResult, JobState, JobWarning, JobsQuery, LogLine, Work, WorkKind};
use contract::{CollectOptions, ErrorKind, OpenSession};
use format::JobId;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testkit::SmallDisk;
use vault::{Config, Duties};

/// A service with a disk of its own, whose reserve has one MiB.
struct OnSmallDisk {
    /// First: a directory with something mounted in it is not removed.
    disk: SmallDisk,
    protected: Protected,
    hands: Arc<Hands>,
}

impl OnSmallDisk {
    async fn new(config: Config) -> Option<Self> {
        let (directory, hands) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(Hands::default()));
        let disk = SmallDisk::mount(directory.path().join("data"), 24_000)?;
        let protected = Protected::in_directory(directory, config, hands.clone()).await;
        Some(Self { disk, protected, hands })
    }

    fn reserve(&self) -> PathBuf {
        self.disk.path().join("reserve")
    }

    /// From now on a change takes much room, as that of many rows does.
    async fn make_large(&self, database: &str, change: &str, bytes: usize, times: usize) {
        let path = format!("sqlite://{}", self.disk.path().join(database).display());
        let pool = sqlx::SqlitePool::connect(&path).await.unwrap();
        let large = format!(
            "CREATE TABLE ballast (bytes BLOB); \
             CREATE TRIGGER large {change} WHEN (SELECT count(*) FROM ballast) < {times} \
             BEGIN INSERT INTO ballast VALUES (randomblob({bytes})); END"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(large)).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_does_not_have_the_reserve_to_read_and_an_administrator_has() {
    let Some(on) = OnSmallDisk::new(by_hand()).await else { return };
    let points = make_points(&on.protected, tempfile::tempdir().unwrap().path(), 1).await;
    let agent = on.protected.running.client(&on.protected.agent_token().await);
    let of_agent = contract::Vault::domain(&agent, DOMAIN).await.unwrap();
    on.make_large("vault/vault.db", "AFTER INSERT ON sessions", 500_000, 1000).await;
    on.disk.fill_but(300);
    for _ in 0..3 {
        assert_eq!(of_agent.open_reader(points[0]).await.unwrap_err().kind(), ErrorKind::Full);
    }
    assert!(on.reserve().exists(), "an agent has it");
    on.protected.domain().await.open_reader(points[0]).await.unwrap();
    assert!(!on.reserve().exists(), "it was not needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_nearly_full_reports_are_taken_without_what_they_tell_at_length() {
    let Some(on) = OnSmallDisk::new(by_hand()).await else { return };
    let (agent, key) = with_item(&on.protected).await;
    let (admin, id) = (on.protected.admin(), JobId([7; 16]));
    let line = LogLine { time_ms: 1, text: "much".to_owned() };
    let warning = JobWarning { path: "/x".to_owned(), path_b64: None, kind: "gone".to_owned(), detail: "much".to_owned() };
    let report = async |state, lines| {
        let mut report = run_of(key, 1000, state);
        (report.log, report.warnings, report.warnings_count) = (vec![line.clone(); lines], vec![warning.clone()], 1);
        agent.report_job(DOMAIN, id, &report).await.unwrap();
        let (job, log) = (admin.job(DOMAIN, id).await.unwrap(), admin.job_log(DOMAIN, id).await.unwrap());
        (job.state, job.warnings_count, log.lines.len(), log.warnings.len())
    };
    on.disk.fill_but(700);
    assert_eq!(report(JobState::Running, 2).await, (JobState::Running, 1, 0, 0));
    assert_eq!(report(JobState::Running, 0).await, (JobState::Running, 1, 0, 0));
    on.disk.make_room();
    assert_eq!(report(JobState::Running, 0).await, (JobState::Running, 1, 0, 1), "told again, and stored now");
    assert_eq!(report(JobState::Running, 2).await, (JobState::Running, 1, 2, 1));
    on.disk.fill_but(700);
    assert_eq!(report(JobState::Running, 5).await, (JobState::Running, 1, 2, 1), "what is stored stays");
    assert_eq!(report(JobState::Succeeded, 6).await, (JobState::Succeeded, 1, 2, 1));
    assert!(on.reserve().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_nearly_full_nothing_is_begun_or_stored_on_the_way_and_what_is_whole_is_committed() {
    let Some(on) = OnSmallDisk::new(by_hand()).await else { return };
    let (domain, session) = (on.protected.domain().await, format::SessionId([1; 16]));
    let copy = (format::PackName([1; 16]), format::BlobId([1; 32]));
    on.disk.fill_but(700);
    let begun = domain.open_session(OpenSession { item: item("item"), agent: on.protected.keyed.signer().key() }).await;
    assert_eq!(begun.map(drop).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(domain.checkpoint(session, "x".into()).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(domain.report_unreadable(&[copy]).await.unwrap_err().kind(), ErrorKind::Full);
    assert_ne!(domain.commit(session, "x".into()).await.unwrap_err().kind(), ErrorKind::Full);
    on.disk.make_room();
    assert_ne!(domain.checkpoint(session, "x".into()).await.unwrap_err().kind(), ErrorKind::Full);
    assert!(domain.report_unreadable(&[copy]).await.map_err(|error| error.kind()) != Err(ErrorKind::Full));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_on_a_full_disk_counts_once_for_what_an_interrupted_backup_left() {
    let Some(on) = OnSmallDisk::new(by_hand()).await else { return };
    let (source, domain) = (tempfile::tempdir().unwrap(), on.protected.domain().await);
    let points = make_points(&on.protected, source.path(), 2).await;
    domain.expire(&points[..1]).await.unwrap();
    domain.purge(&points[..1]).await.unwrap();
    std::fs::write(source.path().join("large"), noise(1, 40 << 20)).unwrap();
    on.protected.keyed.backup(domain.clone(), source.path()).await.unwrap_err();
    // Takes more room than is left, at the end of a collection, once.
    on.make_large("vault/vault.db", "AFTER DELETE ON condemned", 400_000, 1).await;
    on.disk.fill_but(300);
    let report = domain.collect(CollectOptions::default(), Arc::new(|_| ())).await.unwrap();
    assert!(report.bytes_spared > 5 << 20 && report.packs_deleted > 0, "{report:?}");
    assert!(!on.reserve().exists());
    on.disk.make_room();
    let report = domain.collect(CollectOptions::default(), Arc::new(|_| ())).await.unwrap();
    assert!(report.bytes_spared == 0 && report.packs_deleted > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_of_retention_has_the_reserve_once_something_would_come_of_it_and_scrubs_wait() {
    let duties = Duties { retention_minutes: 60, collection_hours: 0, scrub_hours: 1, scrub_read_data: true };
    let Some(on) = OnSmallDisk::new(Config { duties, ..Config::default() }).await else { return };
    make_points(&on.protected, tempfile::tempdir().unwrap().path(), 4).await;
    protect(&on.protected, short(100)).await;
    let own = async || on.protected.admin().jobs(&JobsQuery::default()).await.unwrap().jobs;
    while own().await.iter().all(|job| job.work != Work::Retention || job.state != JobState::Succeeded) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = own().await.len();
    // No duty can be begun in what is left.
    on.make_large("service.db", "AFTER INSERT ON jobs", 500_000, 1).await;
    on.disk.fill_but(300);
    ask(on.protected.admin(), 1, Work::Scrub { read_data: false }).await.unwrap_err();
    on.hands.pass(Duration::from_secs(2 * 3600));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(on.reserve().exists() && own().await.len() == before, "{:?}", own().await);
    on.hands.pass(3 * DAY);
    let expired = |job: &api::Job| matches!(&job.result, Some(JobResult::Retention(result)) if result.expired == 3);
    wait_for_own(&on.protected, WorkKind::Retention, expired).await;
    assert!(!on.reserve().exists());
    // What somebody asks for and makes no room waits for some.
    ask(on.protected.admin(), 2, Work::Scrub { read_data: false }).await.unwrap();
    ask(on.protected.admin(), 3, Work::Collection).await.unwrap();
    wait_for(on.protected.admin(), JobId([3; 16]), JobState::Succeeded).await;
    assert!(own().await.iter().all(|job| job.work.kind() != WorkKind::Scrub || job.state == JobState::Waiting));
    on.disk.make_room();
    wait_for(on.protected.admin(), JobId([2; 16]), JobState::Succeeded).await;
}
