//! The ledger: the authority's own memory, in transactions.
//!
//! Every state transition of sessions, packs and points is one transaction here. SQLite holds it in production, a
//! deterministic one in simulation; one conformance suite holds them to the same behaviour.
//!
//! Invariant: a transaction that was committed is durable and seen by every later one; one that was dropped left nothing.

mod bounds;
#[cfg(test)]
mod conformance;
mod memory;
mod rows;
mod sqlite;

pub use memory::{CommitFault, CommitHook, MemoryLedger, MemorySnapshot};
pub use rows::{
    CondemnedRow, DamageRow, DamageSource, DomainRow, HeadRow, JournalRow, JournalState, PackRow, PackState, PointRow,
    PointRowState, SegmentRow, SessionKind, SessionRow, SessionState,
};
pub use sqlite::SqliteLedger;

use async_trait::async_trait;
use bytes::Bytes;
use format::{DomainId, ItemName, JournalNumber, PackName, PointId, SessionId};
use std::collections::BTreeSet;

/// Why the ledger did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database failed, is locked for too long, or the disk is full.
    #[error("the database cannot {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Whether the disk is full.
        full: bool,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database holds bytes that cannot be.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
}

/// Result of the ledger's methods.
pub type LedgerResult<T> = Result<T, LedgerError>;

/// A ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Starts a transaction that may write. There is one at a time; others wait.
    async fn begin(&self) -> LedgerResult<Box<dyn Transaction>>;

    /// Starts a transaction that reads one consistent state. Writing in it is an error.
    async fn snapshot(&self) -> LedgerResult<Box<dyn Transaction>>;
}

/// A transaction; dropped without `commit`, it leaves nothing.
#[async_trait]
pub trait Transaction: Send {
    /// Makes everything durable, or fails and leaves nothing (after `Unavailable`: perhaps everything).
    async fn commit(self: Box<Self>) -> LedgerResult<()>;

    // ---- domain ------------------------------------------------------------------------------------------------------

    /// The domain's row.
    async fn domain(&mut self, domain: DomainId) -> LedgerResult<Option<DomainRow>>;
    /// Inserts or replaces it.
    async fn put_domain(&mut self, row: &DomainRow) -> LedgerResult<()>;
    /// Removes every row of the domain, in all tables.
    async fn erase_domain(&mut self, domain: DomainId) -> LedgerResult<()>;

    // ---- sessions ----------------------------------------------------------------------------------------------------

    /// One session.
    async fn session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<Option<SessionRow>>;
    /// Inserts or replaces one.
    async fn put_session(&mut self, row: &SessionRow) -> LedgerResult<()>;
    /// All sessions in this state, by number.
    async fn sessions(&mut self, domain: DomainId, state: SessionState) -> LedgerResult<Vec<SessionRow>>;
    /// Removes one.
    async fn remove_session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<()>;

    // ---- packs -------------------------------------------------------------------------------------------------------

    /// One pack, with its footer if that is still here.
    async fn pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Option<PackRow>>;
    /// One pack, its footer left out (`footer` is `None`), which may be large.
    async fn pack_alone(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Option<PackRow>>;
    /// Inserts or replaces one, footer included.
    async fn put_pack(&mut self, row: &PackRow) -> LedgerResult<()>;
    /// Replaces everything of a pack's row but its footer.
    async fn update_pack(&mut self, row: &PackRow) -> LedgerResult<()>;
    /// Registered and proven packs of these segments are in that one from now on. Answers how many.
    async fn move_packs(&mut self, domain: DomainId, from: &BTreeSet<u64>, to: u64) -> LedgerResult<u64>;
    /// All packs by (number, name), footers left out (`footer` is `None`).
    async fn packs(&mut self, domain: DomainId) -> LedgerResult<Vec<PackRow>>;
    /// Packs of one session, by (number, name), footers left out.
    async fn packs_of_session(&mut self, domain: DomainId, session: SessionId) -> LedgerResult<Vec<PackRow>>;
    /// Registered, proven packs that no segment covers, by (number, name), with footers.
    async fn tails(&mut self, domain: DomainId) -> LedgerResult<Vec<PackRow>>;
    /// Removes one.
    async fn remove_pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()>;

    // ---- condemned copies ----------------------------------------------------------------------------------------------

    /// All condemned copies, by pack, then generation.
    async fn condemned(&mut self, domain: DomainId) -> LedgerResult<Vec<CondemnedRow>>;
    /// Inserts or replaces those of one pack and generation; a row without places is removed.
    async fn put_condemned(&mut self, row: &CondemnedRow) -> LedgerResult<()>;
    /// Removes all of one pack.
    async fn remove_condemned(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()>;

    // ---- damage --------------------------------------------------------------------------------------------------------

    /// All known damage, by pack, then place.
    async fn damage(&mut self, domain: DomainId) -> LedgerResult<Vec<DamageRow>>;
    /// Those of one pack, by place.
    async fn damage_of_pack(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<Vec<DamageRow>>;
    /// Inserts or replaces one (key: pack and place).
    async fn put_damage(&mut self, row: &DamageRow) -> LedgerResult<()>;
    /// Removes all of one pack.
    async fn remove_damage(&mut self, domain: DomainId, pack: PackName) -> LedgerResult<()>;

    // ---- points --------------------------------------------------------------------------------------------------------

    /// One point or checkpoint.
    async fn point(&mut self, domain: DomainId, point: PointId) -> LedgerResult<Option<PointRow>>;
    /// Inserts or replaces one.
    async fn put_point(&mut self, row: &PointRow) -> LedgerResult<()>;
    /// All points and checkpoints, by journal number.
    async fn points(&mut self, domain: DomainId) -> LedgerResult<Vec<PointRow>>;
    /// Points and checkpoints of one item, by journal number.
    async fn points_of_item(&mut self, domain: DomainId, item: &ItemName) -> LedgerResult<Vec<PointRow>>;
    /// Removes one.
    async fn remove_point(&mut self, domain: DomainId, point: PointId) -> LedgerResult<()>;
    /// End of an item's chain.
    async fn head(&mut self, domain: DomainId, item: &ItemName) -> LedgerResult<Option<HeadRow>>;
    /// Inserts or replaces it.
    async fn put_head(&mut self, row: &HeadRow) -> LedgerResult<()>;

    // ---- journal -------------------------------------------------------------------------------------------------------

    /// One entry.
    async fn journal(&mut self, domain: DomainId, number: JournalNumber) -> LedgerResult<Option<JournalRow>>;
    /// Inserts or replaces one.
    async fn put_journal(&mut self, row: &JournalRow) -> LedgerResult<()>;
    /// Entries in this state, by number.
    async fn journal_in(&mut self, domain: DomainId, state: JournalState) -> LedgerResult<Vec<JournalRow>>;

    // ---- index segments --------------------------------------------------------------------------------------------------

    /// The set of segments, by id.
    async fn segments(&mut self, domain: DomainId) -> LedgerResult<Vec<SegmentRow>>;
    /// Inserts one.
    async fn put_segment(&mut self, row: &SegmentRow) -> LedgerResult<()>;
    /// Removes one.
    async fn remove_segment(&mut self, domain: DomainId, segment: u64) -> LedgerResult<()>;

    // ---- the vault -------------------------------------------------------------------------------------------------------

    /// A value of the vault as a whole (its descriptor, for one).
    async fn setting(&mut self, name: &str) -> LedgerResult<Option<Bytes>>;
    /// Sets or removes one.
    async fn put_setting(&mut self, name: &str, value: Option<Bytes>) -> LedgerResult<()>;
}
