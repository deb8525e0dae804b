//! A domain with many blobs, in packs that are made up: the vault opens none, so their bytes may be anything.

use super::generated::Generated;
use super::{need, number_of, tell};
use crate::vault::{DOMAIN, TestVault, item, quick};
use contract::{CheckOptions, CollectOptions, Domain, OpenSession, Progress, SessionOpened};
use format::blob::BlobKind;
use format::pack::{SealedBlob, assemble};
use format::record::{RecordBody, RecordKind};
use format::{BlobId, KeyId, PackName, Sequence, limits};
use holdfast_engine::backup;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Names that are asked for at once.
const NAMES: u32 = 64;
/// Ids of one look-up.
const BATCH: usize = 10_000;
/// Bytes on disk for each blob, at most: pack, footer, segment and the one that it is merged into, links.
const BYTES_A_BLOB: u64 = 330;
/// Least sealed bytes.
const SEALED: usize = limits::SEAL_OVERHEAD + limits::INNER_HEADER + 32;
/// Pages whose links still fit the footer of one pack.
const PAGES_A_PACK: usize = 128;
/// Links of a page.
const LINKS: u64 = limits::PAGE_LINKS_MAX as u64;

fn id(kind: &[u8], number: u64) -> BlobId {
    BlobId(*blake3::Hasher::new().update(kind).update(&number.to_le_bytes()).finalize().as_bytes())
}

/// Puts made-up packs.
struct Putting<'a> {
    vault: &'a TestVault,
    session: &'a SessionOpened,
    key: KeyId,
    names: Vec<PackName>,
}

impl Putting<'_> {
    async fn put(&mut self, kind: BlobKind, blobs: Vec<(BlobId, Vec<BlobId>)>) {
        if self.names.is_empty() {
            self.names = self.vault.domain.issue_packs(self.session.session, NAMES).await.unwrap();
        }
        let name = self.names.pop().unwrap();
        let sealed = |(id, links): (BlobId, Vec<BlobId>)| {
            let bytes = [id.as_bytes().as_slice(), &[0; SEALED - 32]].concat();
            SealedBlob { id, key: self.key, links, bytes }
        };
        let pack = assemble(DOMAIN, name, kind, blobs.into_iter().map(sealed).collect()).unwrap();
        self.vault.domain.put_pack(self.session.session, name, pack.into()).await.unwrap();
    }

    /// Pages that name these blobs, and pages above them; answers the root.
    async fn put_tree(&mut self, blobs: u64) -> BlobId {
        let (mut kind, mut below, mut level) = (b"data".as_slice(), blobs, 0);
        loop {
            let mut pages: Vec<(BlobId, Vec<BlobId>)> = Vec::new();
            let above = below.div_ceil(LINKS);
            for number in 0..above {
                let below = number * LINKS..below.min((number + 1) * LINKS);
                let mut links: Vec<BlobId> = below.map(|each| id(kind, level << 40 | each)).collect();
                links.sort_unstable();
                pages.push((id(b"page", (level + 1) << 40 | number), links));
                if pages.len() == PAGES_A_PACK {
                    self.put(BlobKind::Page, std::mem::take(&mut pages)).await;
                }
            }
            if !pages.is_empty() {
                self.put(BlobKind::Page, pages).await;
            }
            (kind, below, level) = (b"page", above, level + 1);
            if above == 1 {
                return id(kind, level << 40);
            }
        }
    }
}

/// A point that reaches so many blobs.
async fn fill(vault: &TestVault, blobs: u64) {
    let signer = vault.owner.agent_signer(DOMAIN);
    let session = vault.domain.open_session(OpenSession { item: item("made-up"), agent: signer.key() }).await.unwrap();
    let (object, key) = vault.keys.writer().new_session_key().unwrap();
    vault.domain.put_key(session.session, object.into()).await.unwrap();
    let mut putting = Putting { vault, session: &session, key: key.id(), names: Vec::new() };

    let start = Instant::now();
    for first in (0..blobs).step_by(limits::PACK_ENTRIES_MAX) {
        let some = first..blobs.min(first + limits::PACK_ENTRIES_MAX as u64);
        putting.put(BlobKind::Data, some.map(|number| (id(b"data", number), Vec::new())).collect()).await;
    }
    tell("packs put", blobs, "blobs", start);
    let start = Instant::now();
    let root = putting.put_tree(blobs).await;
    tell("pages put", blobs, "links", start);

    let start = Instant::now();
    let mut body = RecordBody {
        vault: vault.descriptor.vault,
        domain: DOMAIN,
        item: item("made-up"),
        kind: RecordKind::Point,
        sequence: Sequence(1),
        previous: None,
        root,
        key: key.id(),
        agent_time_ms: 0,
        metadata_nonce: [0; 12],
        metadata: Vec::new(),
    };
    (body.metadata_nonce, body.metadata) = key.seal_metadata(&body.associated_data(), b"made up");
    vault.domain.commit(session.session, signer.sign(body).encode().into()).await.unwrap();
    tell("committed", blobs, "links proven", start);
}

