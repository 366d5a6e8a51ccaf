//! One page per custom resource: what it is, how it is asked for, its fields, its status, its columns.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use serde_json::Value;

use super::{NOTE, cell, schema};
use crate::{Error, File};

pub(super) fn files() -> Result<Vec<File>, Error> {
    belay_api::definitions()
        .iter()
        .map(|definition| {
            let name = definition.spec.names.kind.to_lowercase();
            Ok(File::new(
                format!("docs/reference/{name}.md"),
                page(definition)?,
            ))
        })
        .collect()
}

fn page(definition: &CustomResourceDefinition) -> Result<String, Error> {
    let names = &definition.spec.names;
    let mut page = format!("# {}\n\n{NOTE}", names.kind);
    for version in &definition.spec.versions {
        let schema = open_api(&names.kind, version)?;
        if let Some(text) = description(&schema, "spec") {
            let _ = write!(page, "\n{text}\n");
        }
        let _ = write!(
            page,
            "\n`apiVersion: {}/{}`, `kind: {}`, {}. `kubectl get {}`{}.\n",
            definition.spec.group,
            version.name,
            names.kind,
            if definition.spec.scope == "Namespaced" {
                "in a namespace"
            } else {
                "cluster-wide"
            },
            names.plural,
            short_names(definition)
        );
        for part in ["spec", "status"] {
            if let Some(fields) = schema.pointer(&format!("/properties/{part}")) {
                let _ = write!(page, "\n## {part}\n\n");
                checks(&mut page, fields);
                page.push_str(&schema::table(&schema::rows(fields)));
            }
        }
        columns(&mut page, version);
    }
    Ok(page)
}

fn open_api(kind: &str, version: &CustomResourceDefinitionVersion) -> Result<Value, Error> {
    serde_json::to_value(
        version
            .schema
            .as_ref()
            .and_then(|schema| schema.open_api_v3_schema.as_ref()),
    )
    .map_err(|error| Error::Text {
        what: format!("the schema of {kind}"),
        message: error.to_string(),
    })
}

/// The type's own text. kube puts "Auto-generated…" on the top level, so the text of the spec it is.
fn description(schema: &Value, part: &str) -> Option<String> {
    schema
        .pointer(&format!("/properties/{part}/description"))
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn short_names(definition: &CustomResourceDefinition) -> String {
    match definition.spec.names.short_names.as_deref() {
        Some([first, ..]) => format!(", or `{first}` for short"),
        _ => String::new(),
    }
}

/// Rules on the whole spec or status.
fn checks(page: &mut String, fields: &Value) {
    let rules = fields
        .get("x-kubernetes-validations")
        .and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        if let Some(message) = rule.get("message").and_then(Value::as_str) {
            let _ = write!(page, "*Checked:* {message}.\n\n");
        }
    }
}

fn columns(page: &mut String, version: &CustomResourceDefinitionVersion) {
    let Some(columns) = version.additional_printer_columns.as_ref() else {
        return;
    };
    page.push_str("\n## Columns of `kubectl get`\n\n| column | from |\n|---|---|\n");
    for column in columns {
        let wide = if column.priority.unwrap_or(0) > 0 {
            " (with `-o wide`)"
        } else {
            ""
        };
        let _ = writeln!(
            page,
            "| {} | `{}`{wide} |",
            cell(&column.name),
            column.json_path
        );
    }
}
