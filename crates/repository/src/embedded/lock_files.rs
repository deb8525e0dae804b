//! Liveness by advisory locks: a session's file is locked as long as its process runs. No clock is asked.

use crate::environment::Liveness;
use format::SessionId;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

/// Lock files in a directory.
pub(super) struct LockFiles {
    directory: PathBuf,
    held: Mutex<HashMap<SessionId, File>>,
}

impl LockFiles {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, held: Mutex::default() }
    }

    fn path(&self, session: SessionId) -> PathBuf {
        self.directory.join(format!("{session}.lock"))
    }
}

impl Liveness for LockFiles {
    fn hold(&self, session: SessionId) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(session))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        self.held.lock().expect("no panic under this lock").insert(session, file);
        Ok(())
    }

    /// A lock file never runs out.
    fn hold_here(&self, session: SessionId) -> io::Result<()> {
        self.hold(session)
    }

    fn release(&self, session: SessionId) {
        // The file first: whoever finds none knows that the session is over.
        let _ = fs::remove_file(self.path(session));
        self.held.lock().expect("no panic under this lock").remove(&session);
    }

    fn is_alive(&self, session: SessionId) -> bool {
        if self.held.lock().expect("no panic under this lock").contains_key(&session) {
            return true;
        }
        match OpenOptions::new().write(true).open(self.path(session)) {
            Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive).is_err(),
            // Only a file that is not there says that the session is over; any other trouble keeps it alive.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

impl Drop for LockFiles {
    fn drop(&mut self) {
        let held: Vec<SessionId> = self.held.lock().expect("no panic under this lock").keys().copied().collect();
        held.into_iter().for_each(|session| self.release(session));
    }
}
