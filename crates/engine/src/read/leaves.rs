//! The leaves of a tree in order, read ahead by a thread of their own.

use super::pages::{PageReader, decode};
use crate::error::{EngineError, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use format::BlobId;
use format::page::{Leaf, Node, NodeChild, Page, PageType, TreeKey};
use std::sync::Arc;
use std::thread;

/// How many leaves are read together, and how many wait decoded.
const LEAVES_TOGETHER: usize = 24;
const LEAVES_WAITING: usize = 12;

/// A leaf, or what stands where one cannot be read.
pub(crate) struct ReadLeaf {
    /// Place of its first entry, where a node told it.
    pub(crate) first: Option<TreeKey>,
    pub(crate) page: BlobId,
    /// The entries; or why this leaf, or the whole part of the tree that starts here, cannot be read.
    pub(crate) leaf: Result<Leaf>,
}

/// Whether a part of a tree is wanted, by the places of its first entry and of the first behind it, where known.
pub(crate) type LeafFilter = Arc<dyn Fn(Option<&TreeKey>, Option<&TreeKey>) -> bool + Send + Sync>;

/// Leaves in order. Ends after an error that concerns the vault as a whole.
pub(crate) struct LeafStream {
    leaves: Receiver<Sent>,
    has_ended: bool,
}

/// A leaf; or nothing, where they end. A thread that ends without it has not sent them all.
type Sent = Option<Result<ReadLeaf>>;

impl LeafStream {
    /// All leaves below `root` that the filter wants.
    pub(crate) fn start(pages: Arc<PageReader>, root: BlobId, filter: LeafFilter) -> Self {
        let (sender, receiver) = bounded(LEAVES_WAITING);
        let work = move || {
            let walk = Walk { pages: &pages, filter, sender: &sender };
            // whoever does not listen any more needs no error, and no end
            let _ = sender.send(walk.root(root).err().map(Err));
        };
        system::spawn(thread::Builder::new().name("leaves".into()), work).expect("a thread can be started");
        Self { leaves: receiver, has_ended: false }
    }

    /// A stream without leaves.
    pub(crate) fn empty() -> Self {
        Self { leaves: bounded(0).1, has_ended: true }
    }

    /// All of them.
    pub(crate) fn everything() -> LeafFilter {
        Arc::new(|_, _| true)
    }
}

impl Iterator for LeafStream {
    type Item = Result<ReadLeaf>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let sent = self.leaves.recv().unwrap_or(Some(Err(EngineError::Internal("the leaves of a tree ended early"))));
        self.has_ended = !matches!(sent, Some(Ok(_)));
        sent
    }
}

/// Nobody listens any more: the walk ends without an error of its own.
struct Walk<'a> {
    pages: &'a PageReader,
    filter: LeafFilter,
    sender: &'a Sender<Sent>,
}

impl Walk<'_> {
    fn root(&self, root: BlobId) -> Result<()> {
        let page = self.pages.page(root);
        self.subtree(None, root, page, u8::MAX, None).map(|_| ())
    }

    /// Sends what lies below a page. False if nobody listens any more.
    fn subtree(
        &self,
        first: Option<TreeKey>,
        id: BlobId,
        page: Result<Arc<Page>>,
        below: u8,
        end: Option<&TreeKey>,
    ) -> Result<bool> {
        let page = match page {
            Ok(page) => page,
            Err(error) if super::blobs::is_damage(&error) => return Ok(self.send(first, id, Err(error))),
            Err(error) => return Err(error),
        };
        match decode(&page, |_, content| PageType::of(content)) {
            Ok(PageType::TreeLeaf) => Ok(self.send(first, id, decode(&page, Leaf::decode))),
            _ => match decode(&page, Node::decode) {
                Ok(node) if node.level < below => self.children(&node, end),
                Ok(_) => Ok(self.send(first, id, Err(EngineError::Damaged { what: "page", id }))),
                Err(error) => Ok(self.send(first, id, Err(error))),
            },
        }
    }

    fn children(&self, node: &Node, end: Option<&TreeKey>) -> Result<bool> {
        let next = |place: usize| node.children.get(place + 1).map(|child| &child.first).or(end);
        let wanted: Vec<(usize, &NodeChild)> =
            node.children.iter().enumerate().filter(|(place, child)| (self.filter)(Some(&child.first), next(*place))).collect();
        for some in wanted.chunks(LEAVES_TOGETHER) {
            let ids: Vec<BlobId> = some.iter().map(|(_, child)| child.page).collect();
            for ((place, child), page) in some.iter().zip(self.pages.pages(&ids)?) {
                if !self.subtree(Some(child.first.clone()), child.page, page, node.level, next(*place))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn send(&self, first: Option<TreeKey>, page: BlobId, leaf: Result<Leaf>) -> bool {
        self.sender.send(Some(Ok(ReadLeaf { first, page, leaf }))).is_ok()
    }
}
