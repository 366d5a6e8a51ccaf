//! Metrics of a Canary: Flagger's own, and those of `MetricTemplate`s.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value, json};

use super::{canary::Subject, query, steps::Tempo};
use crate::convert::{
    fields::Fields,
    input::Object,
    manifest::{self, named, put},
    note::{About, Effect, Notes},
    text,
};

/// A `MetricTemplate`.
struct Template {
    about: About,
    /// Address, headers and credentials, as in a gate; nothing for a provider without one.
    provider: Option<Map<String, Value>>,
    query: String,
}

/// All `MetricTemplate`s of the input, by name and namespace.
pub(super) struct Templates {
    all: BTreeMap<(String, Option<String>), Template>,
    used: RefCell<BTreeSet<(String, Option<String>)>>,
}

/// What a Canary's metrics come to.
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) references: Vec<Value>,
    pub(super) templates: Vec<Value>,
}

impl Templates {
    pub(super) fn read(objects: impl Iterator<Item = Object>, notes: &mut Notes) -> Self {
        let mut all = BTreeMap::new();
        for object in objects {
            let about = object.about.clone();
            notes.turn_to(about.clone());
            let (_, mut spec) = manifest::parts(object, notes);
            let provider = spec
                .fields("provider", notes)
                .and_then(|own| provider(own, notes));
            let query = spec.text("query", notes).unwrap_or_default();
            spec.end(&[], notes);
            let key = (about.name.clone(), about.namespace.clone());
            all.insert(
                key,
                Template {
                    about,
                    provider,
                    query,
                },
            );
        }
        Self {
            all,
            used: RefCell::default(),
        }
    }

    fn find(&self, name: &str, namespace: Option<String>) -> Option<&Template> {
        let keys = [(name.to_owned(), namespace), (name.to_owned(), None)];
        let key = keys.into_iter().find(|key| self.all.contains_key(key))?;
        let found = self.all.get(&key);
        self.used.borrow_mut().insert(key);
        found
    }

    /// Tells of those that became nothing, for nobody uses them.
    pub(super) fn tell_unused(&self, notes: &mut Notes) {
        let used = self.used.borrow();
        for (key, template) in &self.all {
            if !used.contains(key) {
                notes.turn_to(template.about.clone());
                notes.left("spec", "bounds and interval stand in the Canary: convert it together with the Canaries that use it, and each gets a template of its own");
            }
        }
    }
}

fn provider(mut own: Fields, notes: &mut Notes) -> Option<Map<String, Value>> {
    let at = own.path("type");
    let kind = own.text("type", notes);
    let mut gate = Map::new();
    put(&mut gate, "address", own.text("address", notes));
    let headers: Vec<Value> = own
        .fields("headers", notes)
        .into_iter()
        .flat_map(|mut headers| {
            let names = headers.names();
            let all = names.into_iter().map(|name| {
                let values = headers.items(&name, notes);
                json!({"name": name, "value": values.first().cloned().unwrap_or_default()})
            });
            all.collect::<Vec<_>>()
        })
        .collect();
    put(
        &mut gate,
        "headers",
        (!headers.is_empty()).then_some(headers),
    );
    let secret_at = own.path("secretRef");
    if let Some(mut secret) = own.fields("secretRef", notes) {
        if let Some(name) = secret.text("name", notes) {
            notes.differs(&secret_at, format!("keys username and password of Secret {name} are sent; for a token name its key under auth.bearer. The Secret must be in the Rollout's namespace"));
            let key = |key: &str| json!({"name": name, "key": key});
            gate.insert(
                "auth".to_owned(),
                json!({"basic": {"username": key("username"), "password": key("password")}}),
            );
        }
        secret.end(&[], notes);
    }
    own.end(
        &[
            (
                "insecureSkipVerify",
                Effect::Left,
                "certificates are always checked; name the authority under tls.ca",
            ),
            (
                "region",
                Effect::Left,
                "requests are not signed for a cloud's region",
            ),
        ],
        notes,
    );
    if kind.as_deref() == Some("prometheus") {
        return Some(gate);
    }
    notes.left(&at, "there is no gate for this provider; ask it by an http gate, as the recipes in docs/recipes do for some, or export the metric to Prometheus");
    None
}

