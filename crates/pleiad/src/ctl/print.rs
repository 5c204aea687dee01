//! How `ctl` prints: tables for people, JSON for programs, faults with the next thing to do.

use super::Fault;
use crate::table::Table;
use serde::Serialize;
use serde_json::Value;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    People,
    Json,
}

impl Form {
    pub(super) fn of(json: bool) -> Form {
        if json { Form::Json } else { Form::People }
    }

    /// One thing: `lines` are for people.
    pub(super) fn one(self, thing: &impl Serialize, lines: &str) -> Result<(), Fault> {
        match self {
            Form::People => println!("{lines}"),
            Form::Json => println!("{}", serde_json::to_string_pretty(thing)?),
        }
        Ok(())
    }

    /// Many things of a sort, a row each.
    pub(super) fn many<T: Serialize, const N: usize>(
        self,
        things: &[T],
        head: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) -> Result<(), Fault> {
        if self == Form::Json {
            return self.one(&things, "");
        }
        let mut table = Table::new(&head);
        things.iter().for_each(|thing| table.row(row(thing)));
        self.one(&things, &table.to_string())
    }

    /// JSON of another's making: a list as a table with these columns (title and JSON pointer, RFC 6901), anything
    /// else as `field  value` lines.
    pub(super) fn foreign(self, value: &Value, columns: &[(&str, &str)]) -> Result<(), Fault> {
        let lines = match value.as_array() {
            Some(rows) if !columns.is_empty() => {
                let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
                let mut table = Table::new(&titles);
                rows.iter().for_each(|row| table.row(columns.iter().map(|(_, pointer)| field(row, pointer))));
                table.to_string()
            }
            _ => sheet(value),
        };
        self.one(value, &lines)
    }

    /// What went wrong, and what to do next.
    pub(super) fn fault(self, fault: &Fault) {
        match self {
            Form::People => {
                eprintln!("error: {}", fault.message());
                if let Some(next) = fault.next() {
                    eprintln!("next:  {next}");
                }
            }
            Form::Json => {
                let error = serde_json::json!({ "code": fault.code(), "message": fault.message(), "next": fault.next() });
                eprintln!("{}", serde_json::json!({ "error": error }));
            }
        }
    }
}

/// The value at `pointer`; what is named as milliseconds since the Unix epoch is shown as an instant.
fn field(row: &Value, pointer: &str) -> String {
    match row.pointer(pointer) {
        Some(Value::Number(number)) if pointer.ends_with("_ms") => {
            number.as_u64().map(instant).unwrap_or_default()
        }
        value => cell(value),
    }
}

/// `field  value`, a line each.
pub(super) fn sheet(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return cell(Some(value)) };
    let wide = fields.keys().map(String::len).max().unwrap_or(0);
    let line = |(field, value): (&String, &Value)| format!("{field:<wide$}  {}", cell(Some(value)));
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A value as a person reads it.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// An instant in milliseconds since the Unix epoch, in the local time of who reads it.
pub(super) fn instant(unix_ms: u64) -> String {
    let milliseconds = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(instant) if unix_ms > 0 => instant.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        _ => "–".to_owned(),
    }
}
