//! Footers of page packs: where the links of pages stand.

use crate::call::Calls;
use crate::error::{EngineError, Result};
use format::PackName;
use format::pack::Footer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of footers that are kept.
const KEPT_BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
struct Kept {
    footers: HashMap<PackName, Arc<Footer>>,
    bytes: usize,
}

/// Footers, kept while there is room.
pub(crate) struct Footers {
    calls: Calls,
    kept: Mutex<Kept>,
}

impl Footers {
    pub(crate) fn new(calls: Calls) -> Self {
        Self { calls, kept: Mutex::default() }
    }

    pub(crate) fn get(&self, pack: PackName) -> Result<Arc<Footer>> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(footer) = lock().footers.get(&pack) {
            return Ok(footer.clone());
        }
        let bytes = self.calls.wait("read the footer of a pack", self.calls.domain.read_footer(pack))?;
        // whoever gives a wrong footer gives wrong links, and pages whose ids do not come out
        let footer = Arc::new(Footer::parse(&bytes).map_err(EngineError::format("read the footer of a pack"))?);
        let mut kept = lock();
        if kept.bytes + bytes.len() > KEPT_BYTES_MAX {
            kept.footers.clear();
            kept.bytes = 0;
        }
        kept.bytes += bytes.len();
        kept.footers.insert(pack, footer.clone());
        Ok(footer)
    }
}
