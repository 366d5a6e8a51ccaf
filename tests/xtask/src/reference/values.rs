//! The chart's values, from `values.schema.json`; the defaults come from `values.yaml`, so the schema needs none.

use std::{fs, path::Path};

use serde_json::Value;

use super::{NOTE, cell, schema};
use crate::{Error, File};

pub(super) fn file(root: &Path) -> Result<File, Error> {
    let schema_path = root.join("charts/belay/values.schema.json");
    let values_path = root.join("charts/belay/values.yaml");
    let schema: Value =
        serde_json::from_str(&read(&schema_path)?).map_err(|error| input(&schema_path, &error))?;
    let values: Value = serde_saphyr::from_str(&read(&values_path)?)
        .map_err(|error| input(&values_path, &error))?;
    let mut rows = schema::rows(&schema);
    rows.retain(|row| !row.path.contains("[]"));
    for row in &mut rows {
        let pointer = format!("/{}", row.path.replace('.', "/"));
        row.default = match values.pointer(&pointer) {
            None => String::new(),
            Some(Value::Object(map)) if !map.is_empty() && row.kind == "object" => String::new(),
            Some(value) => format!("`{}`", cell(&value.to_string())),
        };
    }
    let page = format!(
        "# Chart values\n\n{NOTE}\nThe chart `charts/belay` installs Belay. Unknown values are refused.\n\n{}",
        schema::table(&rows)
    );
    Ok(File::new("docs/reference/chart.md", page))
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Io {
        path: path.to_path_buf(),
        source,
    })
}

fn input(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Input {
        path: path.to_path_buf(),
        message: error.to_string(),
    }
}
