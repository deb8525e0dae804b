//! Recorded requests: how many a backup, a restore and a check make. Each costs a round trip, however far the service is.

use crate::requests::ask;
use crate::running::{Protected, noise};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Requests so far, by method and route.
async fn so_far(protected: &Protected) -> BTreeMap<String, u64> {
    let answer = ask(&protected.running, "GET", "/metrics", Some(&protected.admin_token), Vec::new()).await;
    let text = String::from_utf8(answer.body).unwrap();
    let mut counts = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("holdfast_request_duration_seconds_count{")) {
        let label = |name: &str| line.split_once(&format!("{name}=\"")).unwrap().1.split_once('"').unwrap().0.to_owned();
        let count: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        let route = label("route").replace("/v1/domains/{domain}", "");
        *counts.entry(format!("{} {route}", label("method"))).or_default() += count;
    }
    counts
}

/// Those that something makes. Leases are renewed by the clock, not by what is done.
async fn made<T>(protected: &Protected, work: impl Future<Output = T>) -> Vec<String> {
    let before = so_far(protected).await;
    work.await;
    let after = so_far(protected).await;
    let new = |(request, count): (String, u64)| (count - before.get(&request).unwrap_or(&0), request);
    let is_work = |(count, request): &(u64, String)| *count > 0 && !request.ends_with("/metrics") && !request.ends_with("/lease");
    after.into_iter().map(new).filter(is_work).map(|(count, request)| format!("{count} {request}")).collect()
}

/// A directory above which nobody else makes and removes any: the directories that lead to what is backed up are in the backup, too.
fn quiet_place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn tree(source: &Path) {
    for directory in 0..10 {
        let directory = source.join(format!("d{directory}"));
        fs::create_dir_all(&directory).unwrap();
        (0..100).for_each(|file| fs::write(directory.join(format!("{file}")), noise(file, 20_000)).unwrap());
    }
    // What changed within two seconds of its backup is read again by the next one.
    std::thread::sleep(std::time::Duration::from_millis(2100));
}

/// How many there are depends a little on time (ids are asked for in batches of what has gathered) and on the domain's keys (which decide
/// where trees are cut): these are the most.
fn assert_at_most(made: &[String], most: &[(u64, &str)]) {
    for line in made {
        let (count, request) = line.split_once(' ').unwrap();
        let known = most.iter().find(|(_, known)| *known == request);
        let (most, _) = known.unwrap_or_else(|| panic!("{request} is made, too: {made:#?}"));
        assert!(count.parse::<u64>().unwrap() <= *most, "{line}: at most {most}");
    }
    assert_eq!(made.len(), most.len(), "{made:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_an_unchanged_one_and_a_restore_make_so_many_requests() {
    let protected = Protected::new().await;
    let place = quiet_place();
    let source = place.path().join("source");
    tree(&source);
    let domain = protected.domain().await;
    let first = made(&protected, protected.keyed.backup(domain.clone(), &source)).await;
    let session = [(1, "POST /sessions"), (1, "POST /sessions/{session}/point"), (1, "PUT /sessions/{session}/key")];
    let packs = [(30, "POST /sessions/{session}/missing"), (1, "POST /sessions/{session}/pack-names")];
    assert_at_most(&first, &[session.as_slice(), &packs, &[(4, "PUT /sessions/{session}/packs/{pack}")]].concat());
    let unchanged = made(&protected, protected.keyed.backup(domain.clone(), &source)).await;
    let base = [(1, "GET /keys/{key}"), (1, "GET /packs/{pack}/footer"), (5, "POST /packs/{pack}/ranges")];
    let asked = [(5, "POST /sessions/{session}/places"), (3, "POST /sessions/{session}/missing")];
    assert_at_most(&unchanged, &[session.as_slice(), &base, &asked].concat());
    let restore = made(&protected, protected.keyed.restore(domain.clone(), &place.path().join("out"))).await;
    let reader = [(1, "GET /points"), (1, "POST /readers"), (1, "DELETE /readers/{session}"), (1, "GET /keys/{key}")];
    let reads = [(1, "GET /packs/{pack}/footer"), (10, "POST /packs/{pack}/ranges"), (6, "POST /sessions/{session}/places")];
    assert_at_most(&restore, &[reader.as_slice(), &reads].concat());
}
