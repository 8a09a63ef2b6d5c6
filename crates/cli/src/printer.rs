//! The one place that prints: the answer on stdout, all else on stderr.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use comfy_table::{Cell, CellAlignment, Table, presets};
use lodestore::core::{Error, Result};
use serde_json::{Value, json};

use crate::error;

/// Who reads what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// Prints. A reader of stdout that goes away early is no error, and stops no work.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    format: Format,
}

/// A column of a table: its heading, and the key of its values in the rows' objects.
pub type Column = (&'static str, &'static str);

impl Printer {
    /// Returns a printer.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Returns who reads.
    #[must_use]
    pub fn format(self) -> Format {
        self.format
    }

    /// Prints an answer, as text or as JSON.
    ///
    /// # Errors
    /// What the file system says of the file that stdout is.
    pub fn answer(self, text: impl Display, json: &Value) -> Result<()> {
        match self.format {
            Format::Text => to_stdout(text.to_string().trim_end_matches('\n')),
            Format::Json => to_stdout(&pretty(json)?),
        }
    }

    /// Prints objects: some of their values as a table, or all as a JSON array.
    ///
    /// # Errors
    /// As [`Printer::answer`].
    pub fn rows(self, columns: &[Column], rows: &[Value]) -> Result<()> {
        let headings: Vec<_> = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let cells = rows.iter().map(|row| columns.iter().map(|(_, key)| shown(&row[*key])).collect());
        self.answer(table(&headings, cells), &Value::Array(rows.to_vec()))
    }

    /// Prints one object: indented lines of `key: value`, or JSON.
    ///
    /// # Errors
    /// As [`Printer::answer`].
    pub fn document(self, document: &Value) -> Result<()> {
        let mut text = String::new();
        describe(document, 0, &mut text);
        self.answer(text, document)
    }

    /// Tells people something beside the answer. Programs do without.
    pub fn note(self, text: impl Display) {
        if self.format == Format::Text {
            to_stderr(&text.to_string());
        }
    }

    /// Tells of something that is not wrong yet.
    pub fn warning(self, text: impl Display) {
        match self.format {
            Format::Text => to_stderr(&format!("warning: {text}")),
            Format::Json => to_stderr(&json!({"warning": text.to_string()}).to_string()),
        }
    }

    /// Tells of an error.
    pub fn error(self, error: &Error) {
        match self.format {
            Format::Text => to_stderr(&error::to_text(error)),
            Format::Json => to_stderr(&error::to_json(error).to_string()),
        }
    }

    /// Asks on the terminal and returns the line that was typed.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn ask(self, question: impl Display) -> Result<String> {
        let failed = |e| Error::io("asking on the terminal", e);
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "{question} ").and_then(|()| stderr.flush()).map_err(failed)?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(failed)?;
        Ok(line.trim().to_owned())
    }
}

/// Returns a table of text under headings, numbers aligned to the right.
pub(crate) fn table(headings: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row.into_iter().map(|text| {
            let is_number = text.parse::<f64>().is_ok();
            Cell::new(text).set_alignment(if is_number { CellAlignment::Right } else { CellAlignment::Left })
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Returns a value as a cell or a line shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let told = fields.iter().map(|(key, value)| (key, shown(value))).filter(|(_, value)| !value.is_empty());
            told.map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Writes an object as indented lines; lists of objects get a line for each object.
fn describe(document: &Value, indent: usize, text: &mut String) {
    let Value::Object(fields) = document else { return };
    for (key, value) in fields {
        let space = " ".repeat(indent);
        match value {
            Value::Null => {}
            Value::Object(fields) if fields.is_empty() => {}
            Value::Array(values) if values.is_empty() => {}
            Value::Object(_) => {
                *text += &format!("{space}{key}:\n");
                describe(value, indent + 2, text);
            }
            Value::Array(values) if values.iter().any(|v| v.is_object() || v.as_str().is_some_and(is_long)) => {
                *text += &format!("{space}{key}:\n");
                for value in values {
                    *text += &format!("{space}  - {}\n", shown(value));
                }
            }
            Value::String(value) if value.contains('\n') => {
                *text += &format!("{space}{key}:\n");
                value.lines().for_each(|line| *text += &format!("{space}  {line}\n"));
            }
            other => *text += &format!("{space}{key}: {}\n", shown(other)),
        }
    }
}

fn is_long(text: &str) -> bool {
    text.contains([' ', ','])
}

fn pretty(json: &Value) -> Result<String> {
    serde_json::to_string_pretty(json).map_err(|e| Error::internal("writing the answer as JSON").with_source(e))
}

fn to_stdout(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let line = if text.is_empty() { Ok(()) } else { writeln!(stdout, "{text}") };
    match line.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("writing the answer", error)),
        _ => Ok(()),
    }
}

fn to_stderr(text: &str) {
    // There is nobody left to tell if this fails.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_to_the_right_and_lines_end_with_their_text() {
        let rows = [vec!["a".to_owned(), "7".to_owned()], vec!["bcd".to_owned(), "1234".to_owned()]];
        let text = table(&["name".to_owned(), "rows".to_owned()], rows.into_iter());
        assert_eq!(text, "NAME  ROWS\na        7\nbcd   1234");
    }

    #[test]
    fn a_document_leaves_out_what_is_empty() {
        let mut text = String::new();
        let document = json!({
            "name": "a", "tags": {}, "ttl": null, "keys": ["x", "y"], "versions": [{"version": 1, "read_by": [], "hash": "f"}],
            "pins": {"v": 2}
        });
        describe(&document, 0, &mut text);
        assert_eq!(text, "name: a\nkeys: x, y\nversions:\n  - version: 1, hash: f\npins:\n  v: 2\n");
    }
}
