//! Argo Rollouts' `Rollout`.

use serde_json::{Map, Value, json};

use super::{
    Templates, blue_green,
    references::{self, Shelf},
    steps, traffic, workload,
};
use crate::convert::{
    fields::Fields,
    input::Object,
    manifest::{self, put},
    note::{Effect, Notes},
    text::written,
};

/// What a strategy says of pods that has no counterpart.
pub(super) const PODS: [(&str, Effect, &str); 10] = [
    (
        "antiAffinity",
        Effect::Left,
        "write the affinity into the pod template; it then holds for all versions",
    ),
    ("canaryMetadata", Effect::Left, LABELS),
    ("stableMetadata", Effect::Left, LABELS),
    ("activeMetadata", Effect::Left, LABELS),
    ("previewMetadata", Effect::Left, LABELS),
    (
        "abortScaleDownDelaySeconds",
        Effect::Differs,
        "after a rollback the candidate's pods go as soon as they get no more requests",
    ),
    (
        "scaleDownDelayRevisionLimit",
        Effect::Differs,
        "one old version at most is kept with pods, for the time of scaleDownDelay",
    ),
    (
        "dynamicStableScale",
        Effect::Left,
        "the stable version stays at full strength until the promotion, so that going back needs no pods",
    ),
    (
        "replicaProgressThreshold",
        Effect::Left,
        "a step begins when all of its pods are ready",
    ),
    (
        "scaleDownDelaySeconds",
        Effect::Differs,
        "without a router there is nothing to wait for: pods end as their own termination says",
    ),
];
const LABELS: &str = "the pods of a version keep their labels when it is promoted; tell versions apart by the label pod-template-hash";

/// The Rollout, and a Deployment if the pod template was in it.
pub(super) fn rollout(object: Object, templates: &Templates, notes: &mut Notes) -> Vec<Value> {
    let shelf = Shelf {
        templates,
        namespace: object.about.namespace.clone(),
    };
    let name = object.about.name.clone();
    let (metadata, mut spec) = manifest::parts(object, notes);
    let mut converted = Map::new();
    let mut unavailable = None;
    let mut surge = None;
    let at = spec.path("strategy");
    let mut strategy = spec.fields("strategy", notes);
    let canary = strategy
        .as_mut()
        .and_then(|own| own.fields("canary", notes));
    let switched = strategy
        .as_mut()
        .and_then(|own| own.fields("blueGreen", notes));
    if let Some(strategy) = strategy {
        strategy.end(&[], notes);
    }
    if let Some(own) = switched {
        let switched = blue_green::blue_green(own, &shelf, &name, notes);
        converted.insert("strategy".to_owned(), switched.strategy);
        converted.insert("traffic".to_owned(), switched.traffic);
        unavailable = switched.unavailable;
    } else {
        if canary.is_none() {
            notes.left(&at, "neither canary nor blueGreen is given");
        }
        let empty = || Fields::of("spec.strategy.canary", json!({}), &mut Notes::default());
        let mut own = canary.unwrap_or_else(empty);
        unavailable = own.take("maxUnavailable").or(unavailable);
        surge = own.take("maxSurge");
        self::canary(own, &shelf, &name, &mut converted, notes);
    }
    put(
        &mut converted,
        "progressDeadline",
        spec.span("progressDeadlineSeconds", notes).map(written),
    );
    let pods = workload::pods(&mut spec, &metadata, [unavailable, surge], notes);
    let at = spec.path("progressDeadlineAbort");
    if spec.flag("progressDeadlineAbort", notes) == Some(false) {
        notes.differs(
            &at,
            "a version that makes no progress in time is taken back",
        );
    }
    spec.end(
        &[
            ("paused", Effect::Left, "a person holds a rollout by kubectl belay pause, and ends that by resume"),
            ("restartAt", Effect::Left, "restart pods by kubectl rollout restart; that is a new version, and goes by the steps"),
            ("rollbackWindow", Effect::Differs, "versions that were verified before go back at once, without the steps"),
            ("analysis", Effect::Differs, "there are no run objects to keep; kubectl belay history shows what was decided"),
        ],
        notes,
    );
    let Some(deployment) = pods.deployment else {
        return Vec::new();
    };
    converted.insert("workloadRef".to_owned(), json!({"name": deployment}));
    let rollout = manifest::belay("Rollout", &metadata, &converted);
    pods.manifest.into_iter().chain([rollout]).collect()
}

fn canary(
    mut own: Fields,
    shelf: &Shelf<'_>,
    name: &str,
    converted: &mut Map<String, Value>,
    notes: &mut Notes,
) {
    let routing = traffic::routing(&mut own, shelf.namespace.as_deref(), name, notes);
    let background = background(&mut own, shelf, notes);
    let least_pods = own
        .whole("minPodsPerReplicaSet", notes)
        .filter(|pods| *pods >= 1);
    let mut plan = steps::steps(
        &mut own,
        &steps::Frame {
            routing: routing.as_ref(),
            shelf,
            least_pods: least_pods.filter(|_| routing.is_some()),
        },
        notes,
    );
    own.end(&PODS, notes);
    if let Some(Background { gates, from, at }) = background {
        if from == 0 {
            for step in &mut plan {
                references::once(&mut step.gates, &gates, &step.at, notes);
            }
            converted.insert("verification".to_owned(), json!({"gates": gates}));
        } else {
            notes.differs(&at, "the analysis began in the middle; its gates are at each step from there on, and end with the last one");
            for step in plan.iter_mut().filter(|step| step.last >= from) {
                let mut throughout = gates.clone();
                throughout.append(&mut step.gates);
                references::once(&mut throughout, &[], &step.at, notes);
                step.gates = throughout;
            }
        }
    }
    let written: Vec<Value> = plan.into_iter().map(steps::Planned::written).collect();
    converted.insert("strategy".to_owned(), json!({"canary": {"steps": written}}));
    put(
        converted,
        "traffic",
        routing.map(|routing| routing.written()),
    );
}

struct Background {
    gates: Vec<Value>,
    /// The first step that it is on in, as the peer counts them.
    from: usize,
    at: String,
}

fn background(own: &mut Fields, shelf: &Shelf<'_>, notes: &mut Notes) -> Option<Background> {
    let mut analysis = own.fields("analysis", notes)?;
    let at = analysis.path("startingStep");
    let from = analysis.whole("startingStep", notes).unwrap_or_default();
    let mut gates = shelf.gates(&mut analysis, notes);
    let templates = analysis.path("templates");
    analysis.end(&references::WORDS, notes);
    references::once(&mut gates, &[], &templates, notes);
    (!gates.is_empty()).then(|| Background {
        gates,
        from: usize::try_from(from).unwrap_or_default(),
        at,
    })
}
