//! Retention through the service, of real points, at times that a test sets.

use crate::jobs::{ask, run_of, wait_for};
use crate::protection::{files, name, nightly, set_item, set_policy};
use crate::running::{DOMAIN, Hands, Protected, item};
use api::{ClockStanding, ItemPoint, ItemRequest, JobResult, JobState, PolicyRequest, RetentionResult, ReviewBody, Work};
use contract::{ErrorKind, PointFilter};
use format::{JobId, PointId};
use policy::{PolicySettings, RetentionSettings};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vault::{Config, Duties};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: i64 = 86_400_000;

/// Nothing is done unless somebody asks for it.
pub(crate) fn by_hand() -> Config {
    let duties = Duties { retention_minutes: 0, collection_hours: 0, scrub_hours: 0, scrub_read_data: true };
    Config { duties, ..Config::default() }
}

/// Everything is kept as shortly as a policy can.
pub(crate) fn short(review_percent: u32) -> PolicySettings {
    let retention = RetentionSettings {
        recent_days: 1,
        daily: 1,
        weekly: 0,
        monthly: 0,
        yearly: 0,
        floor: 1,
        on_demand_days: 1,
        minimum_days: 0,
        soft_delete_days: 2,
        review_percent,
    };
    PolicySettings { retention, ..nightly() }
}

/// So many points of the item, each of another content.
pub(crate) async fn make_points(protected: &Protected, source: &Path, count: u64) -> Vec<PointId> {
    let mut points = Vec::new();
    for number in 0..count {
        std::fs::write(source.join("file"), crate::running::noise(number + 100, 200_000)).unwrap();
        points.push(protected.keyed.backup(protected.domain().await, source).await.unwrap().point.point);
    }
    points
}

/// Gives the item a policy although it has points.
pub(crate) async fn protect(protected: &Protected, settings: PolicySettings) {
    set_policy(protected.admin(), "short", settings).await.unwrap();
    let request = ItemRequest { files: files("/srv"), policy: Some(name("short")), weaken: true };
    protected.admin().set_item(DOMAIN, &item("item"), &request).await.unwrap();
}