/// Sorted ids, half of them there.
fn wanted(blobs: u64, batch: u64) -> Vec<BlobId> {
    let there = |number: u64| id(b"data", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blobs);
    let place = |number: usize| batch * BATCH as u64 + number as u64;
    let mut ids: Vec<BlobId> =
        (0..BATCH).map(|number| if number % 2 == 0 { there(place(number)) } else { id(b"nothing", place(number)) }).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn look_up(vault: &TestVault, blobs: u64, batches: u64) {
    let signer = vault.owner.agent_signer(DOMAIN);
    let session = vault.domain.open_session(OpenSession { item: item("other"), agent: signer.key() }).await.unwrap().session;
    for round in ["look-ups, first", "look-ups, warm"] {
        let asked: Vec<Vec<Vec<BlobId>>> =
            (0..2).map(|thread| (0..batches).map(|batch| wanted(blobs, 2 * batch + thread)).collect()).collect();
        let start = Instant::now();
        let threads: Vec<_> = asked
            .into_iter()
            .map(|batches| {
                let domain = vault.domain.clone();
                tokio::spawn(async move {
                    let mut looked_up = 0;
                    for ids in batches {
                        let missing = domain.missing(session, &ids).await.unwrap();
                        let there = missing.iter().filter(|missing| !**missing).count();
                        assert!(there * 2 <= ids.len() + 1 && there * 3 > ids.len(), "{there} of {}", ids.len());
                        looked_up += ids.len() as u64;
                    }
                    looked_up
                })
            })
            .collect();
        let mut looked_up = 0;
        for thread in threads {
            looked_up += thread.await.unwrap();
        }
        tell(round, looked_up, "ids", start);
    }
    vault.domain.abandon_session(session).await.unwrap();
}

async fn collect(domain: Arc<dyn Domain>, links: u64) {
    let start = Instant::now();
    // The first word about marking, and the last one: pages and when.
    let marking: Arc<Mutex<Option<[(u64, Instant); 2]>>> = Arc::default();
    let told = marking.clone();
    let sink = move |progress: Progress| {
        if progress.phase == "marking" {
            let now = (progress.done, Instant::now());
            told.lock().unwrap().get_or_insert([now, now])[1] = now;
        }
    };
    let report = domain.collect(CollectOptions::default(), Arc::new(sink)).await.unwrap();
    assert_eq!(report.copies_condemned, 0);
    tell("collected", links, "links", start);
    if let Some([(first, began), (last, ended)]) = *marking.lock().unwrap()
        && last > first
    {
        let marked = (last - first) * LINKS;
        println!("of it marking: {:.0} links a second", marked as f64 / (ended - began).as_secs_f64());
    }
}

/// Seconds that a backup of generated files takes.
async fn back_up(vault: &TestVault, files: u64, version: u64) -> f64 {
    let source = Arc::new(Generated::new(files, version));
    let start = Instant::now();
    backup::run(vault.request(source, quick("beside"))).await.unwrap();
    start.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_with_many_blobs_is_looked_up_marked_and_collected() {
    let blobs = number_of("HOLDFAST_BLOBS", 200_000);
    need(&std::env::temp_dir(), blobs * BYTES_A_BLOB);
    let vault = TestVault::new().await;
    fill(&vault, blobs).await;
    look_up(&vault, blobs, (blobs / 100_000).clamp(2, 100)).await;
    collect(vault.domain.clone(), blobs).await;

    // A collection beside a backup: what it costs the backup. Versions differ, so that each backup stores everything.
    let files = (blobs / 100).clamp(1000, 300_000);
    let mut alone = Vec::new();
    for version in 1..=3 {
        alone.push(back_up(&vault, files, version).await);
    }
    let mut beside = Vec::new();
    for version in 4..=6 {
        let collecting = tokio::spawn(collect(vault.domain.clone(), blobs));
        beside.push(back_up(&vault, files, version).await);
        collecting.await.unwrap();
    }
    println!("a backup alone {alone:.2?} s, beside a collection {beside:.2?} s");
    let report = vault.domain.check(CheckOptions::footers(), Arc::new(|_| {})).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
}
