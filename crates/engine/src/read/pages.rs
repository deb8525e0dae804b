//! Pages: opened, checked, and kept while there is room.

use super::blobs::BlobReader;
use super::packs::group_by_pack;
use crate::error::{EngineError, Result};
use contract::Location;
use format::BlobId;
use format::blob::BlobKind;
use format::page::{Manifest, Page, Part, Shape};
use seal::BlobOpener;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of pages that are kept.
const KEPT_BYTES_MAX: usize = 8 << 20;

#[derive(Default)]
struct Kept {
    pages: HashMap<BlobId, Arc<Page>>,
    order: VecDeque<BlobId>,
    bytes: usize,
}

impl Kept {
    fn insert(&mut self, id: BlobId, page: Arc<Page>) {
        let weight = |page: &Page| page.content.len() + page.links.len() * BlobId::BYTES;
        self.bytes += weight(&page);
        if self.pages.insert(id, page.clone()).is_some() {
            self.bytes -= weight(&page);
            return;
        }
        self.order.push_back(id);
        while self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(page) = self.pages.remove(&oldest) {
                self.bytes -= weight(&page);
            }
        }
    }
}

/// Reads pages within a session.
pub(crate) struct PageReader {
    pub(crate) blobs: Arc<BlobReader>,
    kept: Mutex<Kept>,
    openers: Mutex<Vec<BlobOpener>>,
}

impl PageReader {
    pub(crate) fn new(blobs: Arc<BlobReader>) -> Self {
        Self { blobs, kept: Mutex::default(), openers: Mutex::default() }
    }

    /// One page.
    pub(crate) fn page(&self, id: BlobId) -> Result<Arc<Page>> {
        if let Some(page) = self.lock().pages.get(&id) {
            return Ok(page.clone());
        }
        let (links, content) = self.with_opener(|opener| self.blobs.read_alone(opener, BlobKind::Page, id))?;
        let page = Arc::new(Page { links, content });
        self.lock().insert(id, page.clone());
        Ok(page)
    }

    /// Several pages, each once; not kept. An error of a single page is its own, what concerns all is the outer one.
    pub(crate) fn pages(&self, ids: &[BlobId]) -> Result<Vec<Result<Arc<Page>>>> {
        let copies = self.blobs.locate(ids)?;
        let mut found: Vec<Option<Result<Arc<Page>>>> = ids.iter().map(|_| None).collect();
        let first = copies.iter().enumerate().filter_map(|(place, copies)| Some((*copies.first()?, place)));
        self.with_opener(|opener| {
            for read in group_by_pack(first) {
                let Ok(parts) = self.blobs.read(&read) else { continue };
                for ((at, place), sealed) in read.blobs.iter().zip(parts) {
                    found[*place] = self.open(opener, ids[*place], at, &sealed).ok().map(Ok);
                }
            }
        });
        // what did not work at once is tried by itself: there it gets its other copies and a clear error
        let finish = |(place, page): (usize, Option<Result<Arc<Page>>>)| match page {
            Some(page) => Ok(page),
            None => match self.page(ids[place]) {
                Err(error) if !super::blobs::is_damage(&error) => Err(error),
                page => Ok(page),
            },
        };
        found.into_iter().enumerate().map(finish).collect()
    }

    fn open(&self, opener: &mut BlobOpener, id: BlobId, at: &Location, sealed: &[u8]) -> Result<Arc<Page>> {
        let links = self.blobs.page_links(id, at)?;
        let content = self.blobs.open(opener, BlobKind::Page, id, links.as_slice(), at, sealed)?;
        Ok(Arc::new(Page { links: links.as_slice().to_vec(), content: content.to_vec() }))
    }

    /// A data blob by itself.
    pub(crate) fn data(&self, id: BlobId) -> Result<Vec<u8>> {
        self.with_opener(|opener| self.blobs.read_alone(opener, BlobKind::Data, id)).map(|(_, plaintext)| plaintext)
    }

    fn with_opener<T>(&self, work: impl FnOnce(&mut BlobOpener) -> T) -> T {
        let lock = || self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = lock().pop();
        let mut opener = spare.unwrap_or_default();
        let answer = work(&mut opener);
        lock().push(opener);
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decodes a page; bytes that do not decode are damage, although their id came out: a faulty program wrote them.
pub(crate) fn decode<T>(page: &Page, decode: impl FnOnce(&[BlobId], &[u8]) -> format::codec::Result<T>) -> Result<T> {
    decode(&page.links, &page.content).map_err(EngineError::format("read a page"))
}

/// Name of the part of a point that holds a file set.
pub(crate) const FILES_PART: &str = "files";

/// The part of a point that holds a file set.
pub(crate) fn files_part(pages: &PageReader, root: BlobId) -> Result<Part> {
    let page = pages.page(root)?;
    let manifest = decode(&page, Manifest::decode)?;
    match manifest.part(FILES_PART) {
        Some(part) if part.shape == Shape::Tree => Ok(part.clone()),
        _ => Err(EngineError::NotFound("the point has no file set".to_owned())),
    }
}
