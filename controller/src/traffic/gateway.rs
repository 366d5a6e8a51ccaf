//! Gateway API: `HTTPRoute` and `GRPCRoute`, behind a gateway or, with a Service as parent, in a mesh.
//!
//! `spec.rules` is one atomic list to the API server, so all of it is Belay's while a canary runs.

mod cookies;
mod limits;

use std::marker::PhantomData;

use belay_engine::traffic::{Sessions, Split};
use serde_json::{Value, json};

use super::{
    Field, Names, Refusal, Router,
    condition::Listed,
    rules::{self, Rules, set},
    weights::{Missing, Shape, Target},
};

/// What the kinds of routes differ in.
pub(super) trait Kind {
    /// The match of a rule that has none, as the API server stores it.
    fn everything() -> Value;
}

/// `HTTPRoute`.
pub(super) struct Http;

impl Kind for Http {
    fn everything() -> Value {
        json!({"path": {"type": "PathPrefix", "value": "/"}})
    }
}

/// `GRPCRoute`.
pub(super) struct Grpc;

impl Kind for Grpc {
    fn everything() -> Value {
        json!({})
    }
}

impl<K: Kind> Router for K {
    const FIELDS: &'static [Field] = &[("/spec/rules", &["f:spec", "f:rules"])];

    fn home(names: &Names, value: &Value) -> Option<Value> {
        rules::home(&BackendRefs::<K>::of(names), value)
    }

    fn split(
        names: &Names,
        _field: &str,
        home: &Value,
        split: &Split,
    ) -> Result<Option<Value>, Refusal> {
        let rules = rules::split(&BackendRefs::<K>::of(names), home, split)?;
        if let Some(rules) = &rules {
            limits::check(rules, home)?;
        }
        Ok(rules.map(Value::Array))
    }

    fn guess(names: &Names, value: &Value) -> Option<Split> {
        rules::guess(&BackendRefs::<K>::of(names), value)
    }
}

/// `backendRefs` in the rules of such a route.
struct BackendRefs<'a, K>(&'a Names, PhantomData<K>);

impl<'a, K> BackendRefs<'a, K> {
    fn of(names: &'a Names) -> Self {
        Self(names, PhantomData)
    }
}

impl<K> Shape for BackendRefs<'_, K> {
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
        if let Some(name) = self.0.of(target) {
            set(&mut entry, "name", Value::from(name));
        }
        entry
    }
}

impl<K: Kind> Rules for BackendRefs<'_, K> {
    type Conditions = Listed;

    const MATCHES: &'static str = "matches";
    const DESTINATIONS: &'static str = "backendRefs";
    const MIRRORS: &'static str = "filters";

    fn everything(&self) -> Value {
        K::everything()
    }

    fn check(&self, _rule: &Value, _split: &Split) -> Result<(), Refusal> {
        Ok(())
    }

    fn with_cookies(&self, shared: Vec<Value>, split: &Split) -> Result<Vec<Value>, Refusal> {
        cookies::set(self, shared, split)
    }

    fn sessions(destinations: &[Value]) -> Option<Sessions> {
        cookies::sessions(destinations)
    }

    fn mirror(&self, canary: Option<&Value>, percent: u8) -> Value {
        let mut backend = json!({"group": "", "kind": "Service", "name": self.0.canary});
        if let Some(port) = canary.and_then(|entry| entry.get("port")) {
            set(&mut backend, "port", port.clone());
        }
        let mut mirror = json!({ "backendRef": backend });
        // The whole is what it means without a percentage, which older versions of the API don't know.
        if percent < 100 {
            set(&mut mirror, "percent", json!(percent));
        }
        json!({"type": "RequestMirror", "requestMirror": mirror})
    }

    fn is_mirror(&self, filter: &Value) -> bool {
        let backend = filter.pointer("/requestMirror/backendRef");
        backend.is_some_and(|entry| self.target(entry) == Target::Canary)
    }

    fn mirrored(filter: &Value) -> Option<u64> {
        let percent = filter.pointer("/requestMirror/percent");
        percent.map_or(Some(100), Value::as_u64)
    }
}
