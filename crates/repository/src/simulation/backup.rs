//! A backup as an honest agent does it: asks what is missing, sends that, and links to whatever the session says is there.

use super::content::{Blob, Graph, Tree};
use super::identity::{IDENTITY, Signer, item};
use super::world::{World, record_body};
use crate::repository::Repository;
use bytes::Bytes;
use contract::{Committed, Domain, ErrorKind, ItemHead, OpenSession, Result};
use format::blob::BlobKind;
use format::key_object::KeyObject;
use format::pack::SealedBlob;
use format::record::{RecordKind, SignedRecord};
use format::{BlobId, KeyId, PackName, PointId, SessionId, limits, pack};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::Ordering;
use testkit::{Rng, join_all};

/// How often something is tried while the storage or the database does not answer.
pub(super) const TRIES: u32 = 6;

/// What a backup does beside the plain thing; probabilities.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// A checkpoint on the way.
    pub(super) checkpoint: f64,
    /// Content that has nothing to do with the base's.
    pub(super) other: f64,
    /// Pages that the point does not need in the end.
    pub(super) extra: f64,
    /// Ending without a point.
    pub(super) abandon: f64,
    /// A long wait between two requests.
    pub(super) pause: f64,
    /// Trying to commit what must be refused.
    pub(super) forge: f64,
    /// Sealing with the key of an earlier session.
    pub(super) old_key: f64,
}

impl Habits {
    /// Straight on.
    pub(super) const PLAIN: Self =
        Self { checkpoint: 0.0, other: 0.2, extra: 0.0, abandon: 0.0, pause: 0.0, forge: 0.0, old_key: 0.0 };
    /// Slow, and full of what is not needed in the end.
    pub(super) const WASTEFUL: Self =
        Self { checkpoint: 0.5, other: 0.7, extra: 0.8, abandon: 0.15, pause: 0.3, forge: 0.0, old_key: 0.2 };
    /// Everything happens.
    pub(super) const LIVELY: Self =
        Self { checkpoint: 0.3, other: 0.4, extra: 0.3, abandon: 0.1, pause: 0.15, forge: 0.1, old_key: 0.1 };
}

/// A session on its way to a point.
pub(super) struct Backup<'a> {
    pub(super) world: &'a World,
    pub(super) repository: &'a Repository,
    pub(super) rng: Rng,
    pub(super) item: usize,
    pub(super) session: SessionId,
    pub(super) key: KeyId,
    pub(super) head: Option<ItemHead>,
    pub(super) base: Option<BlobId>,
    /// Blobs that nobody can read: whatever the pages above them say, they are sent anew.
    damaged: BTreeSet<BlobId>,
    signer: &'static Signer,
    habits: Habits,
}

/// Tries again while the other side does not answer.
pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(world: &World, mut attempt: impl FnMut() -> F) -> Result<T> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if error.kind().is_passing() && tries < TRIES => tries += 1,
            answer => return answer,
        }
        world.simulation.time().sleep_ms(2).await;
    }
}

/// Stores a new key for the session, or one that an earlier session had, unless that is refused.
async fn put_key(world: &World, repository: &Repository, session: SessionId, habits: Habits, rng: &mut Rng) -> Result<KeyId> {
    if let Some(object) = rng.chance(habits.old_key).then(|| world.old_key(rng)).flatten() {
        match patiently(world, || repository.put_key(session, object.clone())).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            answer => return answer,
        }
    }
    let encapsulation = rng.vec(limits::KEM_ENCAPSULATION_BYTES);
    let object = KeyObject { domain: IDENTITY.domain, sealing: limits::SEALING_AES256_GCM_SIV, encapsulation };
    let object = Bytes::from(object.encode());
    world.model.borrow_mut().keys.push(object.clone());
    patiently(world, || repository.put_key(session, object.clone())).await
}

