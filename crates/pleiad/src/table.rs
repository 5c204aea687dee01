//! Tables for people: aligned columns, a line under the head, no frame; the same on a terminal and in a file.

use comfy_table::presets::NOTHING;
use std::fmt;

/// A table that prints itself.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(head: &[&str]) -> Table {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        table.set_header(head.iter().map(|word| word.to_uppercase()));
        Table(table)
    }

    pub(crate) fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.0.add_row(cells.into_iter().map(|cell| cell.to_string()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        // Each cell is padded; the first one shall begin at the margin.
        let lines: Vec<&str> =
            text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
        f.write_str(&lines.join("\n"))
    }
}
