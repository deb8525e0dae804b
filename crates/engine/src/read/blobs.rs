//! Blobs: located, read and opened; another copy is tried where one fails.

use super::footers::Footers;
use super::keys::KeyRing;
use super::packs::PackRead;
use crate::call::Calls;
use crate::error::{EngineError, ErrorKind, Result};
use contract::Location;
use format::blob::BlobKind;
use format::{BlobId, PackName, SessionId};
use seal::BlobOpener;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most ids of one call.
pub(crate) const IDS_A_CALL: usize = 4096;

/// Most blobs of which is remembered that they did not open.
const UNOPENED_MAX: usize = 100_000;

/// Blobs of which no copy opened.
#[derive(Default)]
pub(crate) struct Unopened(Mutex<HashSet<BlobId>>);

impl Unopened {
    pub(crate) fn contains(&self, id: &BlobId) -> bool {
        self.lock().contains(id)
    }

    fn note(&self, id: BlobId) {
        let mut unopened = self.lock();
        if unopened.len() < UNOPENED_MAX {
            unopened.insert(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<BlobId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads blobs within a session.
pub(crate) struct BlobReader {
    pub(crate) calls: Calls,
    pub(crate) session: SessionId,
    pub(crate) ring: KeyRing,
    pub(crate) unopened: Arc<Unopened>,
    footers: Footers,
}

impl BlobReader {
    pub(crate) fn new(calls: Calls, session: SessionId, ring: KeyRing) -> Self {
        Self { footers: Footers::new(calls.clone()), calls, session, ring, unopened: Arc::default() }
    }

    /// Copies of blobs, the one to read first in front.
    pub(crate) fn locate(&self, ids: &[BlobId]) -> Result<Vec<Vec<Location>>> {
        let mut copies = Vec::with_capacity(ids.len());
        for some in ids.chunks(IDS_A_CALL) {
            let answer = self.calls.wait("look up blobs", self.calls.domain.locate(self.session, some))?;
            if answer.len() != some.len() {
                return Err(EngineError::Internal("the vault answered for another number of blobs"));
            }
            copies.extend(answer);
        }
        Ok(copies)
    }

    /// Opens a copy of a data blob.
    pub(crate) fn open_data<'a>(&self, opener: &'a mut BlobOpener, id: BlobId, at: &Location, sealed: &[u8]) -> Result<&'a [u8]> {
        self.open(opener, BlobKind::Data, id, &[], at, sealed)
    }

    /// The links of a page, as the footer of its pack tells them.
    pub(crate) fn page_links(&self, id: BlobId, at: &Location) -> Result<Arc<PageLinks>> {
        let footer = self.footers.get(at.pack)?;
        match footer.entries.binary_search_by(|entry| entry.id.cmp(&id)) {
            Ok(place) => Ok(Arc::new(PageLinks { footer, place })),
            Err(_) => Err(EngineError::Damaged { what: "page", id }),
        }
    }

    /// Opens a copy of a blob; its id must come out.
    pub(crate) fn open<'a>(
        &self,
        opener: &'a mut BlobOpener,
        kind: BlobKind,
        id: BlobId,
        links: &[BlobId],
        at: &Location,
        sealed: &[u8],
    ) -> Result<&'a [u8]> {
        let key = self.ring.get(at.key)?;
        opener.open(&key, self.ring.writer(), kind, id, links, sealed).map_err(EngineError::seal("open a blob"))
    }

    /// A blob by itself, from whichever copy opens. Copies that do not are reported.
    pub(crate) fn read_alone(&self, opener: &mut BlobOpener, kind: BlobKind, id: BlobId) -> Result<(Vec<BlobId>, Vec<u8>)> {
        let mut bad = BadCopies::default();
        let found = self.search(opener, kind, id, &mut bad);
        bad.wrong.append(&mut bad.unread);
        self.report(&bad.wrong);
        found
    }

    /// As `read_alone`, for somebody who has the vault look at what storage cannot read: that may pass, and what is reported does not.
    /// Also answers whether any copy was bad.
    pub(crate) fn check_alone(&self, opener: &mut BlobOpener, id: BlobId) -> Result<(usize, bool)> {
        let mut bad = BadCopies::default();
        let found = self.search(opener, BlobKind::Data, id, &mut bad);
        self.report(&bad.wrong);
        found.map(|(_, plaintext)| (plaintext.len(), !bad.wrong.is_empty() || !bad.unread.is_empty()))
    }

    /// Looked up again once if its pack was rewritten meanwhile.
    fn search(&self, opener: &mut BlobOpener, kind: BlobKind, id: BlobId, bad: &mut BadCopies) -> Result<(Vec<BlobId>, Vec<u8>)> {
        for _ in 0..2 {
            let mut moved = false;
            for at in self.locate(&[id])?.pop().unwrap_or_default() {
                match self.try_copy(opener, kind, id, &at) {
                    Ok(found) => return Ok(found),
                    Err(error) if error.kind() == ErrorKind::NotFound => moved = true,
                    Err(error) if is_damage(&error) => match error {
                        EngineError::Vault { .. } => bad.unread.push((at.pack, id)),
                        _ => bad.wrong.push((at.pack, id)),
                    },
                    Err(error) => return Err(error),
                }
            }
            if !moved {
                break;
            }
        }
        self.unopened.note(id);
        Err(EngineError::Damaged { what: if kind == BlobKind::Page { "page" } else { "data blob" }, id })
    }

    fn try_copy(&self, opener: &mut BlobOpener, kind: BlobKind, id: BlobId, at: &Location) -> Result<(Vec<BlobId>, Vec<u8>)> {
        let links = if kind == BlobKind::Page { Some(self.page_links(id, at)?) } else { None };
        let links = links.as_ref().map_or(&[][..], |links| links.as_slice());
        let sealed = self.read(&PackRead { pack: at.pack, blobs: vec![(*at, ())] })?;
        let plaintext = self.open(opener, kind, id, links, at, &sealed[0])?;
        Ok((links.to_vec(), plaintext.to_vec()))
    }

    /// Reports copies that do not open. That is a favour to the next backup: if it fails, nothing is lost.
    pub(crate) fn report(&self, copies: &[(PackName, BlobId)]) {
        if copies.is_empty() {
            return;
        }
        if let Err(error) = self.calls.wait("report damage", self.calls.domain.report_unreadable(copies)) {
            tracing::warn!(%error, "damaged blobs could not be reported to the vault");
        }
    }
}

/// Copies of a blob that were of no use.
#[derive(Default)]
struct BadCopies {
    /// Read, and not opened.
    wrong: Vec<(PackName, BlobId)>,
    /// Not read.
    unread: Vec<(PackName, BlobId)>,
}

/// Whether an error says that this copy is bad, rather than that the vault cannot be reached.
pub(crate) fn is_damage(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::WrongKey)
}

/// The links of a page within the footer that holds them.
pub(crate) struct PageLinks {
    footer: Arc<format::pack::Footer>,
    place: usize,
}

impl PageLinks {
    pub(crate) fn as_slice(&self) -> &[BlobId] {
        &self.footer.entries[self.place].links
    }
}
