//! Tables for people.

use crate::terminal::say;
use comfy_table::presets::NOTHING;

/// A table without lines.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_header(heading);
        Self(table)
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.0.add_row(cells);
    }

    pub(crate) fn print(&self) {
        for line in self.0.to_string().lines() {
            say!("{}", line.trim());
        }
    }
}
