//! Flagger's `Canary`.

use serde_json::{Map, Value, json};

use super::{
    affinity::affinity,
    metrics::{self, Templates},
    route, service, steps, webhooks,
};
use crate::convert::{
    fields::Fields,
    input::Object,
    manifest::{self, put},
    note::{Effect, Notes},
    text::written,
};

/// What all parts of a Canary need to know of it.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// The Deployment.
    pub(super) target: String,
    /// The Service that callers use.
    pub(super) service: String,
    pub(super) port: i64,
    pub(super) provider: Option<String>,
    pub(super) metrics_server: Option<String>,
    pub(super) ingress: Option<String>,
}

/// The Rollout, with the Service, the route and the templates that Flagger made or knew by itself.
pub(super) fn canary(
    object: Object,
    all: &[Object],
    templates: &Templates,
    notes: &mut Notes,
) -> Vec<Value> {
    let name = object.about.name.clone();
    let namespace = object.about.namespace.clone();
    let (metadata, mut spec) = manifest::parts(object, notes);
    let Some(target) = target(&mut spec, notes) else {
        return Vec::new();
    };
    scaler(&mut spec, notes);
    let provider = spec.text("provider", notes);
    let metrics_server = spec.text("metricsServer", notes);
    let ingress = spec.fields("ingressRef", notes).and_then(|mut own| {
        notes.left("spec.ingressRef", "Belay leads HTTPRoute, GRPCRoute, VirtualService and TraefikService; put one of these in front, or go by the share of pods");
        let name = own.text("name", notes);
        for name in ["apiVersion", "kind"] {
            own.take(name);
        }
        own.end(&[], notes);
        name
    });
    let mut own = spec
        .fields("service", notes)
        .unwrap_or_else(|| Fields::of("spec.service", json!({}), &mut Notes::default()));
    let subject = Subject {
        service: own.text("name", notes).unwrap_or_else(|| target.clone()),
        port: own.whole("port", notes).unwrap_or(80),
        name,
        namespace,
        target,
        provider,
        metrics_server,
        ingress,
    };
    let mut converted = Vec::new();
    let selector = service::selector(&subject, all, notes);
    converted.push(service::service(
        &mut own, &subject, &selector, &metadata, notes,
    ));
    let route = route::route(&mut own, &subject, &metadata, notes);
    service::end(own, notes);
    let led = route.as_ref().map(|route| route.kind);
    converted.extend(route.map(|route| route.manifest));
    let mut body = Map::new();
    body.insert("workloadRef".to_owned(), json!({"name": subject.target}));
    put(
        &mut body,
        "progressDeadline",
        spec.span("progressDeadlineSeconds", notes).map(written),
    );
    let analysis = spec
        .fields("analysis", notes)
        .or_else(|| spec.fields("canaryAnalysis", notes));
    end(spec, notes);
    converted.append(&mut plan(
        analysis, &subject, led, templates, &metadata, &mut body, notes,
    ));
    converted.push(manifest::belay("Rollout", &metadata, &body));
    converted
}

