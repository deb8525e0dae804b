//! The content of simulated backups: trees of pages over few data chunks, so that everything meets everything again.
//!
//! Ids follow from content (kind, links, plaintext) as in the real thing, only without a key. "Sealed" bytes differ with the
//! session that sealed them and hold the plaintext, so that whoever reads them can verify it.

use format::blob::{BlobKind, id_prefix};
use format::pack::SealedBlob;
use format::{BlobId, KeyId};
use std::collections::BTreeMap;
use testkit::Rng;

/// Different data chunks.
const CHUNKS: u64 = 48;
/// Bytes before the plaintext in a sealed blob: key, nonce, length.
const SEALED_HEADER: usize = 8 + 12 + 4;
/// No sealed blob is shorter.
const SEALED_MIN: usize = 40;

/// A blob in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) id: BlobId,
    pub(super) kind: BlobKind,
    pub(super) links: Vec<BlobId>,
    pub(super) plaintext: Vec<u8>,
}

/// What is backed up: middle pages of leaves of chunks. `salt` makes roots of equal trees differ, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) middles: Vec<Vec<Vec<u64>>>,
    pub(super) salt: u8,
}

/// A tree's blobs.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    pub(super) root: BlobId,
    pub(super) blobs: BTreeMap<BlobId, Blob>,
}

/// The id that these have.
pub(super) fn blob_id(kind: BlobKind, links: &[BlobId], plaintext: &[u8]) -> BlobId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id_prefix(kind, links)).update(plaintext);
    BlobId(*hasher.finalize().as_bytes())
}

impl Blob {
    fn new(kind: BlobKind, mut links: Vec<BlobId>, plaintext: Vec<u8>) -> Self {
        links.sort_unstable();
        links.dedup();
        Self { id: blob_id(kind, &links, &plaintext), kind, links, plaintext }
    }

    /// As it goes into a pack.
    pub(super) fn seal(&self, key: KeyId, rng: &mut Rng) -> SealedBlob {
        let mut bytes = key.0[..8].to_vec();
        bytes.extend_from_slice(&rng.bytes::<12>());
        bytes.extend_from_slice(&(self.plaintext.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.plaintext);
        bytes.resize(bytes.len().max(SEALED_MIN), 0);
        SealedBlob { id: self.id, key, links: self.links.clone(), bytes }
    }
}

/// Whether these sealed bytes are the blob of this id, as its reader would find out.
pub(super) fn opens(id: BlobId, kind: BlobKind, key: KeyId, links: &[BlobId], sealed: &[u8]) -> bool {
    let Some((head, rest)) = sealed.split_at_checked(SEALED_HEADER) else { return false };
    let length = u32::from_le_bytes(*head.last_chunk().unwrap()) as usize;
    let Some(plaintext) = rest.get(..length) else { return false };
    head[..8] == key.0[..8] && blob_id(kind, links, plaintext) == id
}

impl Tree {
    /// Any tree.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let middles = (0..1 + rng.below(3)).map(|_| random_middle(rng)).collect();
        Self { middles, salt: rng.below(3) as u8 }
    }

    /// Changes a bit of it.
    pub(super) fn mutate(&mut self, rng: &mut Rng) {
        for _ in 0..=rng.below(2) {
            let place = rng.index(self.middles.len());
            match rng.below(6) {
                0 if self.middles.len() < 4 => self.middles.push(random_middle(rng)),
                1 if self.middles.len() > 1 => drop(self.middles.remove(place)),
                2 => self.salt = rng.below(3) as u8,
                _ => {
                    let middle = &mut self.middles[place];
                    let leaf = rng.index(middle.len());
                    middle[leaf] = random_leaf(rng);
                }
            }
        }
    }

    /// Some of its middle pages: what a checkpoint has.
    pub(super) fn part(&self, rng: &mut Rng) -> Self {
        let keep = 1 + rng.index(self.middles.len());
        Self { middles: self.middles[..keep].to_vec(), salt: 100 }
    }

    /// Its blobs.
    pub(super) fn graph(&self) -> Graph {
        let mut blobs = BTreeMap::new();
        let mut add = |blob: Blob| {
            let id = blob.id;
            blobs.insert(id, blob);
            id
        };
        let mut middles = Vec::new();
        for middle in &self.middles {
            let mut leaves = Vec::new();
            for leaf in middle {
                let chunks = leaf.iter().map(|chunk| add(Blob::new(BlobKind::Data, Vec::new(), chunk_bytes(*chunk)))).collect();
                leaves.push(add(Blob::new(BlobKind::Page, chunks, b"leaf".to_vec())));
            }
            middles.push(add(Blob::new(BlobKind::Page, leaves, b"middle".to_vec())));
        }
        let root = add(Blob::new(BlobKind::Page, middles, vec![b'r', self.salt]));
        Graph { root, blobs }
    }
}

impl Graph {
    /// A page's blob and everything below it.
    pub(super) fn below(&self, id: BlobId, found: &mut BTreeMap<BlobId, Blob>) {
        let blob = &self.blobs[&id];
        if found.insert(id, blob.clone()).is_none() {
            blob.links.iter().for_each(|link| self.below(*link, found));
        }
    }

    /// Its pages below the root.
    pub(super) fn inner_pages(&self) -> Vec<BlobId> {
        let pages = self.blobs.values().filter(|blob| blob.kind == BlobKind::Page && blob.id != self.root);
        pages.map(|blob| blob.id).collect()
    }
}

fn random_middle(rng: &mut Rng) -> Vec<Vec<u64>> {
    (0..1 + rng.below(2)).map(|_| random_leaf(rng)).collect()
}

fn random_leaf(rng: &mut Rng) -> Vec<u64> {
    // Neighbours, so that equal leaves are frequent.
    let first = rng.below(CHUNKS / 3) * 3;
    (0..1 + rng.below(3)).map(|next| (first + next) % CHUNKS).collect()
}

fn chunk_bytes(chunk: u64) -> Vec<u8> {
    vec![chunk as u8; 20 + chunk as usize * 3]
}
