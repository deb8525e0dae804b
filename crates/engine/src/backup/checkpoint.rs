//! Checkpoints of a long backup: after an interruption, what they hold needs not be read again.

use super::findings::{BackupEvent, Findings, Notices};
use super::leaf_job::LeafResult;
use super::record::Recorder;
use super::shared::Totals;
use super::storing::Store;
use super::tree_builder::TreeBuilder;
use super::{Backup, manifest};
use crate::call::Calls;
use crate::error::Result;
use crate::progress::Progress;
use contract::ItemHead;
use crossbeam_channel::Receiver;
use format::SessionId;
use format::record::RecordKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes checkpoints while the tree is built.
pub(crate) struct Checkpoints {
    calls: Calls,
    session: SessionId,
    head: Option<ItemHead>,
    recorder: Arc<Recorder>,
    store: Store,
    notices: Arc<Notices>,
    totals: Arc<Totals>,
    progress: Progress,
    every: Duration,
    every_bytes: u64,
    last: Instant,
    last_bytes: u64,
}

impl Checkpoints {
    pub(crate) fn new(backup: &Backup, store: Store) -> Self {
        let options = &backup.request.options;
        Self {
            calls: backup.calls.clone(),
            session: backup.session.id(),
            head: backup.session.opened.head,
            recorder: backup.recorder.clone(),
            store,
            notices: backup.notices.clone(),
            totals: backup.totals.clone(),
            progress: backup.request.progress.clone(),
            every: options.checkpoint_after,
            every_bytes: options.checkpoint_bytes,
            last: Instant::now(),
            last_bytes: 0,
        }
    }

    /// Takes all leaves up, with checkpoints between them when it is time.
    pub(crate) fn build(mut self, mut builder: TreeBuilder, leaves: &Receiver<LeafResult>) -> Result<TreeBuilder> {
        while let Ok(leaf) = leaves.recv() {
            builder.push(leaf)?;
            let bytes = self.progress.bytes_read.get();
            let is_due = self.last.elapsed() >= self.every || bytes - self.last_bytes >= self.every_bytes;
            // as long as the first leaf is not there, the later ones do not count
            if is_due && builder.totals().entries > 0 {
                self.make(&builder)?;
                self.last = Instant::now();
                self.last_bytes = bytes;
            }
        }
        Ok(builder)
    }

    fn make(&self, builder: &TreeBuilder) -> Result<()> {
        let totals = builder.totals();
        let page = self.store.while_held(|| {
            let page = self.store.put_page_ahead(manifest(builder.root_so_far()?, totals)?)?;
            self.store.drain()?;
            Ok(page)
        })?;
        let details = self.recorder.details(&self.totals, totals, &Findings::default());
        let record = self.recorder.record(RecordKind::Checkpoint, self.head, page, &details)?;
        let made = self.calls.domain.checkpoint(self.session, record.encode().into());
        match self.calls.wait("make a checkpoint", made) {
            Ok(_) => self.notices.tell(&BackupEvent::Checkpoint { entries: totals.entries }),
            // the backup can do without; if the session is over, that shows at its next call
            Err(error) => tracing::warn!(%error, "no checkpoint could be made"),
        }
        Ok(())
    }
}