/// A whole backup of an item. No point if the agent abandoned it.
pub(super) async fn back_up(
    world: &World,
    repository: &Repository,
    item: usize,
    habits: Habits,
    rng: &mut Rng,
) -> Result<Option<PointId>> {
    let mut backup = Backup::open(world, repository, item, habits, rng.fork()).await?;
    let outcome = backup.run().await;
    if outcome.is_err() || matches!(outcome, Ok(None)) {
        // An honest agent says so when it gives up; whether it is heard is another matter.
        let _ = repository.abandon_session(backup.session).await;
    }
    outcome
}

impl<'a> Backup<'a> {
    pub(super) async fn open(
        world: &'a World,
        repository: &'a Repository,
        number: usize,
        habits: Habits,
        mut rng: Rng,
    ) -> Result<Self> {
        let signer = if number == 0 && rng.chance(0.5) { &IDENTITY.narrow } else { &IDENTITY.agent };
        let request = OpenSession { item: item(number), agent: signer.key() };
        let opened = patiently(world, || repository.open_session(request.clone())).await?;
        let base = opened.base.and_then(|base| SignedRecord::parse(&base.record).ok()).map(|record| record.body.root);
        world.note(|| format!("{} opens session {} on {number}", repository_name(repository), opened.session));
        let key = put_key(world, repository, opened.session, habits, &mut rng).await;
        let (session, head, damaged) = (opened.session, opened.head, opened.damaged.into_iter().collect());
        match key {
            Ok(key) => Ok(Self { world, repository, rng, item: number, session, key, head, base, damaged, signer, habits }),
            Err(error) => {
                let _ = repository.abandon_session(session).await;
                Err(error)
            }
        }
    }

    async fn run(&mut self) -> Result<Option<PointId>> {
        let tree = self.world.tree(self.base, self.habits.other, &mut self.rng);
        let graph = self.world.graph(&tree);
        if self.rng.chance(self.habits.checkpoint) {
            let part = self.world.graph(&tree.part(&mut self.rng));
            self.send_missing(&part).await?;
            self.commit(part.root, RecordKind::Checkpoint).await?;
            self.pause().await;
        }
        if self.rng.chance(self.habits.extra) {
            self.send_extra_pages().await?;
        }
        self.send_missing(&graph).await?;
        if self.rng.chance(self.habits.abandon) {
            return Ok(None);
        }
        if self.rng.chance(self.habits.forge) {
            self.try_to_forge(graph.root).await;
            Box::pin(self.try_to_skip()).await;
        }
        self.pause().await;
        self.commit(graph.root, RecordKind::Point).await.map(|committed| Some(committed.point))
    }

    pub(super) async fn pause(&mut self) {
        if self.rng.chance(self.habits.pause) {
            let most = *self.rng.pick(&[20, 100, 400]);
            let ms = 1 + self.rng.below(most);
            self.world.simulation.time().sleep_ms(ms).await;
        }
    }

    /// What of the graph the session must send: whatever is there is not looked below.
    pub(super) async fn missing(&self, graph: &Graph) -> Result<BTreeMap<BlobId, Blob>> {
        let mut to_send = BTreeMap::new();
        let mut asked = BTreeSet::from([graph.root]);
        let mut ask = vec![graph.root];
        while !ask.is_empty() {
            let answers = self.repository.missing(self.session, &ask).await?;
            let mut next = Vec::new();
            for (id, missing) in ask.into_iter().zip(answers) {
                let blob = &graph.blobs[&id];
                if missing || !self.damaged.is_empty() {
                    next.extend(blob.links.iter().copied().filter(|link| asked.insert(*link)));
                }
                if missing {
                    to_send.insert(id, blob.clone());
                }
            }
            ask = next;
        }
        Ok(to_send)
    }

    pub(super) async fn send_missing(&mut self, graph: &Graph) -> Result<()> {
        let missing = self.missing(graph).await?;
        self.world.note(|| format!("session {} sends {} of {}", self.session, missing.len(), graph.blobs.len()));
        self.send(missing.into_values().collect()).await
    }

