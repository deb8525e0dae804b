//! Private files: written whole or not at all, readable by their owner alone.

use crate::failure::{Exit, Failure, Outcome};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Most bytes of a secret file.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Whether a file is there. What cannot be looked at is not taken for absent: a pin that cannot be read is no missing pin.
pub(crate) fn exists(path: &Path) -> Outcome<bool> {
    path.try_exists().map_err(|error| Failure::io(format!("cannot look for '{}'", path.display()), &error))
}

/// Replaces a file of mode 0600: a new file, flushed to the disk, renamed over the old one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let write = || -> std::io::Result<()> {
        // The parent of a bare name is the empty path.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
            return written;
        }
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| Failure::io(format!("cannot write '{}'", path.display()), &error))
}

/// Reads a secret from a file that nobody else can read.
pub(crate) fn read_secret(path: &Path) -> Outcome<Zeroizing<Vec<u8>>> {
    read_private(path, SECRET_BYTES_MAX)
}

/// The same, of what may be longer than a secret is.
pub(crate) fn read_private(path: &Path, bytes_max: u64) -> Outcome<Zeroizing<Vec<u8>>> {
    let failed = |error: &std::io::Error| Failure::io(format!("cannot read '{}'", path.display()), error);
    let file = File::open(path).map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(Failure::new(Exit::Refused, format!("'{}' can be read by others", path.display()))
            .with_hint(format!("it holds a secret: chmod 600 '{}'", path.display())));
    }
    let mut secret = Zeroizing::new(Vec::with_capacity(metadata.len().min(bytes_max) as usize + 1));
    file.take(bytes_max + 1).read_to_end(&mut secret).map_err(|error| failed(&error))?;
    if secret.len() as u64 > bytes_max {
        return Err(Failure::new(
            Exit::Failed,
            format!("'{}' is longer than {bytes_max} bytes: it is not what belongs there", path.display()),
        ));
    }
    Ok(secret)
}
