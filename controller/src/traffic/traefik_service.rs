//! Traefik: a weighted `TraefikService`, to which an `IngressRoute` leads. It knows shares and nothing else; its own sticky cookie,
//! where the user has set one, stays and keeps clients on the version that they got.

use belay_engine::traffic::Split;
use serde_json::Value;

use super::{
    Field, Names, Refusal, Router,
    weights::{self, Missing, Shape, Target},
};

/// `TraefikService`.
pub(super) struct Traefik;

impl Router for Traefik {
    const FIELDS: &'static [Field] = &[(
        "/spec/weighted/services",
        &["f:spec", "f:weighted", "f:services"],
    )];

    fn home(names: &Names, value: &Value) -> Option<Value> {
        weights::home(&Services(names), value.as_array()?).map(Value::Array)
    }

    fn split(
        names: &Names,
        _field: &str,
        home: &Value,
        split: &Split,
    ) -> Result<Option<Value>, Refusal> {
        if !split.cohorts.is_empty() || split.mirror_percent.is_some() {
            return Err(Refusal::new(
                "its kind can neither tell requests apart nor copy them; use a weight alone",
            ));
        }
        let services = home.as_array().map(Vec::as_slice).unwrap_or_default();
        let split = weights::split(&Services(names), services, split.canary_percent)?;
        Ok(split.map(Value::Array))
    }

    fn guess(names: &Names, value: &Value) -> Option<Split> {
        weights::percent(&Services(names), value.as_array()?).map(Split::share)
    }
}

/// `weighted.services`.
struct Services<'a>(&'a Names);

impl Shape for Services<'_> {
    const MISSING: Missing = Missing::UnwrittenOne;
    const HIGHEST: u64 = i32::MAX as u64;

    fn target(&self, entry: &Value) -> Target {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let is_service = text("kind").unwrap_or("Service") == "Service";
        let is_near = text("namespace").is_none_or(|namespace| namespace == self.0.namespace);
        match text("name") {
            Some(name) if is_service && is_near => self.0.target(name),
            _ => Target::Other,
        }
    }

    fn pointed(&self, entry: &Value, target: Target) -> Value {
        let mut entry = entry.clone();
        if let (Some(fields), Some(name)) = (entry.as_object_mut(), self.0.of(target)) {
            fields.insert("name".to_owned(), Value::from(name));
        }
        entry
    }
}
