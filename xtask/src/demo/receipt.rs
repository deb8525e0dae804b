//! What the demo did, with times and rates.

use super::comparison::Comparison;
use anyhow::Result;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Lines of the receipt.
pub(super) struct Receipt {
    lines: Vec<String>,
}

impl Receipt {
    /// Of a job that this program did on a tree like this.
    pub(super) fn new(program: &str, tree: &Comparison) -> Self {
        Self { lines: vec![format!("{program}, on {}", tree.summary())] }
    }

    /// A step with its time, and its rate where it went over so many bytes.
    pub(super) fn step(&mut self, title: &str, time: Duration, bytes: Option<u64>) {
        let rate = bytes.map(|bytes| format!("{:>10.0} MiB/s", mebibytes(bytes) / time.as_secs_f64().max(1e-3)));
        self.lines.push(format!("  {title:<26}{:>8.2} s{}", time.as_secs_f64(), rate.unwrap_or_default()));
    }

    /// A remark to the step before.
    pub(super) fn note(&mut self, text: &str) {
        self.lines.push(format!("    {text}"));
    }

    /// How large the vault is by now.
    pub(super) fn vault(&mut self, vault: &Path) -> Result<()> {
        let (files, bytes) = size(vault)?;
        self.lines.push(format!("the vault: {files} objects and files, {:.1} MiB", mebibytes(bytes)));
        self.lines.push("the restored trees are equal to the originals".to_owned());
        Ok(())
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

/// Bytes in MiB.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn size(directory: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let (more_files, more_bytes) =
            if entry.file_type()?.is_dir() { size(&entry.path())? } else { (1, entry.metadata()?.len()) };
        (files, bytes) = (files + more_files, bytes + more_bytes);
    }
    Ok((files, bytes))
}
