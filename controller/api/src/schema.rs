//! Schemas that types can't tell.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An object with whatever fields.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
