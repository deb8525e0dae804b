//! What is told of points when they are committed.

use crate::jobs::{ask, backup, claim, report_of, run_of};
use crate::protection::nightly;
use crate::retention::{by_hand, make_points, points, protect};
use crate::running::{DOMAIN, Hands, Protected, Running, item};
use api::{BackupResult, Completeness, JobReport, JobResult, JobState, PointOrigin, PointTold, Scope};
use contract::{OpenSession, PointFilter, Vault};
use format::{JobId, PointId, SessionId};
use std::path::Path;
use std::sync::Arc;

const DEMANDED: PointTold =
    PointTold { job: Some(JobId([7; 16])), origin: PointOrigin::OnDemand, completeness: Completeness::Incomplete };
const UNKNOWN: (PointOrigin, Completeness) = (PointOrigin::Unknown, Completeness::Unknown);

fn result_of(point: PointId, completeness: Completeness) -> Option<JobResult> {
    Some(JobResult::Backup(BackupResult {
        point,
        sequence: 1,
        completeness,
        files: 1,
        directories: 1,
        others: 0,
        bytes: 1,
        entries_read: 1,
        entries_unchanged: 0,
        bytes_read: 1,
        bytes_stored: 1,
        left_out_count: 0,
    }))
}

/// A point of which this is told.
async fn tell(protected: &Protected, source: &Path, told: PointTold) -> PointId {
    std::fs::write(source.join("file"), format!("{told:?}")).unwrap();
    let client = protected.running.client_telling(&protected.admin_token, told);
    protected.keyed.backup(client.domain(DOMAIN).await.unwrap(), source).await.unwrap().point.point
}

async fn told(protected: &Protected) -> Vec<(PointOrigin, Completeness)> {
    points(protected).await.iter().map(|point| (point.origin, point.completeness)).collect()
}

/// The service's database of a service that was ended.
pub(crate) async fn database(directory: &Path) -> sqlx::SqlitePool {
    sqlx::SqlitePool::connect(&format!("sqlite://{}", directory.join("data/service.db").display())).await.unwrap()
}

