//! The traits.

use crate::answers::{CheckReport, CollectReport, Committed, DomainStatus, ItemHead, Location, PointInfo, SessionOpened};
use crate::error::Result;
use crate::progress::ProgressSink;
use crate::requests::{CheckOptions, CollectOptions, OpenSession, PointFilter};
use async_trait::async_trait;
use bytes::Bytes;
use format::{BlobId, DomainId, ItemName, KeyId, PackName, PointId, SessionId};
use std::ops::Range;
use std::sync::Arc;

/// A vault: its descriptor and its domains.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The newest descriptor, as stored. The caller verifies it against the owner's key that it has pinned.
    async fn descriptor(&self) -> Result<Bytes>;

    /// Stores the next version of the descriptor. `Conflict` if the version exists, `Denied` if another owner signed it.
    async fn publish_descriptor(&self, descriptor: Bytes) -> Result<()>;

    /// Enrolments, as stored: domains that were made where their machines are, perhaps since the newest descriptor was signed. The
    /// caller verifies them.
    async fn enrolments(&self) -> Result<Vec<Bytes>>;

    /// The passphrase wrap, where the owner keeps it with the vault.
    async fn passphrase_wrap(&self) -> Result<Option<Bytes>>;

    /// Stores (`Some`) or removes (`None`) the passphrase wrap.
    async fn set_passphrase_wrap(&self, wrap: Option<Bytes>) -> Result<()>;

    /// Checks what belongs to the vault as a whole (descriptor, wrap), and mends what has another copy.
    async fn check(&self) -> Result<CheckReport>;

    /// A domain that the descriptor names.
    async fn domain(&self, domain: DomainId) -> Result<Arc<dyn Domain>>;
}

/// A domain: its sessions, points and blobs.
#[async_trait]
pub trait Domain: Send + Sync {
    /// Its id.
    fn id(&self) -> DomainId;

    // ---- writing -----------------------------------------------------------------------------------------------------

    /// Opens a session; what it sees is fixed now.
    async fn open_session(&self, request: OpenSession) -> Result<SessionOpened>;

    /// Keeps a session's lease alive; call it every minute or so. `Conflict` if the session is over.
    async fn renew_session(&self, session: SessionId) -> Result<()>;

    /// Stores the session's key object, in two copies, durably. Before the session's first pack; once a session.
    async fn put_key(&self, session: SessionId, key_object: Bytes) -> Result<KeyId>;

    /// Issues names for packs.
    async fn issue_packs(&self, session: SessionId, count: u32) -> Result<Vec<PackName>>;

    /// Stores a pack under an issued name and registers it: durable, footer parsed, checksums verified, key known.
    /// Sending the same pack again is no error.
    async fn put_pack(&self, session: SessionId, name: PackName, pack: Bytes) -> Result<()>;

    /// For each id, whether the session must send it.
    async fn missing(&self, session: SessionId, ids: &[BlobId]) -> Result<Vec<bool>>;

    /// Commits the signed record: proves that everything it reaches is there, then makes it durable. Idempotent by session.
    /// `Conflict` if the item's head moved: ask for the head, sign anew, commit again in the same session; nothing is sent again.
    async fn commit(&self, session: SessionId, record: Bytes) -> Result<Committed>;

    /// End of an item's chain now.
    async fn head(&self, item: &ItemName) -> Result<Option<ItemHead>>;

    /// Commits a checkpoint of a long backup; the session goes on. The base of the item's next session.
    async fn checkpoint(&self, session: SessionId, record: Bytes) -> Result<Committed>;

    /// Ends a session without a point. Its data packs stay for the next session to find.
    async fn abandon_session(&self, session: SessionId) -> Result<()>;

    // ---- reading -----------------------------------------------------------------------------------------------------

    /// Points, oldest first.
    async fn points(&self, filter: PointFilter) -> Result<Vec<PointInfo>>;

    /// Opens a read session that pins the point, soft-deleted or not.
    async fn open_reader(&self, point: PointId) -> Result<SessionId>;

    /// Ends a read session.
    async fn close_reader(&self, session: SessionId) -> Result<()>;

    /// For each id, its copies: the one to read first in front. Packs of the (read or write) session are seen too.
    async fn locate(&self, session: SessionId, ids: &[BlobId]) -> Result<Vec<Vec<Location>>>;

    /// Bytes of a pack, one answer a range. `NotFound` if the pack was rewritten meanwhile: locate again.
    async fn read_pack(&self, pack: PackName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>>;

    /// The footer of a pack, without its trailer: where a reader learns the links of a page, which are part of its id.
    /// `NotFound` if the pack was rewritten meanwhile: locate again.
    async fn read_footer(&self, pack: PackName) -> Result<Bytes>;

    /// A key object, from whichever copy is sound.
    async fn key_object(&self, key: KeyId) -> Result<Bytes>;

    /// Reports copies that could not be opened although their checksums may be right. They count as absent in `missing`
    /// so that they are sent anew, but nothing is ever deleted because of such a report.
    async fn report_unreadable(&self, copies: &[(PackName, BlobId)]) -> Result<()>;

    // ---- looking after it ----------------------------------------------------------------------------------------------

    /// Soft-deletes points. Those that are soft-deleted already are no error.
    async fn expire(&self, points: &[PointId]) -> Result<()>;

    /// Makes soft-deleted points listed again.
    async fn undelete(&self, points: &[PointId]) -> Result<()>;

    /// Purges points for ever: the tombstone is durable when this answers.
    async fn purge(&self, points: &[PointId]) -> Result<()>;

    /// Frees what no point needs.
    async fn collect(&self, options: CollectOptions, progress: ProgressSink) -> Result<CollectReport>;

    /// Checks without keys, and mends what has another copy.
    async fn check(&self, options: CheckOptions, progress: ProgressSink) -> Result<CheckReport>;

    /// Numbers.
    async fn status(&self) -> Result<DomainStatus>;
}
