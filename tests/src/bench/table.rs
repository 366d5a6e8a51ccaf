//! Results as a table: rows are JSON objects, columns their keys.

use std::io::Write as _;

use comfy_table::{Table, presets};
use serde_json::Value;

/// Prints the rows of one part under its name.
pub(super) fn print(part: &str, rows: &Value) {
    let rows: Vec<&serde_json::Map<String, Value>> = rows
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect();
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    if let Some(first) = rows.first() {
        table.set_header(first.keys());
    }
    for row in rows {
        table.add_row(row.values().map(text));
    }
    let mut out = std::io::stdout().lock();
    // A closed pipe must not keep the lab from being torn down.
    let _ = writeln!(out, "\n== {part}\n{table}").and_then(|()| out.flush());
}

fn text(value: &Value) -> String {
    match value {
        Value::Number(number) => number
            .as_f64()
            .filter(|_| number.is_f64())
            .map_or_else(|| number.to_string(), |n| format!("{n:.2}")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
