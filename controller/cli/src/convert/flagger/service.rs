//! The Service that Flagger makes, which is the user's from now on.

use serde_json::{Map, Value, json};

use super::canary::Subject;
use crate::convert::{
    fields::Fields,
    input::Object,
    manifest::{named, put},
    note::{Effect, Notes},
};

/// Labels of the workload's pods: as its Deployment says, if that is in the input.
pub(super) fn selector(subject: &Subject, all: &[Object], notes: &mut Notes) -> Value {
    let deployment = all.iter().find(|object| {
        object.is("apps", "Deployment")
            && object.about.name == subject.target
            && object.about.namespace == subject.namespace
    });
    let labels = deployment.and_then(|found| found.document.pointer("/spec/selector/matchLabels"));
    labels.cloned().unwrap_or_else(|| {
        notes.differs("spec.targetRef", format!("its pods are taken to have the label app={}; convert the Deployment's manifest with this one, and its own labels are taken", subject.target));
        json!({"app": subject.target})
    })
}

/// The Service.
pub(super) fn service(
    own: &mut Fields,
    subject: &Subject,
    selector: &Value,
    metadata: &Value,
    notes: &mut Notes,
) -> Value {
    let port = subject.port;
    let mut entry = Map::new();
    let name = own
        .text("portName", notes)
        .unwrap_or_else(|| "http".to_owned());
    entry.insert("name".to_owned(), name.into());
    entry.insert("port".to_owned(), port.into());
    entry.insert(
        "targetPort".to_owned(),
        own.take("targetPort").unwrap_or_else(|| port.into()),
    );
    put(&mut entry, "appProtocol", own.text("appProtocol", notes));
    let mut spec = Map::new();
    spec.insert("ports".to_owned(), json!([entry]));
    spec.insert("selector".to_owned(), selector.clone());
    put(
        &mut spec,
        "trafficDistribution",
        own.text("trafficDistribution", notes),
    );
    let mut head = named(metadata, &subject.service);
    if let (Some(mut apex), Some(head)) = (own.fields("apex", notes), head.as_object_mut()) {
        for name in ["labels", "annotations"] {
            put(head, name, apex.take(name));
        }
        apex.end(&[], notes);
    }
    notes.differs("spec.service", format!("Flagger made Service {0}, and took it away again; it is yours now, and selects the Deployment's pods. {0}-canary must be gone before the Rollout is made, for Belay makes one of that name for the time of a rollout; {0}-primary can go", subject.service));
    json!({"apiVersion": "v1", "kind": "Service", "metadata": head, "spec": spec})
}

/// Tells of what is left of `spec.service` once the Service and the route have taken theirs.
pub(super) fn end(own: Fields, notes: &mut Notes) {
    let in_route = "write this into the route, which is yours now";
    own.end(
        &[
            ("portDiscovery", Effect::Left, "add the other ports of the containers to the Service"),
            ("headless", Effect::Left, "a headless Service can't be divided: its callers choose pods themselves; let them call one with an address"),
            ("primary", Effect::Differs, "there is no Service of the primary version outside a rollout"),
            ("canary", Effect::Differs, "Belay's Services for the time of a rollout have none of your labels and annotations, so that monitors don't count pods twice"),
            ("unmanagedMetadata", Effect::Differs, "Belay changes no metadata of your Service"),
            ("gatewayRefs", Effect::Differs, "without a route of the Gateway API there is nothing to attach"),
            ("gateways", Effect::Differs, "without a VirtualService there is nothing to attach"),
            ("hosts", Effect::Differs, "without a route there is nothing that has hosts"),
            ("match", Effect::Left, in_route),
            ("rewrite", Effect::Left, in_route),
            ("retries", Effect::Left, in_route),
            ("headers", Effect::Left, in_route),
            ("corsPolicy", Effect::Left, in_route),
            ("mirror", Effect::Left, in_route),
            ("timeout", Effect::Left, in_route),
            ("backendTimeout", Effect::Left, in_route),
            ("delegation", Effect::Left, in_route),
            ("trafficPolicy", Effect::Left, "write a DestinationRule for the Service; Belay touches none"),
            ("meshName", Effect::Left, "App Mesh is not led"),
            ("backends", Effect::Left, "App Mesh is not led"),
        ],
        notes,
    );
}
