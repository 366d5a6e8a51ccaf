//! Traefik: a weighted `TraefikService`, to which an `IngressRoute` leads. It knows shares, and keeps clients where they are by a
//! cookie of its own: one whose name names the trial, for its value names a Service.

use belay_engine::traffic::{Affinity, Sessions, Split};
use serde_json::{Value, json};

use super::{
    Field, Names, Refusal, Router, Sticky,
    weights::{self, Missing, Shape, Target},
};

/// Between the cookie's name and the trial's.
const TRIAL: &str = ".belay.";

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

    fn sticky() -> Option<&'static dyn Sticky> {
        Some(&Cookie)
    }
}

/// `weighted.sticky`.
struct Cookie;

impl Sticky for Cookie {
    fn pointer(&self) -> &'static str {
        "/spec/weighted/sticky"
    }

    fn value(&self, sessions: &Sessions) -> Value {
        let Affinity {
            cookie,
            max_age_seconds,
        } = &sessions.affinity;
        json!({"cookie": {
            "name": format!("{cookie}{TRIAL}{}", sessions.trial),
            "maxAge": max_age_seconds,
            "httpOnly": true,
            "sameSite": "lax",
        }})
    }

    fn sessions(&self, value: &Value) -> Option<Sessions> {
        let cookie = value.get("cookie")?;
        let (name, trial) = cookie.get("name")?.as_str()?.split_once(TRIAL)?;
        let max_age = cookie.get("maxAge")?.as_u64()?;
        Some(Sessions {
            affinity: Affinity {
                cookie: name.to_owned(),
                max_age_seconds: u32::try_from(max_age).ok()?,
            },
            trial: trial.to_owned(),
            earlier_percent: None,
        })
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
