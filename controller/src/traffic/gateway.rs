//! Gateway API: `HTTPRoute` and `GRPCRoute`, behind a gateway or, with a Service as parent, in a mesh.
//!
//! `spec.rules` is one atomic list to the API server, so all of it is Belay's while a canary runs.

mod cookies;
mod rule;

use belay_engine::traffic::{RouterKind, Split};
use serde_json::Value;

use super::{
    Field, Names, Refusal, Router,
    weights::{Missing, Shape, Target},
};

/// The one field that is written.
const RULES: &[Field] = &[("/spec/rules", &["f:spec", "f:rules"])];

/// `HTTPRoute`.
pub(super) struct Http;

/// `GRPCRoute`.
pub(super) struct Grpc;

impl Router for Http {
    const FIELDS: &'static [Field] = RULES;

    fn home(names: &Names, value: &Value) -> Option<Value> {
        rule::home(names, value)
    }

    fn split(
        names: &Names,
        _field: &str,
        home: &Value,
        split: &Split,
    ) -> Result<Option<Value>, Refusal> {
        rule::split(RouterKind::HttpRoute, names, home, split)
    }

    fn guess(names: &Names, value: &Value) -> Option<Split> {
        rule::guess(names, value)
    }
}

impl Router for Grpc {
    const FIELDS: &'static [Field] = RULES;

    fn home(names: &Names, value: &Value) -> Option<Value> {
        rule::home(names, value)
    }

    fn split(
        names: &Names,
        _field: &str,
        home: &Value,
        split: &Split,
    ) -> Result<Option<Value>, Refusal> {
        rule::split(RouterKind::GrpcRoute, names, home, split)
    }

    fn guess(names: &Names, value: &Value) -> Option<Split> {
        rule::guess(names, value)
    }
}

/// `backendRefs`.
struct BackendRefs<'a>(&'a Names);

impl Shape for BackendRefs<'_> {
    // The API server fills the weight in.
    const MISSING: Missing = Missing::One;
    const HIGHEST: u64 = 1_000_000;

    fn target(&self, entry: &Value) -> Target {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let is_service = text("group").unwrap_or_default().is_empty()
            && text("kind").unwrap_or("Service") == "Service";
        let is_near = text("namespace").is_none_or(|namespace| namespace == self.0.namespace);
        match text("name") {
            Some(name) if is_service && is_near => self.0.target(name),
            _ => Target::Other,
        }
    }

    fn pointed(&self, entry: &Value, target: Target) -> Value {
        let mut entry = entry.clone();
        if target == Target::Home {
            cookies::without(&mut entry);
        }
        if let (Some(fields), Some(name)) = (entry.as_object_mut(), self.0.of(target)) {
            fields.insert("name".to_owned(), Value::from(name));
        }
        entry
    }
}