/// Gates for the metrics of `analysis`.
pub(super) fn gates(
    analysis: &mut Fields,
    subject: &Subject,
    tempo: &Tempo,
    templates: &Templates,
    metadata: &Value,
    notes: &mut Notes,
) -> Metrics {
    let mut metrics = Metrics::default();
    for mut metric in analysis.each("metrics", notes) {
        let name = metric.text("name", notes).unwrap_or_default();
        let interval = metric
            .text("interval", notes)
            .unwrap_or_else(|| "1m".to_owned());
        let range = range(&mut metric, notes);
        let variables = metric.texts("templateVariables", notes);
        let at = metric.path("templateRef");
        let name_at = metric.path("name");
        let query_at = metric.path("query");
        let query = metric.text("query", notes);
        let reference = metric.fields("templateRef", notes).and_then(|mut own| {
            let name = own.text("name", notes);
            let namespace = own
                .text("namespace", notes)
                .or_else(|| subject.namespace.clone());
            for name in ["apiVersion", "kind"] {
                own.take(name);
            }
            own.end(&[], notes);
            Some((name?, namespace))
        });
        metric.end(&[], notes);
        let own = |query: &str, at: &str, notes: &mut Notes| {
            query::rendered(query, subject, &interval, &variables, at, notes)
        };
        let asked = match (reference, query) {
            (Some((template, namespace)), _) => match templates.find(&template, namespace) {
                Some(Template {
                    provider: Some(provider),
                    query,
                    ..
                }) => Some((own(query, &at, notes), provider.clone())),
                Some(_) => None,
                None => {
                    notes.left(&at, format!("convert MetricTemplate {template} together with this Canary, or write a template by hand"));
                    None
                }
            },
            (None, Some(query)) => Some((own(&query, &query_at, notes), Map::new())),
            (None, None) => {
                let place = Place {
                    at: &name_at,
                    interval: &interval,
                };
                metrics
                    .references
                    .extend(built_in(&name, &range, subject, tempo, &place, notes));
                continue;
            }
        };
        let Some((query, mut prometheus)) = asked else {
            continue;
        };
        if let (Some(server), false) = (&subject.metrics_server, prometheus.contains_key("address"))
        {
            prometheus.insert("address".to_owned(), server.clone().into());
        }
        prometheus.insert("query".to_owned(), query.into());
        prometheus.insert("threshold".to_owned(), range.threshold());
        let mut gate = tempo.gate(&name);
        gate.insert("prometheus".to_owned(), prometheus.into());
        let own_name = format!("{}-{}", subject.name, text::name(&name));
        let (template, reference) = template(&own_name, vec![gate.into()], metadata);
        metrics.templates.push(template);
        metrics.references.push(reference);
    }
    metrics
}

/// A template with these gates, and its use. What the Rollout knows best is taken from it.
pub(super) fn template(name: &str, gates: Vec<Value>, metadata: &Value) -> (Value, Value) {
    let gates = Value::from(gates);
    let text = gates.to_string();
    let known = [
        ("hash", "/status/candidate/hash"),
        ("namespace", "/metadata/namespace"),
    ];
    let used = known
        .iter()
        .filter(|(name, _)| text.contains(&format!("{{{{{name}}}}}")));
    let (args, from): (Vec<Value>, Vec<Value>) = used
        .map(|(name, field)| (json!({"name": name}), json!({"name": name, "field": field})))
        .unzip();
    let mut spec = Map::from_iter([("gates".to_owned(), gates)]);
    put(&mut spec, "args", (!args.is_empty()).then_some(args));
    let mut reference = Map::from_iter([("template".to_owned(), name.into())]);
    put(
        &mut reference,
        "argsFrom",
        (!from.is_empty()).then_some(from),
    );
    (
        manifest::belay("AnalysisTemplate", &named(metadata, name), &spec),
        reference.into(),
    )
}

