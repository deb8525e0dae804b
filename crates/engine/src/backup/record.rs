//! The record of a point or checkpoint: made, sealed and signed.

use super::findings::Findings;
use super::shared::Totals;
use super::tree_builder::TreeTotals;
use super::{BackupOptions, BackupRequest};
use crate::error::{EngineError, Result};
use crate::point::{EntryCounts, PointDetails};
use contract::ItemHead;
use format::record::{RecordBody, RecordKind, SignedRecord};
use format::{BlobId, DomainId, Sequence, VaultId, limits};
use seal::{AgentSigner, DataKey};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes the records of a session.
pub(crate) struct Recorder {
    vault: VaultId,
    domain: DomainId,
    key: DataKey,
    signer: Arc<AgentSigner>,
    options: BackupOptions,
    started_ms: i64,
}

impl Recorder {
    pub(crate) fn new(request: &BackupRequest, key: DataKey) -> Self {
        Self {
            vault: request.descriptor.vault,
            domain: request.domain.id(),
            key,
            signer: request.keys.signer.clone(),
            options: request.options.clone(),
            started_ms: now_ms(),
        }
    }

    /// What the point says about itself.
    pub(crate) fn details(&self, totals: &Totals, tree: TreeTotals, findings: &Findings) -> PointDetails {
        let details = PointDetails {
            host: self.options.host.clone(),
            program: self.options.program.clone(),
            started_ms: self.started_ms,
            ended_ms: now_ms(),
            counts: EntryCounts {
                files: totals.files.get(),
                directories: totals.directories.get(),
                symlinks: totals.symlinks.get(),
                others: totals.others.get(),
            },
            bytes: tree.bytes,
            warnings: findings.warnings_count(),
            left_out: findings.left_out_count,
            paths_unread: findings.unread_paths.len() as u64,
            ..PointDetails::default()
        };
        details.with_paths(&self.options.paths)
    }

    /// The signed record that continues the item's chain.
    pub(crate) fn record(
        &self,
        kind: RecordKind,
        head: Option<ItemHead>,
        root: BlobId,
        details: &PointDetails,
    ) -> Result<SignedRecord> {
        let mut body = RecordBody {
            vault: self.vault,
            domain: self.domain,
            item: self.options.item.clone(),
            kind,
            sequence: head.map_or(Sequence(0), |head| head.sequence).next(),
            previous: head.map(|head| head.point),
            root,
            key: self.key.id(),
            agent_time_ms: self.started_ms,
            metadata_nonce: [0; 12],
            metadata: Vec::new(),
        };
        (body.metadata_nonce, body.metadata) = self.key.seal_metadata(&body.associated_data(), &details.encode());
        if body.metadata.len() > limits::RECORD_METADATA_BYTES_MAX {
            return Err(EngineError::Internal("the details of the point are too long"));
        }
        Ok(self.signer.sign(body))
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
