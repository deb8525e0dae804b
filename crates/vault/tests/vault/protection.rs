//! Policies and items: set, weakened, handed to agents.

use crate::running::{DOMAIN, OTHER_DOMAIN, Protected, item};
use api::{FileScope, ItemRequest, ItemsQuery, PolicyName, PolicyRequest, ServiceVault};
use contract::ErrorKind;
use format::DomainId;
use policy::{Days, ImpactLevel, ImpactSettings, PolicySettings, Schedule, Times};

pub(crate) fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

/// Every night at ten, in UTC.
pub(crate) fn nightly() -> PolicySettings {
    let schedule = Schedule { days: Days::Daily, times: Times::At(vec!["22:00".parse().unwrap()]) };
    PolicySettings { schedules: vec![schedule], ..PolicySettings::new("Every night", "UTC") }
}

pub(crate) fn files(path: &str) -> FileScope {
    FileScope { paths: vec![path.to_owned()], ..FileScope::default() }
}

pub(crate) async fn set_policy(client: &ServiceVault, policy: &str, settings: PolicySettings) -> contract::Result<()> {
    client.set_policy(&name(policy), &PolicyRequest { settings, weaken: false }).await.map(drop)
}

pub(crate) async fn set_item(client: &ServiceVault, domain: DomainId, policy: Option<&str>) -> contract::Result<()> {
    let request = ItemRequest { files: files("/srv"), policy: policy.map(name), weaken: false };
    client.set_item(domain, &item("item"), &request).await.map(drop)
}

