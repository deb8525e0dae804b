//! A domain with many blobs, in packs that are made up: the vault opens none, so their bytes may be anything.

use super::generated::Generated;
use super::{Began, need, number_of};
use crate::vault::{DOMAIN, TestVault, item, quick};
use contract::{CheckOptions, CollectOptions, Domain, OpenSession, Progress, SessionOpened};
use format::blob::BlobKind;
use format::pack::{SealedBlob, assemble};
use format::record::{RecordBody, RecordKind};
use format::{BlobId, KeyId, PackName, Sequence, limits};
use holdfast_engine::backup;
use std::fs;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Bytes of filters in memory for each entry, at most.
const FILTER_BYTES_MAX: f64 = 2.0;
/// Backups alone and beside a collection.
const ROUNDS: u64 = 5;
/// Segments of such an item: more than the vault leaves without merging them.
const SEGMENTS: u64 = 20;
/// Packs after which the vault makes a segment of what a session sent.
const PACKS_A_SEGMENT: u64 = 48;

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
    async fn put_tree(&mut self, blobs_kind: &[u8], blobs: u64) -> BlobId {
        let page_kind = [b"page of ", blobs_kind].concat();
        let (mut kind, mut below, mut level) = (blobs_kind, blobs, 0);
        loop {
            let mut pages: Vec<(BlobId, Vec<BlobId>)> = Vec::new();
            let above = below.div_ceil(LINKS);
            for number in 0..above {
                let below = number * LINKS..below.min((number + 1) * LINKS);
                let mut links: Vec<BlobId> = below.map(|each| id(kind, level << 40 | each)).collect();
                links.sort_unstable();
                pages.push((id(&page_kind, (level + 1) << 40 | number), links));
                if pages.len() == PAGES_A_PACK {
                    self.put(BlobKind::Page, std::mem::take(&mut pages)).await;
                }
            }
            if !pages.is_empty() {
                self.put(BlobKind::Page, pages).await;
            }
            (kind, below, level) = (&page_kind, above, level + 1);
            if above == 1 {
                return id(kind, level << 40);
            }
        }
    }
}

/// Blobs that a point is to reach, and how many of them a pack has.
struct Filling {
    item: String,
    /// Of its blobs, which nobody else has.
    kind: Vec<u8>,
    blobs: u64,
    pack: usize,
}

/// The first point of an item.
async fn fill(vault: &TestVault, filling: &Filling) {
    let (kind, blobs) = (filling.kind.as_slice(), filling.blobs);
    let signer = vault.owner.agent_signer(DOMAIN);
    let item = item(&filling.item);
    let session = vault.domain.open_session(OpenSession { item: item.clone(), agent: signer.key() }).await.unwrap();
    let (object, key) = vault.keys.writer().new_session_key().unwrap();
    vault.domain.put_key(session.session, object.into()).await.unwrap();
    let mut putting = Putting { vault, session: &session, key: key.id(), names: Vec::new() };

    let began = Began::now();
    for first in (0..blobs).step_by(filling.pack) {
        let some = first..blobs.min(first + filling.pack as u64);
        putting.put(BlobKind::Data, some.map(|number| (id(kind, number), Vec::new())).collect()).await;
    }
    began.tell("packs put", blobs, "blobs");
    let began = Began::now();
    let root = putting.put_tree(kind, blobs).await;
    began.tell("pages put", blobs, "links");

    let began = Began::now();
    let mut body = RecordBody {
        vault: vault.descriptor.vault,
        domain: DOMAIN,
        item,
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
    began.tell("committed", blobs, "links proven");
}

/// What stands in the headers of the domain's segments: how many there are, their entries, and bytes of their filters.
fn segments(vault: &TestVault) -> (u64, u64, u64) {
    let (mut segments, mut entries, mut filters) = (0, 0, 0);
    let mut folders = vec![vault.directory.path().join("vault")];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap()) {
            if file.file_type().unwrap().is_dir() {
                folders.push(file.path());
            } else if file.path().extension().is_some_and(|ending| ending == "segment") {
                let mut header = [0; 8 + 9 * (8 + 32) + 4];
                fs::File::open(file.path()).unwrap().read_exact(&mut header).unwrap();
                segments += 1;
                // Magic and the lengths of six sections stand before that of the filters, lengths and checksums before the entries.
                filters += u64::from_le_bytes(*header[8 + 6 * 8..].first_chunk().unwrap());
                entries += u64::from(u32::from_le_bytes(*header.last_chunk().unwrap()));
            }
        }
    }
    (segments, entries, filters)
}

