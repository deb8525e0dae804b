//! The engine through the service: what goes in comes out.

use crate::running::{DOMAIN, Protected};
use contract::{CheckOptions, CollectOptions, PointFilter, Vault};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use workloads::zoo::{self, ZooOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_comes_out_of_the_service_as_it_went_in_also_with_an_agents_token_and_after_a_restart() {
    let protected = Protected::new().await;
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    fs::create_dir(&source).unwrap();
    zoo::build(&source, ZooOptions { large_directory: 200, ..ZooOptions::default() }).unwrap();
    let agent = protected.running.client(&protected.agent_token().await).domain(DOMAIN).await.unwrap();
    let report = protected.keyed.backup(agent.clone(), &source).await.unwrap();
    assert_eq!(report.sequence.0, 1);
    let out = place.path().join("out");
    protected.keyed.restore(agent.clone(), &out).await;
    let differences = zoo::compare(&source, &out.join(source.strip_prefix("/").unwrap()));
    assert!(differences.is_empty(), "{differences:#?}");

    let second = protected.keyed.backup(protected.domain().await, &source).await.unwrap();
    assert_eq!(second.sequence.0, 2);
    let checks = Arc::new(AtomicU64::new(0));
    let counted = checks.clone();
    let sink: contract::ProgressSink = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let checked = protected.domain().await.check(CheckOptions::all_data(), sink.clone()).await.unwrap();
    assert!(checked.is_sound() && checked.points == 2, "{checked:?}");
    assert!(checks.load(Ordering::Relaxed) > 0, "progress is told");
    assert!(protected.admin().check().await.unwrap().is_sound());

    let domain = protected.domain().await;
    let points = domain.points(PointFilter::default()).await.unwrap();
    domain.expire(&[points[0].id]).await.unwrap();
    assert_eq!(domain.points(PointFilter::default()).await.unwrap().len(), 1);
    domain.undelete(&[points[0].id]).await.unwrap();
    domain.purge(&[points[0].id]).await.unwrap();
    domain.collect(CollectOptions::default(), sink).await.unwrap();
    assert_eq!(domain.status().await.unwrap().points, 1);

    let Protected { running, admin_token, keyed } = protected;
    let directory = running.stop().await;
    let running = crate::running::Running::start(directory, vault::Limits::default()).await;
    assert!(running.one_time.is_none(), "there is an administrator");
    let keyed = crate::running::Keyed { vault: running.client(&admin_token), ..keyed };
    let protected = Protected { running, admin_token, keyed };
    let again = place.path().join("again");
    protected.keyed.restore(protected.domain().await, &again).await;
    let differences = zoo::compare(&source, &again.join(source.strip_prefix("/").unwrap()));
    assert!(differences.is_empty(), "{differences:#?}");
}