/// Fills `body` from the analysis, and gives the templates that it needs.
fn plan(
    analysis: Option<Fields>,
    subject: &Subject,
    led: Option<belay_engine::traffic::RouterKind>,
    templates: &Templates,
    metadata: &Value,
    body: &mut Map<String, Value>,
    notes: &mut Notes,
) -> Vec<Value> {
    let empty = || Fields::of("spec.analysis", json!({}), &mut Notes::default());
    if analysis.is_none() {
        notes.differs(
            "spec.analysis",
            "without an analysis everything was let through; here it is a step without gates",
        );
    }
    let mut analysis = analysis.unwrap_or_else(empty);
    let tempo = steps::Tempo::read(&mut analysis, notes);
    let metrics = metrics::gates(&mut analysis, subject, &tempo, templates, metadata, notes);
    let hooks = webhooks::hooks(&mut analysis, subject, &tempo, metadata, notes);
    let shape = steps::shape(
        &mut analysis,
        &tempo,
        led,
        subject.provider.as_deref(),
        notes,
    );
    let affinity = affinity(&mut analysis, led, &shape, notes);
    end_analysis(analysis, notes);
    let mut gates = metrics.references;
    gates.extend(hooks.each_tick);
    let switched = matches!(shape, steps::Shape::BlueGreen { .. });
    let strategy = shape.strategy(&steps::Asked {
        gates: &gates,
        first: &hooks.first,
        start: hooks.start,
        increase: hooks.increase,
        promotion: hooks.promotion,
    });
    body.insert("strategy".to_owned(), strategy);
    if !switched && !gates.is_empty() {
        body.insert("verification".to_owned(), json!({"gates": gates}));
    }
    let routes: Vec<Value> = led
        .iter()
        .map(|kind| json!({"kind": kind.as_str(), "name": subject.service}))
        .collect();
    if switched || !routes.is_empty() {
        let mut traffic = Map::from_iter([("service".to_owned(), json!(subject.service))]);
        put(
            &mut traffic,
            "routes",
            (!routes.is_empty()).then_some(routes),
        );
        put(&mut traffic, "affinity", affinity);
        body.insert("traffic".to_owned(), traffic.into());
    }
    metrics
        .templates
        .into_iter()
        .chain(hooks.template)
        .collect()
}

fn target(spec: &mut Fields, notes: &mut Notes) -> Option<String> {
    let mut target = spec.fields("targetRef", notes)?;
    let at = target.path("kind");
    let kind = target.text("kind", notes);
    let name = target.text("name", notes);
    target.take("apiVersion");
    target.end(&[], notes);
    if kind.as_deref() == Some("Deployment") {
        return name;
    }
    notes.left(
        &at,
        "only Canaries of Deployments are converted; write the Rollout of another kind of workload by hand",
    );
    None
}

fn scaler(spec: &mut Fields, notes: &mut Notes) {
    let Some(mut own) = spec.fields("autoscalerRef", notes) else {
        return;
    };
    let name = own.text("name", notes).unwrap_or_default();
    notes.differs("spec.autoscalerRef", format!("{name} governs the Deployment itself, also in a rollout; {name}-primary goes with Flagger"));
    for name in ["apiVersion", "kind"] {
        own.take(name);
    }
    own.end(
        &[
            (
                "primaryScalerReplicas",
                Effect::Left,
                "there is one autoscaler: give it these bounds",
            ),
            (
                "primaryScalerQueries",
                Effect::Left,
                "there is one autoscaler: give it these queries",
            ),
        ],
        notes,
    );
}

fn end(spec: Fields, notes: &mut Notes) {
    spec.end(
        &[
            ("skipAnalysis", Effect::Left, "a version is let through by a person, by kubectl belay promote; gates stay on"),
            ("suspend", Effect::Left, "a person holds a rollout by kubectl belay pause"),
            ("revertOnDeletion", Effect::Differs, "a Rollout that is deleted always leaves its Deployment running as it is"),
            ("routeRef", Effect::Left, "APISIX is not led; put a route of the Gateway API, Istio or Traefik in front, or go by the share of pods"),
            ("upstreamRef", Effect::Left, "Gloo's upstreams are not led; put a route of the Gateway API in front, or go by the share of pods"),
        ],
        notes,
    );
}

fn end_analysis(analysis: Fields, notes: &mut Notes) {
    analysis.end(
        &[
            ("alerts", Effect::Left, "Belay sends no messages: it writes events and metrics, and deploy/alerts has alerts for Prometheus"),
            ("primaryReadyThreshold", Effect::Left, "the stable version stays at full strength; what its promotion may lack stands in the Deployment's maxUnavailable"),
            ("canaryReadyThreshold", Effect::Left, "a step begins when all of its pods are ready"),
            ("stepWeightPromotion", Effect::Differs, "the promotion is the Deployment's own rolling update, while the new version keeps the share of the last step"),
        ],
        notes,
    );
}