/// The good values of a metric.
struct Range {
    min: Option<f64>,
    max: Option<f64>,
    /// One bound in an older form; which it is depends on the metric.
    bare: Option<f64>,
}

impl Range {
    fn threshold(&self) -> Value {
        let mut threshold = Map::new();
        put(&mut threshold, "min", self.min);
        put(&mut threshold, "max", self.max);
        if threshold.is_empty() {
            threshold.insert("max".to_owned(), self.bare.unwrap_or_default().into());
        }
        threshold.into()
    }
}

fn range(metric: &mut Fields, notes: &mut Notes) -> Range {
    let bare = metric.number("threshold", notes);
    let own = metric.fields("thresholdRange", notes).map(|mut own| {
        let bounds = (own.number("min", notes), own.number("max", notes));
        own.end(&[], notes);
        bounds
    });
    let (min, max) = own.unwrap_or_default();
    Range { min, max, bare }
}

/// Where a metric stands, and what it looks back over.
struct Place<'a> {
    at: &'a str,
    interval: &'a str,
}

/// Flagger's own metrics by the templates that come with Belay.
fn built_in(
    name: &str,
    range: &Range,
    subject: &Subject,
    tempo: &Tempo,
    place: &Place<'_>,
    notes: &mut Notes,
) -> Option<Value> {
    let at = place.at;
    let (bound, value) = match name {
        "request-success-rate" => {
            let least = range.min.or(range.bare).unwrap_or(99.0);
            ("maxRatio", ((100.0 - least) / 100.0).max(0.0001))
        }
        "request-duration" => (
            "maxSeconds",
            range.max.or(range.bare).unwrap_or(500.0) / 1000.0,
        ),
        _ => {
            notes.left(at, "there is no metric of this name: name a MetricTemplate under templateRef, and convert it together with this Canary");
            return None;
        }
    };
    let provider = subject.provider.as_deref().unwrap_or_default();
    let prefix = match provider {
        "istio" | "linkerd" | "traefik" | "contour" => format!("{provider}-"),
        "nginx" => "ingress-nginx-".to_owned(),
        _ => String::new(),
    };
    let mut args = Map::new();
    args.insert(bound.to_owned(), decimal(value).into());
    args.insert("window".to_owned(), place.interval.into());
    let namespace = ("namespace", "/metadata/namespace");
    let hash = ("hash", "/status/candidate/hash");
    let fields = match provider {
        "traefik" => {
            args.insert(
                "canaryService".to_owned(),
                format!(".*-{}-canary-.*", subject.service).into(),
            );
            vec![]
        }
        "contour" => {
            args.insert(
                "canaryService".to_owned(),
                format!("{}-canary", subject.service).into(),
            );
            vec![namespace]
        }
        "nginx" => {
            args.insert(
                "ingress".to_owned(),
                subject.ingress.clone().unwrap_or_default().into(),
            );
            vec![namespace]
        }
        _ => {
            args.insert("workload".to_owned(), subject.target.clone().into());
            vec![namespace, hash]
        }
    };
    let from: Vec<Value> = fields
        .into_iter()
        .map(|(name, field)| json!({"name": name, "field": field}))
        .collect();
    let template = format!("{prefix}{name}-threshold");
    notes.differs(at, format!("template {template} comes with Belay; it looks every 15 s and tolerates no failed look, where yours looked every {} s and tolerated {}: copy it under another name to change that", tempo.interval.as_secs(), tempo.failure_limit));
    if subject.metrics_server.is_some() {
        notes.left("spec.metricsServer", format!("template {template} asks the controller's own Prometheus; write its address into a copy"));
    }
    let mut reference =
        json!({"kind": "ClusterAnalysisTemplate", "template": template, "args": args});
    if let (false, Some(own)) = (from.is_empty(), reference.as_object_mut()) {
        own.insert("argsFrom".to_owned(), from.into());
    }
    Some(reference)
}

/// At most six digits behind the point.
fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