    /// Pages of another tree, with what they need: they may come in handy, or not.
    async fn send_extra_pages(&mut self) -> Result<()> {
        let tree = self.world.tree(self.base, self.habits.other, &mut self.rng);
        let graph = self.world.graph(&tree);
        let pages = graph.inner_pages();
        let page = *self.rng.pick(&pages);
        let mut blobs = BTreeMap::new();
        graph.below(page, &mut blobs);
        let missing = self.missing(&Graph { root: page, blobs }).await?;
        self.send(missing.into_values().collect()).await
    }

    /// Sends blobs, data before pages.
    pub(super) async fn send(&mut self, blobs: Vec<Blob>) -> Result<()> {
        let (data, pages): (Vec<Blob>, Vec<Blob>) = blobs.into_iter().partition(|blob| blob.kind == BlobKind::Data);
        for (kind, mut blobs) in [(BlobKind::Data, data), (BlobKind::Page, pages)] {
            self.rng.shuffle(&mut blobs);
            let mut packs = Vec::new();
            while !blobs.is_empty() {
                let size = 1 + self.rng.index(blobs.len().min(4));
                packs.push(blobs.split_off(blobs.len() - size));
            }
            while !packs.is_empty() {
                let together = 1 + self.rng.index(packs.len().min(2));
                let now: Vec<Vec<Blob>> = packs.drain(..together).collect();
                self.send_packs(kind, now).await?;
                self.pause().await;
            }
        }
        Ok(())
    }

    /// Sends a blob in a pack of its own, and tries that once.
    pub(super) async fn send_once(&mut self, blob: Blob) -> Result<()> {
        for (name, bytes) in self.seal_packs(blob.kind, vec![vec![blob]]).await? {
            self.repository.put_pack(self.session, name, bytes).await?;
        }
        Ok(())
    }

    async fn send_packs(&mut self, kind: BlobKind, packs: Vec<Vec<Blob>>) -> Result<()> {
        let ready = self.seal_packs(kind, packs).await?;
        let (world, repository, session) = (self.world, self.repository, self.session);
        let put = |(name, bytes): (_, Bytes)| patiently(world, move || repository.put_pack(session, name, bytes.clone()));
        join_all(ready.into_iter().map(put)).await.into_iter().collect()
    }

    async fn seal_packs(&mut self, kind: BlobKind, packs: Vec<Vec<Blob>>) -> Result<Vec<(PackName, Bytes)>> {
        let count = packs.len() as u32;
        let names = patiently(self.world, || self.repository.issue_packs(self.session, count)).await?;
        let mut ready = Vec::new();
        for (name, blobs) in names.into_iter().zip(packs) {
            let sealed: Vec<SealedBlob> = blobs.iter().map(|blob| blob.seal(self.key, &mut self.rng)).collect();
            let bytes = Bytes::from(pack::assemble(IDENTITY.domain, name, kind, sealed).unwrap());
            ready.push((name, bytes));
        }
        Ok(ready)
    }

    /// Commits; signs anew when somebody else's point came first.
    pub(super) async fn commit(&mut self, root: BlobId, kind: RecordKind) -> Result<Committed> {
        for _ in 0..5 {
            let record = self.sign(self.signer, root, kind);
            self.world.attempted(&record.body);
            let bytes = Bytes::from(record.encode());
            let answer = patiently(self.world, || self.send_record(kind, bytes.clone())).await;
            self.world.note(|| format!("session {} commits {:?} {}: {answer:?}", self.session, kind, record.id()));
            match answer {
                Ok(committed) => {
                    self.commit_again(kind, bytes, committed).await;
                    return Ok(committed);
                }
                Err(error) if error.kind() == ErrorKind::Conflict && !self.is_fenced() => {
                    if error.to_string().contains("not complete") {
                        self.world.violation(format!("an honest point is refused: {error}"));
                        return Err(error);
                    }
                    let item = item(self.item);
                    let head = patiently(self.world, || self.repository.head(&item)).await?;
                    if head == self.head {
                        return Err(error);
                    }
                    self.head = head;
                }
                Err(error) => return Err(error),
            }
        }
        Err(contract::Error::new(ErrorKind::Conflict, "others are always faster"))
    }