fn denied(outcome: contract::Result<impl Sized>, what: &str) {
    let error = outcome.map(drop).unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains(what), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_and_its_policy_reach_the_agent_and_every_change_has_a_greater_revision() {
    let protected = Protected::new().await;
    let (admin, agent) = (protected.admin(), protected.running.client(&protected.agent_token().await));
    let nothing = agent.protection(DOMAIN).await.unwrap();
    assert_eq!((nothing.revision, nothing.items.len()), (0, 0));
    set_policy(admin, "nightly", nightly()).await.unwrap();
    set_item(admin, DOMAIN, Some("nightly")).await.unwrap();
    let first = agent.protection(DOMAIN).await.unwrap();
    assert!(first.revision > 0);
    assert_eq!((first.items[0].item.as_str(), first.items[0].policy.clone()), ("item", Some(nightly())));
    set_item(admin, DOMAIN, Some("nightly")).await.unwrap();
    assert_eq!(agent.protection(DOMAIN).await.unwrap(), first, "nothing changed");
    let stronger = PolicySettings { spread_minutes: 3, ..nightly() };
    set_policy(admin, "nightly", stronger.clone()).await.unwrap();
    let second = agent.protection(DOMAIN).await.unwrap();
    assert!(second.revision > first.revision && second.items[0].policy == Some(stronger));
    assert_eq!(second.items[0].since_ms, first.items[0].since_ms, "its slots are the same");
    admin.remove_item(DOMAIN, &item("item")).await.unwrap();
    let third = agent.protection(DOMAIN).await.unwrap();
    assert!(third.revision > second.revision && third.items.is_empty());
    assert_eq!(admin.protection(OTHER_DOMAIN).await.unwrap().revision, 0, "another domain has nothing to do with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_knows_no_impact_reads_the_policy_all_the_same() {
    let protected = Protected::new().await;
    let (admin, agent) = (protected.admin(), protected.running.client(&protected.agent_token().await));
    let impact = ImpactSettings { processor: ImpactLevel::Idle, ..ImpactSettings::default() };
    let gentle = PolicySettings { impact: impact.clone(), ..nightly() };
    set_policy(admin, "nightly", gentle.clone()).await.unwrap();
    set_item(admin, DOMAIN, Some("nightly")).await.unwrap();
    let told = agent.protection(DOMAIN).await.unwrap();
    // As it goes over the line, of the policy nothing is new; what is new stands where unknown fields are not refused.
    assert_eq!((told.items[0].policy.clone(), told.items[0].impact.clone()), (Some(nightly()), Some(impact)));
    assert_eq!(told.items[0].settings(), Some(gentle));
    let policy = serde_json::to_value(&told.items[0].policy).unwrap();
    assert!(policy.get("impact").is_none(), "{policy}");
    set_policy(admin, "nightly", nightly()).await.unwrap();
    let again = agent.protection(DOMAIN).await.unwrap();
    assert!(again.revision > told.revision && again.items[0].impact.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_protects_less_takes_the_place_of_another_only_if_that_is_said() {
    let protected = Protected::new().await;
    let admin = protected.admin();
    let objective = PolicySettings { objective_minutes: Some(2000), ..nightly() };
    set_policy(admin, "nightly", objective.clone()).await.unwrap();
    set_item(admin, DOMAIN, Some("nightly")).await.unwrap();
    let mut weaker = objective.clone();
    (weaker.retention.daily, weaker.objective_minutes) = (3, None);
    denied(set_policy(admin, "nightly", weaker.clone()).await, "retention.daily: 3 instead of 14; objective_minutes: none");
    assert_eq!(admin.policy(&name("nightly")).await.unwrap().settings, objective);
    set_policy(admin, "weaker", weaker.clone()).await.unwrap();
    denied(set_item(admin, DOMAIN, Some("weaker")).await, "retention.daily");
    denied(set_item(admin, DOMAIN, None).await, "schedules: none instead of 1; objective_minutes: none instead of 2000");
    let request = ItemRequest { files: files("/srv"), policy: Some(name("weaker")), weaken: true };
    admin.set_item(DOMAIN, &item("item"), &request).await.unwrap();
    let request = PolicyRequest { settings: weaker, weaken: true };
    admin.set_policy(&name("nightly"), &request).await.unwrap();
    let list = admin.policies().await.unwrap().policies;
    assert_eq!(list.iter().map(|body| (body.policy.as_str(), body.items)).collect::<Vec<_>>(), [("nightly", 0), ("weaker", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_has_less_in_it_only_if_that_is_said() {
    let protected = Protected::new().await;
    let admin = protected.admin();
    let set = async |files: &FileScope, weaken| {
        let request = ItemRequest { files: files.clone(), policy: None, weaken };
        admin.set_item(DOMAIN, &item("item"), &request).await.map(drop)
    };
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let whole = FileScope { paths: lines(&["/srv", "/home/a"]), includes: lines(&["keep"]), ..FileScope::default() };
    set(&whole, false).await.unwrap();
    let narrower = [
        (FileScope { paths: lines(&["/srv", "/home/ab"]), ..whole.clone() }, "files.paths without: [\"/home/a\"]"),
        (FileScope { excludes: lines(&["*"]), ..whole.clone() }, "files.excludes with: [\"*\"]"),
        (FileScope { includes: vec![], ..whole.clone() }, "files.includes without: [\"keep\"]"),
        (FileScope { one_file_system: true, ..whole.clone() }, "files.one_file_system: true"),
        (FileScope { exclude_caches: true, ..whole.clone() }, "files.exclude_caches: true"),
        (FileScope { exclude_nodump: true, ..whole.clone() }, "files.exclude_nodump: true"),
    ];
    for (files, what) in &narrower {
        denied(set(files, false).await, what);
    }
    assert_eq!(admin.item(DOMAIN, &item("item")).await.unwrap().files, whole);
    let wider = FileScope { paths: lines(&["/srv/", "/home", "/etc"]), includes: lines(&["keep", "more"]), ..whole.clone() };
    set(&wider, false).await.unwrap();
    set(&FileScope { paths: lines(&["/"]), ..wider }, false).await.unwrap();
    set(&narrower[0].0, true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_excludes_are_less_in_an_item_unless_lines_that_leave_out_only_go() {
    let protected = Protected::new().await;
    let admin = protected.admin();
    let set = async |lines: &[&str], weaken| {
        let excludes = lines.iter().map(|line| (*line).to_owned()).collect();
        let files = FileScope { excludes, ..files("/srv") };
        admin.set_item(DOMAIN, &item("item"), &ItemRequest { files, policy: None, weaken }).await.map(drop)
    };
    let now = ["*.tmp", "!keep.tmp", "cache", "*.o"];
    set(&now, true).await.unwrap();
    set(&now, false).await.unwrap();
    denied(set(&["*.tmp", "cache", "*.o"], false).await, "files.excludes without: [\"!keep.tmp\"]");
    denied(set(&["!keep.tmp", "*.tmp", "cache", "*.o"], false).await, "files.excludes with: [\"*.tmp\"");
    denied(set(&["*.tmp", "!keep.tmp", "cache", "*.o", "!more"], false).await, "files.excludes with: [\"!more\"]");
    denied(set(&["*.tmp", "!keep.tmp", "caches", "*.o"], false).await, "files.excludes with: [\"caches\"");
    set(&["*.tmp", "!keep.tmp", "*.o"], false).await.unwrap();
    set(&["!keep.tmp"], false).await.unwrap();
    denied(set(&[], false).await, "files.excludes without");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_an_item_has_is_not_removed_and_one_that_is_not_there_is_not_given() {
    let protected = Protected::new().await;
    let admin = protected.admin();
    assert_eq!(set_item(admin, DOMAIN, Some("nightly")).await.unwrap_err().kind(), ErrorKind::NotFound);
    set_policy(admin, "nightly", nightly()).await.unwrap();
    set_item(admin, DOMAIN, Some("nightly")).await.unwrap();
    assert_eq!(admin.remove_policy(&name("nightly")).await.unwrap_err().kind(), ErrorKind::Conflict);
    admin.remove_item(DOMAIN, &item("item")).await.unwrap();
    admin.remove_policy(&name("nightly")).await.unwrap();
    assert_eq!(admin.policy(&name("nightly")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(admin.remove_item(DOMAIN, &item("item")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(admin.item(DOMAIN, &item("item")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_policy_or_an_item_is_refused_with_what_is_wrong() {
    let protected = Protected::new().await;
    let admin = protected.admin();
    let mut wrong = nightly();
    (wrong.time_zone, wrong.retention.floor) = ("Nowhere".to_owned(), 0);
    let error = set_policy(admin, "wrong", wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("time_zone") && error.to_string().contains("retention.floor"), "{error}");
    let set = async |paths: Vec<String>, excludes: Vec<String>| {
        let request = ItemRequest { files: FileScope { paths, excludes, ..FileScope::default() }, policy: None, weaken: false };
        admin.set_item(DOMAIN, &item("item"), &request).await.map_err(|error| error.kind()).map(drop)
    };
    let one = |path: &str| vec![path.to_owned()];
    for paths in [vec![], one("relative"), one("/a/../b"), one("/a\0"), one(""), vec!["/a".to_owned(); 1001]] {
        assert_eq!(set(paths, vec![]).await, Err(ErrorKind::Invalid));
    }
    assert_eq!(set(one("/a"), one("two\nlines")).await, Err(ErrorKind::Invalid));
    assert_eq!(set(one(&format!("/{}", "x".repeat(4096))), vec![]).await, Err(ErrorKind::Invalid));
    assert_eq!(set(one("/a name\nof two lines"), one("*.o")).await, Ok(()));
    let nowhere = DomainId([9; 16]);
    assert_eq!(set_item(admin, nowhere, None).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_say_how_they_are_doing() {
    let protected = Protected::new().await;
    let admin = protected.admin();
    set_policy(admin, "nightly", nightly()).await.unwrap();
    set_item(admin, DOMAIN, Some("nightly")).await.unwrap();
    set_item(admin, OTHER_DOMAIN, None).await.unwrap();
    let all = admin.items(&ItemsQuery::default()).await.unwrap().items;
    assert_eq!(all.iter().map(|body| body.domain).collect::<Vec<_>>(), [DOMAIN, OTHER_DOMAIN]);
    let other = admin.items(&ItemsQuery { domain: Some(OTHER_DOMAIN) }).await.unwrap().items;
    assert_eq!(other, all[1..]);
    assert!(all[0].next_ms.is_some_and(|next_ms| next_ms > all[0].since_ms) && all[1].next_ms.is_none());
    assert!(all.iter().all(|body| body.newest_ms.is_none() && body.overdue_since_ms.is_none() && body.last_job.is_none()));
}