pub(crate) async fn retain(protected: &Protected, job: u8) -> (JobState, RetentionResult) {
    let asked = ask(protected.admin(), job, Work::Retention).await.unwrap();
    for _ in 0..200 {
        let now = protected.admin().job(DOMAIN, asked.job).await.unwrap();
        if let (true, Some(JobResult::Retention(result))) = (now.state.is_over(), &now.result) {
            return (now.state, *result);
        }
        assert!(!now.state.is_over(), "{now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("retention does not end");
}

pub(crate) async fn points(protected: &Protected) -> Vec<ItemPoint> {
    protected.admin().item_points(DOMAIN, &item("item")).await.unwrap().points
}

async fn listed(protected: &Protected, deleted: bool) -> usize {
    protected.domain().await.points(PointFilter { item: None, deleted }).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn points_expire_are_purged_and_say_so_before() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 4).await;
    let before = points(&protected).await;
    assert!(before.iter().all(|point| point.expires_ms.is_none() && point.reason.contains("protected no more")), "{before:?}");
    protect(&protected, short(100)).await;
    assert_eq!(retain(&protected, 1).await, (JobState::Succeeded, RetentionResult { items: 1, ..RetentionResult::default() }));
    let planned = points(&protected).await;
    assert!(planned[..3].iter().all(|point| point.expires_ms.is_some() && point.reason.starts_with("kept as")), "{planned:?}");
    assert!(planned[3].expires_ms.is_none() && planned[3].reason.contains("the newest point"), "{planned:?}");
    hands.pass(3 * DAY);
    let (state, result) = retain(&protected, 2).await;
    assert_eq!((state, result.expired, result.purged), (JobState::Succeeded, 3, 0));
    let deleted = points(&protected).await;
    assert!(deleted[..3].iter().all(|point| point.deleted_ms.is_some() && point.purged_ms.is_some()), "{deleted:?}");
    assert_eq!((listed(&protected, false).await, listed(&protected, true).await), (1, 4));
    hands.pass(Duration::from_secs(47 * 3600));
    assert_eq!(retain(&protected, 3).await.1.purged, 0, "they can still be brought back");
    hands.pass(Duration::from_secs(2 * 3600));
    assert_eq!(retain(&protected, 4).await.1.purged, 3);
    assert_eq!((listed(&protected, true).await, points(&protected).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_many_would_expire_nothing_does_until_a_person_has_looked() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let admin = protected.admin();
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 5).await;
    protect(&protected, short(25)).await;
    let (review, wrong) = (ReviewBody { expiring: 4, points: 5 }, ReviewBody { expiring: 5, points: 5 });
    let refused = async |review| admin.accept_review(DOMAIN, &item("item"), review).await.unwrap_err().kind();
    assert_eq!(refused(review).await, ErrorKind::Conflict, "nothing waits yet");
    hands.pass(3 * DAY);
    let (state, result) = retain(&protected, 1).await;
    assert_eq!((state, result.reviews, result.expired), (JobState::Warnings, 1, 0));
    let log = admin.job_log(DOMAIN, JobId([1; 16])).await.unwrap();
    assert!(log.lines[0].text.contains("4 of 5 points would expire"), "{log:?}");
    assert_eq!(admin.item(DOMAIN, &item("item")).await.unwrap().review, Some(review));
    assert!(points(&protected).await[0].reason.ends_with("waits until a person has looked"));
    assert_eq!(refused(wrong).await, ErrorKind::Conflict);
    assert_eq!(listed(&protected, false).await, 5);
    admin.accept_review(DOMAIN, &item("item"), review).await.unwrap();
    admin.accept_review(DOMAIN, &item("item"), review).await.unwrap();
    assert_eq!((listed(&protected, false).await, listed(&protected, true).await), (1, 5));
    assert_eq!(admin.item(DOMAIN, &item("item")).await.unwrap().review, None);
    assert_eq!(refused(wrong).await, ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_a_year_ahead_and_back_expires_nothing() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 4).await;
    protect(&protected, short(100)).await;
    let standing = async |protected: &Protected| protected.admin().clock().await.unwrap().standing;
    assert_eq!(standing(&protected).await, ClockStanding::Together);
    let before = protected.admin().clock().await.unwrap().now_ms;
    hands.set_ahead(365 * DAY_MS);
    assert_eq!(standing(&protected).await, ClockStanding::Waiting);
    assert_eq!(retain(&protected, 1).await.1.expired, 0);
    hands.pass(Duration::from_secs(5 * 3600));
    let protected = protected.restart(by_hand(), hands.clone()).await;
    assert_eq!(standing(&protected).await, ClockStanding::Waiting, "a restart believes nothing either");
    assert_eq!(retain(&protected, 2).await.1.expired, 0);
    let now = protected.admin().clock().await.unwrap().now_ms;
    assert!((5 * 3_600_000..5 * 3_600_000 + 60_000).contains(&(now - before)), "the time that passed counts: {}", now - before);
    hands.set_ahead(-366 * DAY_MS);
    assert_eq!(standing(&protected).await, ClockStanding::Standing);
    assert_eq!(retain(&protected, 3).await.1.expired, 0);
    hands.set_ahead(DAY_MS);
    assert_eq!(standing(&protected).await, ClockStanding::Together);
    assert_eq!((retain(&protected, 4).await.1.expired, listed(&protected, false).await), (0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_great_gap_waits_for_an_administrator_and_is_then_caught_up_a_day_an_hour() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let admin = protected.admin();
    let clock = admin.clock().await.unwrap();
    assert_eq!(admin.acknowledge_clock(clock.wall_ms).await.unwrap_err().kind(), ErrorKind::Conflict, "it waits for nothing");
    hands.set_ahead(40 * DAY_MS);
    let wall_ms = admin.clock().await.unwrap().wall_ms;
    assert_eq!(admin.acknowledge_clock(wall_ms - 2 * 3_600_000).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(admin.acknowledge_clock(i64::MAX).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(admin.acknowledge_clock(wall_ms).await.unwrap().standing, ClockStanding::CatchingUp);
    hands.pass(Duration::from_secs(3600));
    let caught_up = admin.clock().await.unwrap().now_ms - clock.now_ms;
    assert!((DAY_MS + 3_600_000..DAY_MS + 3_700_000 + 30_000 * 24).contains(&caught_up), "{caught_up}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_brought_back_expires_by_a_persons_hand_only() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    let made = make_points(&protected, source.path(), 3).await;
    protect(&protected, short(100)).await;
    hands.pass(3 * DAY);
    assert_eq!(retain(&protected, 1).await.1.expired, 2);
    let domain = protected.domain().await;
    domain.undelete(&[made[0], made[2]]).await.unwrap();
    assert!(points(&protected).await[2].reason.contains("the newest point"), "it was there all the time");
    hands.pass(3 * DAY);
    let result = retain(&protected, 2).await.1;
    assert_eq!((result.expired, result.purged), (0, 1));
    assert!(points(&protected).await[0].reason.contains("a person brought it back"));
    domain.expire(&made[..1]).await.unwrap();
    assert_eq!(retain(&protected, 3).await.1.purged, 0, "its days begin when it was let go");
    hands.pass(Duration::from_secs(49 * 3600));
    assert_eq!(retain(&protected, 4).await.1.purged, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_back_half_way_does_not_expire_again() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    let made = make_points(&protected, source.path(), 3).await;
    protect(&protected, short(100)).await;
    hands.pass(3 * DAY);
    assert_eq!(retain(&protected, 1).await.1.expired, 2);
    let pool = crate::told::database(protected.running.directory.path()).await;
    let fails = "CREATE TRIGGER fails BEFORE UPDATE OF deleted_ms ON points WHEN NEW.deleted_ms IS NULL \
                 BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(fails).execute(&pool).await.unwrap();
    protected.domain().await.undelete(&made[..1]).await.unwrap_err();
    assert_eq!(listed(&protected, false).await, 2, "the vault has brought it back");
    sqlx::query("DROP TRIGGER fails").execute(&pool).await.unwrap();
    assert_eq!(retain(&protected, 2).await.1.expired, 0);
    assert!(points(&protected).await[0].reason.contains("a person brought it back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn points_of_an_item_without_a_policy_never_expire_and_one_is_given_only_if_that_is_said() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let admin = protected.admin();
    let source = tempfile::tempdir().unwrap();
    let made = make_points(&protected, source.path(), 3).await;
    set_item(admin, DOMAIN, None).await.unwrap();
    set_policy(admin, "short", short(100)).await.unwrap();
    protected.domain().await.expire(&made[..1]).await.unwrap();
    hands.pass(400 * DAY);
    assert_eq!(retain(&protected, 1).await.1, RetentionResult::default());
    let now = points(&protected).await;
    assert!(now[0].deleted_ms.is_some() && now[0].purged_ms.is_none() && now[1].reason.contains("no policy"), "{now:?}");
    let error = set_item(admin, DOMAIN, Some("short")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("instead of never"), "{error}");
    // Nor is there a way around over another name, or none.
    admin.remove_item(DOMAIN, &item("item")).await.unwrap();
    assert_eq!(set_item(admin, DOMAIN, Some("short")).await.unwrap_err().kind(), ErrorKind::Denied);
    protect(&protected, short(100)).await;
    let weaken = PolicyRequest { settings: PolicySettings::new("Nothing", "UTC"), weaken: true };
    admin.set_policy(&name("short"), &weaken).await.unwrap();
    set_item(admin, DOMAIN, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_overdue_by_the_vaults_clock_and_by_a_wall_clock_that_may_be_right_until_it_has_a_whole_point() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let admin = protected.admin();
    set_policy(admin, "nightly", PolicySettings { objective_minutes: Some(1560), ..nightly() }).await.unwrap();
    set_item(admin, DOMAIN, Some("nightly")).await.unwrap();
    let overdue = async || admin.item(DOMAIN, &item("item")).await.unwrap().overdue_since_ms;
    hands.set_ahead(20 * DAY_MS);
    assert_eq!(overdue().await, None, "a wall clock that jumped makes nothing overdue");
    hands.set_ahead(380 * DAY_MS);
    assert!(overdue().await.is_some(), "it may be right, and somebody has to look");
    let source = tempfile::tempdir().unwrap();
    make_points(&protected, source.path(), 1).await;
    hands.set_ahead(-400 * DAY_MS);
    assert_eq!(overdue().await, None);
    let pool = crate::told::database(protected.running.directory.path()).await;
    sqlx::query("UPDATE points SET received_ms = received_ms + ?").bind(400 * DAY_MS).execute(&pool).await.unwrap();
    assert_eq!(overdue().await, None);
    hands.pass(Duration::from_secs(27 * 3600));
    assert!(overdue().await.is_some(), "the point is of a time that has not come");
    let metrics = async || {
        let answer = crate::requests::ask(&protected.running, "GET", "/metrics", Some(&protected.admin_token), vec![]).await;
        String::from_utf8(answer.body).unwrap()
    };
    for _ in 0..100 {
        if metrics().await.contains("\nholdfast_items_overdue 1\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let text = metrics().await;
    assert!(text.contains("\nholdfast_items_overdue 1\n") && text.contains("holdfast_clock_standing{standing=\"together\"} 1"));
    let (agent, key) = (protected.running.client(&protected.agent_token().await), protected.keyed.signer().key());
    agent.report_job(DOMAIN, JobId([1; 16]), &run_of(key, 1, JobState::Failed)).await.unwrap();
    wait_for(admin, JobId([1; 16]), JobState::Failed).await;
    assert!(metrics().await.contains("holdfast_jobs{kind=\"backup\",state=\"failed\"} 1"));
    assert!(overdue().await.is_some(), "a run that failed made no point");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_purges_and_expires_no_more_by_a_policy_that_was_replaced_meanwhile() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    let made = make_points(&protected, source.path(), 3).await;
    protect(&protected, short(100)).await;
    protected.domain().await.expire(&made[..1]).await.unwrap();
    hands.pass(3 * DAY);
    let pool = crate::told::database(protected.running.directory.path()).await;
    let mut longer = short(100);
    longer.retention.soft_delete_days = 30;
    // As if somebody set it while the first points expired.
    let replaces = format!(
        "CREATE TRIGGER replaces AFTER UPDATE OF deleted_ms ON points BEGIN UPDATE policies SET settings = '{}'; END",
        serde_json::to_string(&longer).unwrap()
    );
    sqlx::query(sqlx::AssertSqlSafe(replaces)).execute(&pool).await.unwrap();
    let (state, result) = retain(&protected, 1).await;
    assert_eq!((state, result.expired, result.purged), (JobState::Warnings, 1, 0));
    let log = protected.admin().job_log(DOMAIN, JobId([1; 16])).await.unwrap();
    assert!(log.lines[0].text.contains("its policy changed meanwhile"), "{log:?}");
    sqlx::query("DROP TRIGGER replaces").execute(&pool).await.unwrap();
    assert_eq!((retain(&protected, 2).await.1.purged, listed(&protected, true).await), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_lets_expire_is_deleted_since_then_also_if_it_was_brought_back_half_way_before() {
    let hands = Arc::new(Hands::default());
    let protected = Protected::at(by_hand(), hands.clone()).await;
    let source = tempfile::tempdir().unwrap();
    let made = make_points(&protected, source.path(), 2).await;
    protect(&protected, short(100)).await;
    protected.domain().await.expire(&made[..1]).await.unwrap();
    let pool = crate::told::database(protected.running.directory.path()).await;
    let fails = "CREATE TRIGGER fails BEFORE UPDATE OF deleted_ms ON points WHEN NEW.deleted_ms IS NULL \
                 BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(fails).execute(&pool).await.unwrap();
    protected.domain().await.undelete(&made[..1]).await.unwrap_err();
    sqlx::query("DROP TRIGGER fails").execute(&pool).await.unwrap();
    hands.pass(3 * DAY);
    protected.domain().await.expire(&made[..1]).await.unwrap();
    assert_eq!(retain(&protected, 1).await.1.purged, 0, "its days begin when it was let go");
    hands.pass(3 * DAY);
    assert_eq!(retain(&protected, 2).await.1.purged, 1);
}