    /// What was acknowledged is acknowledged again, in the same words.
    async fn commit_again(&mut self, kind: RecordKind, bytes: Bytes, committed: Committed) {
        self.world.acknowledged(committed.point);
        if !self.rng.chance(0.3) {
            return;
        }
        self.pause().await;
        match self.send_record(kind, bytes).await {
            Ok(again) if again == committed => {}
            Ok(again) => self.world.violation(format!("a commit is acknowledged as {committed:?}, then as {again:?}")),
            Err(error) if error.kind().is_passing() || self.is_fenced() => {}
            // Another database took over in between, or somebody purged the point.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
                let purged = self.world.model.borrow().points[&committed.point].purge != super::world::Purge::No;
                if !purged && kind == RecordKind::Point && !self.world.foreign_packs.get() {
                    self.world.violation(format!("an acknowledged commit is not idempotent: {error}"));
                }
            }
            Err(error) => self.world.violation(format!("an acknowledged commit is not idempotent: {error}")),
        }
    }

    async fn send_record(&self, kind: RecordKind, bytes: Bytes) -> Result<Committed> {
        match kind {
            RecordKind::Point => self.repository.commit(self.session, bytes).await,
            RecordKind::Checkpoint => self.repository.checkpoint(self.session, bytes).await,
        }
    }

    pub(super) fn sign(&mut self, signer: &Signer, root: BlobId, kind: RecordKind) -> SignedRecord {
        let previous = self.head.map(|head| (head.point, head.sequence));
        signer.sign(record_body(kind, self.item, previous, root, self.key, &mut self.rng))
    }

    /// A point whose pages name what nobody sent must be refused.
    async fn try_to_skip(&mut self) {
        let tree = Tree::random(&mut self.rng);
        let graph = self.world.graph(&tree);
        let Ok(mut hasty) = Backup::open(self.world, self.repository, self.item, Habits::PLAIN, self.rng.fork()).await else {
            return;
        };
        let session = hasty.session;
        if let Ok(missing) = hasty.missing(&graph).await
            && let Some(skipped) = missing.keys().find(|id| **id != graph.root).copied()
        {
            let sent = missing.into_values().filter(|blob| blob.id != skipped).collect();
            if hasty.send(sent).await.is_ok() {
                let record = hasty.sign(hasty.signer, graph.root, RecordKind::Point);
                self.world.model.borrow_mut().forged.insert(record.id());
                if self.repository.commit(session, record.encode().into()).await.is_ok() {
                    self.world.violation("2: a point is acknowledged that is not complete");
                }
            }
        }
        let _ = self.repository.abandon_session(session).await;
    }

    /// Records that must be refused.
    async fn try_to_forge(&mut self, root: BlobId) {
        let mut damaged = self.sign(self.signer, root, RecordKind::Point);
        damaged.signature.0[3] ^= 4;
        let stranger = self.sign(&IDENTITY.stranger, root, RecordKind::Point);
        let retired = self.sign(&IDENTITY.retired, root, RecordKind::Point);
        let uncertified = [(&IDENTITY.stranger, 0), (&IDENTITY.retired, 0), (&IDENTITY.narrow, 1)];
        let (signer, number) = *self.rng.pick(&uncertified);
        let request = OpenSession { item: item(number), agent: signer.key() };
        if self.repository.open_session(request).await.is_ok() {
            self.world.violation("8: an agent that is not certified opens a session");
        }
        for record in [damaged, stranger, retired] {
            self.world.model.borrow_mut().forged.insert(record.id());
            if self.repository.commit(self.session, record.encode().into()).await.is_ok() {
                self.world.violation("8: a forged record is acknowledged");
            }
        }
    }

    fn is_fenced(&self) -> bool {
        self.repository.inner.fenced.load(Ordering::Acquire)
    }
}

fn repository_name(repository: &Repository) -> String {
    format!("{:p}", std::sync::Arc::as_ptr(&repository.inner))
}
