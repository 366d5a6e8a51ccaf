//! Flagger's objects.

mod affinity;
mod canary;
mod metrics;
mod query;
mod route;
mod service;
mod steps;
mod webhooks;

use serde_json::Value;

use super::{input::Object, note::Notes};

/// API group of Flagger.
pub(super) const GROUP: &str = "flagger.app";

/// Converts every object of Flagger among `objects`.
pub(super) fn convert(objects: &[Object], notes: &mut Notes) -> Vec<Value> {
    let mut converted = Vec::new();
    let mine = |kind: &'static str| objects.iter().filter(move |object| object.is(GROUP, kind));
    let templates = metrics::Templates::read(mine("MetricTemplate").cloned(), notes);
    for object in mine("Canary").cloned() {
        notes.turn_to(object.about.clone());
        converted.append(&mut canary::canary(object, objects, &templates, notes));
    }
    templates.tell_unused(notes);
    for object in mine("AlertProvider") {
        notes.turn_to(object.about.clone());
        notes.left("spec", "Belay sends no messages: it writes events and metrics, and deploy/alerts has alerts for Prometheus, whose Alertmanager knows the same receivers");
    }
    converted
}