async fn promises(pool: &sqlx::SqlitePool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM points WHERE promised IS NOT NULL").fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_point_is_comes_with_its_commit() {
    let protected = Protected::at(by_hand(), Arc::new(Hands::default())).await;
    crate::jobs::with_item(&protected).await;
    let source = tempfile::tempdir().unwrap();
    let told_of = PointTold { job: Some(JobId([8; 16])), completeness: Completeness::Warnings, ..DEMANDED };
    tell(&protected, source.path(), told_of).await;
    let now = points(&protected).await;
    assert_eq!((now[0].origin, now[0].completeness), (PointOrigin::OnDemand, Completeness::Warnings));
    assert!(now[0].place_ms <= now[0].received_ms && now[0].reason.contains("on-demand point"), "{now:?}");
    let newest = protected.admin().item(DOMAIN, &item("item")).await.unwrap().newest_ms;
    assert_eq!(newest, Some(now[0].received_ms));
    tell(&protected, source.path(), DEMANDED).await;
    make_points(&protected, source.path(), 1).await;
    let expected = [Completeness::Warnings, Completeness::Incomplete].map(|how| (PointOrigin::OnDemand, how));
    assert_eq!(told(&protected).await, [expected[0], expected[1], UNKNOWN], "of which nothing is told nothing is claimed");
    let path = |query: &str| format!("/v1/domains/{DOMAIN}/sessions/{}/point?{query}", SessionId([9; 16]));
    for query in ["origin=nobody", "completeness=half", "job=7", "more=1"] {
        let answer = crate::requests::ask(&protected.running, "POST", &path(query), Some(&protected.admin_token), vec![]).await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_program_took_for_scheduled_without_being_told_is_unknown() {
    let (hands, config) = (Arc::new(Hands::default()), by_hand());
    let protected = Protected::at(config.clone(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    tell(&protected, source.path(), DEMANDED).await;
    make_points(&protected, source.path(), 1).await;
    let pool = database(protected.running.directory.path()).await;
    let older =
        "UPDATE points SET origin = 'scheduled', completeness = 'clean', agent = NULL WHERE job IS NULL; PRAGMA user_version = 4";
    sqlx::raw_sql(older).execute(&pool).await.unwrap();
    pool.close().await;
    let protected = protected.restart(config, hands).await;
    assert_eq!(told(&protected).await, [(DEMANDED.origin, DEMANDED.completeness), UNKNOWN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_points_whose_book_is_lost_the_service_claims_nothing_and_lets_none_go_early() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    tell(&protected, source.path(), DEMANDED).await;
    let Protected { running, keyed, .. } = protected;
    let directory = running.stop().await;
    for file in ["service.db", "service.db-wal", "service.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join("data").join(file));
    }
    let running = Running::start_at(directory, by_hand(), hands.clone()).await;
    let one_time = running.one_time.clone().unwrap();
    let admin_token = running.client(&one_time).redeem("administrator").await.unwrap().secret;
    let keyed = crate::running::Keyed { vault: running.client(&admin_token), ..keyed };
    let protected = Protected { running, admin_token, keyed };
    protect(&protected, crate::retention::short(100)).await;
    assert_eq!(told(&protected).await, [UNKNOWN]);
    tell(&protected, source.path(), PointTold { completeness: Completeness::Clean, ..DEMANDED }).await;
    // As if a schedule had made it, and whole: it stands for its day.
    let first = points(&protected).await.remove(0);
    assert!(first.reason.contains("day") && !first.reason.contains("on-demand"), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_point_that_is_there_nobody_tells_anything_any_more() {
    let protected = Protected::at(by_hand(), Arc::new(Hands::default())).await;
    let source = tempfile::tempdir().unwrap();
    let old = make_points(&protected, source.path(), 2).await;
    protect(&protected, nightly()).await;
    let (token, key) = (protected.agent_token().await, protected.keyed.signer().key());
    let agent = protected.running.client(&token);
    let incomplete = |point| result_of(point, Completeness::Incomplete);
    // A run that it tells of before and after, and a job that somebody asked for.
    agent.report_job(DOMAIN, JobId([1; 16]), &run_of(key, 1, JobState::Running)).await.unwrap();
    let new = make_points(&protected, source.path(), 1).await;
    for point in old.iter().chain(&new) {
        let run = JobReport { result: incomplete(*point), ..run_of(key, 1, JobState::Warnings) };
        agent.report_job(DOMAIN, JobId(point.0[..16].try_into().unwrap()), &run).await.unwrap();
    }
    let run = JobReport { result: incomplete(new[0]), ..run_of(key, 1, JobState::Warnings) };
    agent.report_job(DOMAIN, JobId([1; 16]), &run).await.unwrap();
    ask(protected.admin(), 2, backup()).await.unwrap();
    let taken = agent.claim_job(DOMAIN, &claim(key)).await.unwrap().unwrap();
    let report = JobReport { result: incomplete(old[1]), ..report_of(&taken, key, JobState::Warnings) };
    agent.report_job(DOMAIN, taken.job, &report).await.unwrap();
    // The same records again, in a session of their own.
    let domain = agent.domain(DOMAIN).await.unwrap();
    let telling = protected.running.client_telling(&token, DEMANDED).domain(DOMAIN).await.unwrap();
    for point in domain.points(PointFilter::default()).await.unwrap() {
        let opened = domain.open_session(OpenSession { item: item("item"), agent: key }).await.unwrap();
        assert_eq!(telling.commit(opened.session, point.record).await.unwrap().point, point.id);
        telling.abandon_session(opened.session).await.unwrap();
    }
    assert_eq!(told(&protected).await, [UNKNOWN; 3]);
    let protected = protected.restart(by_hand(), Arc::new(Hands::default())).await;
    assert_eq!(told(&protected).await, [UNKNOWN; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_run_completes_no_slot_and_none_takes_one_back() {
    let protected = Protected::new().await;
    let (agent, key) = crate::jobs::with_item(&protected).await;
    let last_slot = async |job: u8, slot_ms, completeness| {
        let result = result_of(PointId([1; 32]), completeness);
        let run = JobReport { result, ..run_of(key, slot_ms, JobState::Warnings) };
        agent.report_job(DOMAIN, JobId([job; 16]), &run).await.unwrap();
        agent.protection(DOMAIN).await.unwrap().items[0].last_slot_ms
    };
    assert_eq!(last_slot(1, 5000, Completeness::Warnings).await, Some(5000));
    assert_eq!(last_slot(2, 9000, Completeness::Incomplete).await, Some(5000));
    assert_eq!(last_slot(3, 3000, Completeness::Clean).await, Some(5000));
    assert_eq!(last_slot(4, i64::MAX, Completeness::Clean).await, Some(5000), "it has not come yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_not_lost_when_the_service_ends_before_it_knows_that_the_point_is_there() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 1).await;
    tell(&protected, source.path(), DEMANDED).await;
    let places: Vec<i64> = points(&protected).await.iter().map(|point| point.place_ms).collect();
    let Protected { running, admin_token, keyed } = protected;
    let directory = running.stop().await;
    let pool = database(directory.path()).await;
    sqlx::query("UPDATE points SET promised = zeroblob(16), received_ms = place_ms").execute(&pool).await.unwrap();
    pool.close().await;
    let running = Running::start_at(directory.clone(), by_hand(), hands).await;
    let keyed = crate::running::Keyed { vault: running.client(&admin_token), ..keyed };
    let protected = Protected { running, admin_token, keyed };
    assert_eq!(told(&protected).await, [UNKNOWN, (DEMANDED.origin, DEMANDED.completeness)]);
    assert_eq!(points(&protected).await.iter().map(|point| point.place_ms).collect::<Vec<_>>(), places);
    assert_eq!(promises(&database(directory.path()).await).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promised_point_is_none_and_stays_promised_for_as_long_as_its_session_is_known() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    crate::jobs::with_item(&protected).await;
    let agent = protected.keyed.signer().key();
    let opened = protected.domain().await.open_session(OpenSession { item: item("item"), agent }).await.unwrap();
    let insert = "INSERT INTO points (domain, id, item, sequence, place_ms, received_ms, origin, completeness, held, promised) \
                  VALUES (?, ?, 'item', 1, 1, 1, 'scheduled', 'clean', 0, ?)";
    let pool = database(protected.running.directory.path()).await;
    for (id, session) in [(1, opened.session), (2, SessionId([9; 16]))] {
        let row = sqlx::query(insert).bind(DOMAIN.0.to_vec()).bind(vec![id; 32]).bind(session.0.to_vec());
        row.execute(&pool).await.unwrap();
    }
    let unseen = async |protected: &Protected| {
        assert!(points(protected).await.is_empty());
        assert_eq!(protected.admin().item(DOMAIN, &item("item")).await.unwrap().newest_ms, None);
    };
    unseen(&protected).await;
    assert_eq!(promises(&pool).await, 2);
    pool.close().await;
    let protected = protected.restart(by_hand(), hands).await;
    unseen(&protected).await;
    let pool = database(protected.running.directory.path()).await;
    assert_eq!(promises(&pool).await, 1, "of one the session is known no more");
    // A record that cannot be taken leaves no promise.
    let telling = protected.running.client_telling(&protected.admin_token, DEMANDED).domain(DOMAIN).await.unwrap();
    telling.commit(opened.session, vec![1; 100].into()).await.unwrap_err();
    assert_eq!(promises(&pool).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_own_token_tells_what_its_points_are() {
    let protected = Protected::at(by_hand(), Arc::new(Hands::default())).await;
    crate::jobs::with_item(&protected).await;
    let scope = Scope::Agent { domain: DOMAIN, agent: protected.keyed.signer().key() };
    let token = protected.admin().issue_token("agent", scope).await.unwrap().secret;
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("file"), "content").unwrap();
    let client = protected.running.client_telling(&token, DEMANDED);
    protected.keyed.backup(client.domain(DOMAIN).await.unwrap(), source.path()).await.unwrap();
    assert_eq!(told(&protected).await, [(DEMANDED.origin, DEMANDED.completeness)]);
}
