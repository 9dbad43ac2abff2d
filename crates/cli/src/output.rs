//! What a command prints for its caller: tables and sentences for people, JSON for programs. Results go to stdout, all else
//! to stderr.

use clap::ValueEnum;
use serde_json::Value;
use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Members of a command that are read first …
const FIRST: [&str; 5] = ["id", "kind", "status", "step", "reason"];

/// … and last.
const LAST: [&str; 2] = ["createdAt", "finishedAt"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs: one document for one thing, one line for each of several.
    Json,
}

impl Format {
    pub(crate) fn is_json(self) -> bool {
        self == Self::Json
    }

    /// One thing.
    pub(crate) fn one(self, value: &Value) {
        match self {
            Self::Json => say(format_args!("{value:#}")),
            Self::Table => say_lines(&lay_out(&fields(value))),
        }
    }

    /// One of several things that happen while the command runs.
    pub(crate) fn each(self, text: impl Display, value: &Value) {
        match self {
            Self::Json => say(value),
            Self::Table => say(text),
        }
    }

    /// What came of all of them: in JSON each has said so itself.
    pub(crate) fn summary(self, text: impl Display) {
        if self == Self::Table {
            say(text);
        }
    }

    pub(crate) fn list(self, table: Table) {
        match self {
            Self::Json => table.values.iter().for_each(say),
            Self::Table if table.values.is_empty() => note("nothing there"),
            Self::Table => say_lines(&table.lines()),
        }
    }
}

/// Rows for people, each with what it is for programs.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    values: Vec<Value>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()], values: Vec::new() }
    }

    pub(crate) fn push<const N: usize>(&mut self, cells: [String; N], value: Value) {
        self.rows.push(cells.into());
        self.values.push(value);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        lay_out(&self.rows)
    }
}

/// Columns two spaces apart; those that hold nothing but numbers below their heading end where it ends.
fn lay_out(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cell = |row: &Vec<String>, column: usize| tame(row.get(column).map(String::as_str).unwrap_or_default());
    let width = |column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let numbers = |column| {
        let below: Vec<String> = rows.iter().skip(1).map(|row| cell(row, column)).collect();
        below.iter().all(|cell| is_number(cell)) && below.iter().any(|cell| cell.contains(|c: char| c.is_ascii_digit()))
    };
    let numeric: Vec<bool> = (0..columns).map(numbers).collect();
    let line = |row: &Vec<String>| {
        let cells = (0..columns).map(|column| match numeric[column] {
            true => format!("{:>1$}", cell(row, column), widths[column]),
            false => format!("{:<1$}", cell(row, column), widths[column]),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))
}

/// Somebody else's text must not move the cursor, nor break the table.
pub(crate) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Names and values, what is most looked for first. Links are for programs.
fn fields(value: &Value) -> Vec<Vec<String>> {
    let Some(members) = value.as_object() else { return vec![vec![brief(value)]] };
    let is_placed = |name: &str| FIRST.contains(&name) || LAST.contains(&name) || name == "links";
    let others = members.keys().map(String::as_str).filter(|name| !is_placed(name));
    let names = FIRST.into_iter().chain(others).chain(LAST);
    let rows = names.filter_map(|name| Some((name, members.get(name)?)));
    let rows = rows.flat_map(|(name, value)| match value.as_array() {
        Some(values) => values.iter().map(|value| vec![name.to_owned(), brief(value)]).collect(),
        None => vec![vec![name.to_owned(), brief(value)]],
    });
    rows.collect()
}

/// A value on one line.
pub(crate) fn brief(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name} {}", brief(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// A member as a cell.
pub(crate) fn member(value: &Value, name: &str) -> String {
    brief(&value[name])
}

fn say_lines(lines: &[String]) {
    lines.iter().for_each(say);
}

/// The result, line by line. Whoever reads it may have seen enough.
pub(crate) fn say(text: impl Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        std::process::exit(if error.kind() == ErrorKind::BrokenPipe { 0 } else { 1 });
    }
}

/// What is not the result.
#[expect(clippy::print_stderr, reason = "a command line tool tells its user what goes on")]
pub(crate) fn note(text: impl Display) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned_and_numbers_end_together() {
        let mut table = Table::new(&["queue", "visible", "rate", "note"]);
        let none = || "-".to_owned();
        table.push(["orders".to_owned(), "7".to_owned(), none(), "a\nb\u{1b}[2J".to_owned()], Value::Null);
        table.push(["transactions".to_owned(), "1200".to_owned(), none(), String::new()], Value::Null);
        assert_eq!(
            table.lines(),
            ["queue         visible  rate  note", "orders              7  -     a b [2J", "transactions     1200  -"]
        );
    }

    #[test]
    fn a_command_is_shown_in_the_order_in_which_it_is_read() {
        let command = json!({
            "createdAt": "now", "amount": "1.00", "status": "failed", "id": "x", "links": {"self": "/"},
            "reason": {"code": "expired", "detail": "late"}, "partners": [{"partner": "p", "tries": 1}],
        });
        let lines = lay_out(&fields(&command));
        let expected = [
            "id         x",
            "status     failed",
            "reason     code expired, detail late",
            "amount     1.00",
            "partners   partner p, tries 1",
            "createdAt  now",
        ];
        assert_eq!(lines, expected);
    }
}
