//! Lines for people and programs, which may go away or have a full disk.
//!
//! Invariant: what a command does never fails because nobody can read what it says. A full disk behind standard output is told
//! at the end ([`output_failed`]); a reader that went away is no failure.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// The first error of standard output.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// A line on standard output.
macro_rules! say {
    ($($words:tt)*) => { $crate::terminal::say_line(format_args!($($words)*)) };
}

/// A line on standard error.
macro_rules! note {
    ($($words:tt)*) => { $crate::terminal::note_line(format_args!($($words)*)) };
}

pub(crate) use {note, say};

pub(crate) fn say_line(words: Arguments<'_>) {
    say_text(format_args!("{words}\n"));
}

/// Text on standard output, as it is.
pub(crate) fn say_text(text: Arguments<'_>) {
    if FAILED.get().is_some() {
        return;
    }
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        // Another thread may have been first.
        let _ = FAILED.set(error);
    }
}

pub(crate) fn note_line(words: Arguments<'_>) {
    // There is nobody left to tell.
    let _ = io::stderr().lock().write_fmt(format_args!("{words}\n"));
}

/// Whether nobody reads standard output any more: what is only said need not be worked out.
pub(crate) fn nobody_reads() -> bool {
    FAILED.get().is_some()
}

/// Why what was said on standard output is not there, unless its reader wanted no more.
pub(crate) fn output_failed() -> Option<&'static io::Error> {
    FAILED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}
