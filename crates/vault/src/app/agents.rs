//! Agents that have spoken to the service, and which of them listen now.
//!
//! They are kept in memory and stored now and then, all at once: when a thousand come back after a restart, nobody waits for a disk.

use super::retired::Retired;
use super::text::cut;
use crate::db::{AgentRow, Database};
use crate::error::ServiceError;
use api::{AgentBody, AgentHello, AgentList};
use contract::{Error, ErrorKind, Result};
use format::{AgentKey, DomainId};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// Most agents of one domain.
const PER_DOMAIN_MAX: usize = 64;
/// Most bytes of what an agent says that its machine and its program are called.
const NAME_BYTES_MAX: usize = 256;

type Key = (DomainId, AgentKey);

/// All agents.
pub(crate) struct Agents {
    database: Database,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    known: BTreeMap<Key, Known>,
    /// Not stored as they are.
    changed: HashSet<Key>,
}

struct Known {
    row: AgentRow,
    /// Streams on which it listens.
    listening: usize,
}

/// An agent listens, until this is dropped.
pub(crate) struct Connected {
    agents: Arc<Agents>,
    key: Key,
}

impl Agents {
    pub(crate) async fn load(database: Database) -> Result<Arc<Self>, ServiceError> {
        let rows = database.agents().await?.into_iter();
        let known = rows.map(|row| ((row.domain, row.agent), Known { row, listening: 0 })).collect();
        Ok(Arc::new(Self { database, standing: Mutex::new(Standing { known, changed: HashSet::new() }) }))
    }

    /// An agent begins to listen.
    pub(crate) fn connect(self: &Arc<Self>, domain: DomainId, hello: AgentHello, now_ms: i64) -> Result<Connected> {
        let key = (domain, hello.agent);
        let mut standing = self.standing();
        let of_domain = (domain, AgentKey([0; 32]))..=(domain, AgentKey([0xff; 32]));
        if !standing.known.contains_key(&key) && standing.known.range(of_domain).count() >= PER_DOMAIN_MAX {
            return Err(Error::new(ErrorKind::Conflict, format!("the domain has {PER_DOMAIN_MAX} agents, and takes no more")));
        }
        let row = AgentRow {
            domain,
            agent: hello.agent,
            host: cut(hello.host, NAME_BYTES_MAX),
            program: cut(hello.program, NAME_BYTES_MAX),
            seen_ms: now_ms,
            ahead_ms: hello.time_ms.saturating_sub(now_ms),
        };
        let listening = standing.known.get(&key).map_or(0, |known| known.listening) + 1;
        standing.known.insert(key, Known { row, listening });
        standing.changed.insert(key);
        Ok(Connected { agents: self.clone(), key })
    }

    /// An agent was heard of.
    pub(crate) fn seen(&self, domain: DomainId, agent: AgentKey, now_ms: i64) {
        let mut standing = self.standing();
        if let Some(known) = standing.known.get_mut(&(domain, agent)) {
            known.row.seen_ms = now_ms;
            standing.changed.insert((domain, agent));
        }
    }

    /// All of them. Those that listen are heard of now.
    pub(crate) fn list(&self, now_ms: i64, retired: &Retired) -> AgentList {
        let body = |known: &Known| AgentBody {
            domain: known.row.domain,
            agent: known.row.agent,
            host: known.row.host.clone(),
            program: known.row.program.clone(),
            connected: known.listening > 0,
            seen_ms: if known.listening > 0 { now_ms } else { known.row.seen_ms },
            ahead_ms: known.row.ahead_ms,
            retired: retired.is_retired(known.row.domain, known.row.agent),
        };
        AgentList { agents: self.standing().known.values().map(body).collect() }
    }

    /// How many listen.
    pub(crate) fn connected(&self) -> usize {
        self.standing().known.values().filter(|known| known.listening > 0).count()
    }

    /// Stores what changed since the last time.
    pub(crate) async fn store(&self) -> Result<(), ServiceError> {
        let rows: Vec<AgentRow> = {
            let mut standing = self.standing();
            let changed = std::mem::take(&mut standing.changed);
            changed.iter().filter_map(|key| standing.known.get(key)).map(|known| known.row.clone()).collect()
        };
        if rows.is_empty() {
            return Ok(());
        }
        let stored = self.database.put_agents(&rows).await;
        if stored.is_err() {
            self.standing().changed.extend(rows.iter().map(|row| (row.domain, row.agent)));
        }
        stored
    }

    fn disconnect(&self, key: Key) {
        if let Some(known) = self.standing().known.get_mut(&key) {
            known.listening = known.listening.saturating_sub(1);
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().expect("no panic under this lock")
    }
}

impl Connected {
    /// It was heard of until now.
    pub(crate) fn until(&self, now_ms: i64) {
        self.agents.seen(self.key.0, self.key.1, now_ms);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.agents.disconnect(self.key);
    }
}
