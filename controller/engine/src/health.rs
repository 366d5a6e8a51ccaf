//! How an object is, judged from its own JSON: the rules of kstatus, with stricter ones for pods, jobs and autoscalers.
//!
//! Invariants: `assess` is total, whatever the JSON looks like; an object whose controller has not seen its newest spec is
//! never `Current`. The messages hold no numbers that change while nothing else does, apart from pod counts.
//!
//! Left out: objects that other objects make unhealthy (a Service without endpoints), and Ingresses, which many clusters
//! never fill in.

mod batch;
mod first;
mod object;
mod release;
mod rule;
mod workload;

pub use first::{FIRST_STATUS_WITHIN, awaits_first_status, first_status_due};
pub use rule::{Answer, Question, Rule};
use serde_json::Value;

/// How an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is what its spec asks for.
    Current,
    /// It is on its way.
    InProgress {
        /// What it lacks, in one sentence.
        message: String,
    },
    /// It will not become what its spec asks for without a change.
    Failed {
        /// Why, in one sentence.
        message: String,
    },
}

impl Health {
    fn progress(message: impl Into<String>) -> Self {
        Self::InProgress {
            message: message.into(),
        }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
        }
    }
}

/// How `object` is.
pub fn assess(object: &Value) -> Health {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Health::progress("it is being deleted");
    }
    built_in(object)
}

/// How `object` is by a rule that was written for its kind: it takes the place of what is known of the kind here.
pub fn assess_by(object: &Value, rule: &dyn Rule) -> Health {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Health::progress("it is being deleted");
    }
    unseen(object).unwrap_or_else(|| rule::assess(object, rule))
}

fn built_in(object: &Value) -> Health {
    let group = text(object, "/apiVersion")
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    let kind = text(object, "/kind");
    if (group, kind) == ("belay.dev", "Release") {
        return release::assess(object);
    }
    if let Some(health) = unseen(object) {
        return health;
    }
    if let Some(condition) = condition(object, "Reconciling").filter(Condition::holds) {
        return Health::progress(condition.text());
    }
    if let Some(condition) = condition(object, "Stalled").filter(Condition::holds) {
        return Health::failed(condition.text());
    }
    match (group, kind) {
        ("apps", "Deployment") => workload::deployment(object),
        ("apps", "StatefulSet") => workload::stateful_set(object),
        ("apps", "DaemonSet") => workload::daemon_set(object),
        ("apps", "ReplicaSet") => workload::replica_set(object),
        ("", "Pod") => batch::pod(object),
        ("batch", "Job") => batch::job(object),
        ("", "PersistentVolumeClaim") => object::volume_claim(object),
        ("", "Service") => object::service(object),
        ("", "Namespace") => object::namespace(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => object::definition(object),
        ("apiregistration.k8s.io", "APIService") => object::api_service(object),
        ("autoscaling", "HorizontalPodAutoscaler") => object::autoscaler(object),
        ("policy", "PodDisruptionBudget") => object::disruption_budget(object),
        _ => object::generic(object),
    }
}

/// `InProgress` when the object's controller has not seen its newest spec.
fn unseen(object: &Value) -> Option<Health> {
    let generation = object.pointer("/metadata/generation")?.as_i64()?;
    let seen = object.pointer("/status/observedGeneration")?.as_i64()?;
    (seen != generation)
        .then(|| Health::progress("its controller has not seen the newest spec yet"))
}

/// One condition of an object.
struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn holds(&self) -> bool {
        self.status == "True"
    }

    fn fails(&self) -> bool {
        self.status == "False"
    }

    /// Reason and message as one sentence.
    fn text(&self) -> String {
        match (self.reason, self.message) {
            ("", "") => format!("condition {} is {}", self.kind, self.status),
            (reason, "") => format!("condition {} is {}: {reason}", self.kind, self.status),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

fn condition<'a>(object: &'a Value, kind: &'a str) -> Option<Condition<'a>> {
    object
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|c| text(c, "/type") == kind)
        .map(|c| Condition {
            kind,
            status: text(c, "/status"),
            reason: text(c, "/reason"),
            message: text(c, "/message"),
        })
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn number(object: &Value, pointer: &str, default: i64) -> i64 {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or(default)
}

#[cfg(test)]
mod tests;
