//! What users see: tables, sizes, times, progress, JSON.

mod json;
mod output;
mod progress;
mod table;
mod text;

pub(crate) use json::{Json, error_json, json_times, name_json, print_failure, show_first, was_heard};
pub(crate) use output::{nobody_reads, note, note_line, output_failed, say, say_line, say_text};
pub(crate) use progress::{EngineProgress, JobProgress, VaultProgress};
pub(crate) use table::Table;
pub(crate) use text::{
    bytes, confirm, counted, host_name, json_seconds, local, now_ms, printable, rate, seconds, utc, utc_nanoseconds,
};
