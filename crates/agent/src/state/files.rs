//! Files of the agent's state: written whole or not at all, durable when the write answers, for this user alone.

use crate::error::{AgentError, Result};
use crate::limits::KEPT_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A name that a damaged file gets behind its own.
const DAMAGED: &str = "damaged";

/// What a file holds.
#[derive(Debug)]
pub(super) enum Found<T> {
    /// This.
    Whole(T),
    /// It is not there.
    Nothing,
    /// Something that cannot be read.
    Damaged(String),
}

/// A directory for this user alone.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| AgentError::Write { path: path.to_owned(), source })
}

/// Replaces a file.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let failed = |source| AgentError::Write { path: path.to_owned(), source };
    let bytes = serde_json::to_vec(value).map_err(|error| failed(io::Error::other(error)))?;
    write_whole(path, &bytes).map_err(failed)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // There is one agent at a time: what is there was left by one that died.
    let temporary = directory.join(format!(".{name}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_directory(directory)
}

/// Removes a file that may be there, durably.
pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("/"))),
    };
    removed.map_err(|source| AgentError::Write { path: path.to_owned(), source })
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads a file. One that the system does not give is an error: what it holds is not known, and must not be lost.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Found<T>> {
    let failed = |source| AgentError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(KEPT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > KEPT_BYTES_MAX {
        return Ok(Found::Damaged(format!("it has more than {KEPT_BYTES_MAX} bytes")));
    }
    Ok(match serde_json::from_slice(&bytes) {
        Ok(value) => Found::Whole(value),
        Err(error) => Found::Damaged(error.to_string()),
    })
}

/// Takes a damaged file out of the way, for whoever wants to look at it.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}.{DAMAGED}"));
    fs::rename(path, &aside).map_err(|source| AgentError::Write { path: path.to_owned(), source })?;
    Ok(aside)
}
