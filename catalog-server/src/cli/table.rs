//! Text in columns, aligned by the width that a terminal gives to it: wide characters take two places,
//! combining marks none. Terminals are not asked for their size, and nothing is wrapped.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

/// Number of spaces between two columns.
const GAP: usize = 2;

/// Rows of text in columns. Each column is as wide as its widest cell.
pub struct TextTable<const COLUMNS: usize> {
    indent: usize,
    columns: [TextColumn; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

/// Alignment and minimum width of a column.
#[derive(Clone, Copy)]
pub struct TextColumn {
    alignment: Alignment,
    width_min: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alignment {
    Left,
    Right,
}

impl TextColumn {
    /// Column whose cells begin at the same place.
    pub const LEFT: TextColumn = TextColumn { alignment: Alignment::Left, width_min: 0 };
    /// Column whose cells end at the same place.
    pub const RIGHT: TextColumn = TextColumn { alignment: Alignment::Right, width_min: 0 };

    /// Returns the column with a minimum width, in places of a terminal.
    pub const fn at_least(self, width_min: usize) -> TextColumn {
        TextColumn { width_min, ..self }
    }
}

impl<const COLUMNS: usize> TextTable<COLUMNS> {
    /// Creates a table without rows whose lines begin with `indent` spaces.
    pub fn new(indent: usize, columns: [TextColumn; COLUMNS]) -> TextTable<COLUMNS> {
        TextTable { indent, columns, rows: Vec::new() }
    }

    /// Appends a row. Control characters are escaped: a name must not move the cursor.
    pub fn push(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row.map(|cell| printable(&cell)));
    }
}

/// Prints each row as a line, without spaces at its end.
impl<const COLUMNS: usize> fmt::Display for TextTable<COLUMNS> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.max().unwrap_or(0).max(self.columns[column].width_min)
        });
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (number, ((cell, column), width)) in row.iter().zip(&self.columns).zip(widths).enumerate() {
                if number > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                let padding = " ".repeat(width.saturating_sub(cell.width()));
                if column.alignment == Alignment::Right {
                    line.push_str(&padding);
                }
                line.push_str(cell);
                if column.alignment == Alignment::Left {
                    line.push_str(&padding);
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn printable(text: &str) -> String {
    let escaped = |one: char| -> String {
        if one.is_control() { one.escape_default().to_string() } else { one.to_string() }
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(rows: &[[&str; 3]]) -> String {
        let columns = [TextColumn::LEFT, TextColumn::RIGHT.at_least(4), TextColumn::LEFT];
        let mut table = TextTable::new(1, columns);
        for row in rows {
            table.push(row.map(str::to_owned));
        }
        table.to_string()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let expected = " id         1  number\n region   123\n";
        assert_eq!(printed(&[["id", "1", "number"], ["region", "123", ""]]), expected);
        assert_eq!(printed(&[]), "");
    }

    #[test]
    fn cells_after_wide_characters_and_combining_marks_are_aligned() {
        // Widths of the first column: 8 (four wide characters), 4 (with a combining acute), 8, 6 (two of them
        // half-width), 2 (one emoji of three code points).
        let names = ["売上明細", "cafe\u{301}", "standard", "한국ｱｲ", "👩\u{200d}💻"];
        let lines = printed(&names.map(|name| [name, "7", "end"]));
        let ends: Vec<usize> =
            lines.lines().map(|line| line.split_once('7').map_or(0, |(before, _)| before.width())).collect();
        assert_eq!(ends, [1 + 8 + 2 + 3; 5], "{lines}");
        assert!(lines.contains(" 売上明細     7  end\n cafe\u{301}         7  end\n"), "{lines}");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printed(&[["a\u{1b}[2J\nb", "1", "x"]]), " a\\u{1b}[2J\\nb     1  x\n");
    }
}