fn look_at_segments(vault: &TestVault) {
    let (segments, entries, filters) = segments(vault);
    let bytes = filters as f64 / entries as f64;
    println!("{segments} segments with {entries} entries, {bytes:.2} bytes of filters each");
    assert!(bytes <= FILTER_BYTES_MAX, "{bytes}");
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
        let began = Began::now();
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
        began.tell(round, looked_up, "ids");
    }
    vault.domain.abandon_session(session).await.unwrap();
}

async fn collect(domain: Arc<dyn Domain>, links: u64) {
    let began = Began::now();
    // Of each marking the first and the last word about it: pages, and when.
    let markings: Arc<Mutex<Vec<[(u64, Began); 2]>>> = Arc::default();
    let told = markings.clone();
    let sink = move |progress: Progress| {
        if progress.phase == "marking" {
            let (now, mut told) = ((progress.done, Began::now()), told.lock().unwrap());
            match told.last_mut() {
                Some([_, last]) if last.0 < now.0 => *last = now,
                _ => told.push([now, now]),
            }
        }
    };
    let report = domain.collect(CollectOptions::default(), Arc::new(sink)).await.unwrap();
    assert_eq!(report.copies_condemned, 0);
    began.tell("collected", links, "links");
    for [(first, began), (last, ended)] in markings.lock().unwrap().iter().filter(|[first, last]| first.0 < last.0) {
        began.tell_until(*ended, "of it marked", (last - first) * LINKS, "links");
    }
}

/// Seconds that a backup of generated files takes.
async fn back_up(vault: &TestVault, files: u64, version: u64) -> f64 {
    let source = Arc::new(Generated::new(files, version));
    let start = Instant::now();
    backup::run(vault.request(source, quick("beside"))).await.unwrap();
    start.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Backups by turns alone and beside collections, of which the first merges so many segments with the others. Versions differ, so that
/// each backup stores everything.
async fn back_up_beside_collections(vault: &TestVault, blobs: u64) {
    // With few blobs nothing is left to merge, nor is there anything to measure.
    let is_little = blobs < 1_000_000;
    let (rounds, segments_more) = if is_little { (1, 1) } else { (ROUNDS, SEGMENTS) };
    let (files, pack) = ((blobs / 4).clamp(1000, 3_000_000), (blobs / 1000).clamp(8, 4096));
    back_up(vault, files, 0).await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Both find the same work for merges, some of which is a commit's own.
        let more = |name: String| async move {
            let (kind, blobs) = (name.clone().into_bytes(), segments_more * PACKS_A_SEGMENT * pack);
            let filling = Filling { item: name, kind, blobs, pack: pack as usize };
            fill(vault, &filling).await;
        };
        more(format!("alone-{round}")).await;
        alone.push(back_up(vault, files, 2 * round + 1).await);
        vault.domain.collect(CollectOptions::default(), Arc::new(|_| {})).await.unwrap();
        more(format!("beside-{round}")).await;
        let (before, _, _) = segments(vault);
        let done = Arc::new(AtomicBool::new(false));
        let (domain, is_done) = (vault.domain.clone(), done.clone());
        let collecting = tokio::spawn(async move {
            while !is_done.load(Ordering::Relaxed) {
                let began = Began::now();
                let report = domain.collect(CollectOptions::default(), Arc::new(|_| {})).await.unwrap();
                began.tell("collected beside", report.pages_marked, "pages");
            }
        });
        beside.push(back_up(vault, files, 2 * round + 2).await);
        done.store(true, Ordering::Relaxed);
        collecting.await.unwrap();
        let (after, _, _) = segments(vault);
        println!("{before} segments were merged to {after}");
        assert!(is_little || after < before, "{after} of {before}");
    }
    println!("a backup of {files} files alone {alone:.2?} s, beside collections {beside:.2?} s");
    println!("ratio of medians: {:.2}", median(beside) / median(alone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_with_many_blobs_is_looked_up_marked_and_collected() {
    let blobs = number_of("HOLDFAST_BLOBS", 200_000);
    need(&std::env::temp_dir(), blobs * BYTES_A_BLOB);
    let vault = TestVault::new().await;
    fill(&vault, &Filling { item: "made-up".into(), kind: b"data".into(), blobs, pack: limits::PACK_ENTRIES_MAX }).await;
    look_up(&vault, blobs, (blobs / 100_000).clamp(2, 100)).await;
    collect(vault.domain.clone(), blobs).await;
    look_at_segments(&vault);
    look_up(&vault, blobs, (blobs / 100_000).clamp(2, 100)).await;
    collect(vault.domain.clone(), blobs).await;
    back_up_beside_collections(&vault, blobs).await;
    look_at_segments(&vault);
    let report = vault.domain.check(CheckOptions::footers(), Arc::new(|_| {})).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
}
