//! One metric of a template as a gate.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    condition::{self, Reading},
    holes::{self, Secrets},
    prometheus, web,
};
use crate::convert::{
    fields::Fields,
    manifest::put,
    note::{Effect, Notes},
    text::{self, written},
};

/// Providers without a gate of their own, with where to read on.
const OTHERS: [(&str, &str); 9] = [
    (
        "datadog",
        "write an http gate as in docs/recipes/datadog.md",
    ),
    (
        "newRelic",
        "write an http gate as in docs/recipes/new-relic.md",
    ),
    ("wavefront", "ask its query API by an http gate"),
    (
        "cloudWatch",
        "its API wants signed requests: ask it in a job, or export the metric to Prometheus",
    ),
    (
        "graphite",
        "ask its render API by an http gate with format=json",
    ),
    ("influxdb", "ask its query API by an http gate"),
    ("skywalking", "ask its GraphQL API by an http gate"),
    (
        "kayenta",
        "take a gate with prometheus.compare instead, which compares by itself",
    ),
    (
        "plugin",
        "Belay has no plugins: ask by an http gate or in a job",
    ),
];

/// The gate of `metric`; nothing, with a note, where there can't be one.
pub(super) fn gate(
    mut metric: Fields,
    secrets: &Secrets,
    notes: &mut Notes,
) -> Option<Map<String, Value>> {
    let mut gate = Map::new();
    let place = metric.path("name");
    let original = metric.text("name", notes).unwrap_or_default();
    let name = text::name(&original);
    if name != original {
        notes.differs(
            &place,
            format!("names of gates have small letters, digits and dashes only: it is {name}"),
        );
    }
    gate.insert("name".to_owned(), name.into());
    counts(&mut metric, &mut gate, notes);
    let condition = conditions(&mut metric, notes);
    let provider = metric.fields("provider", notes);
    metric.end(
        &[("inconclusiveLimit", Effect::Differs, "a measurement passes, fails, or has no data; without data the change is held (onNoData)")],
        notes,
    );
    let asked = ask(provider?, condition, secrets, notes)?;
    gate.extend(asked);
    Some(gate)
}

fn counts(metric: &mut Fields, gate: &mut Map<String, Value>, notes: &mut Notes) {
    let interval = metric.span("interval", notes);
    if let Some(interval) = interval {
        let least = interval.max(Duration::from_secs(1));
        gate.insert("interval".to_owned(), written(least));
    }
    put(
        gate,
        "initialDelay",
        metric.span("initialDelay", notes).map(written),
    );
    let positive = |count: i64| (1..=1000).contains(&count).then_some(count);
    let count = metric.whole("count", notes).and_then(positive);
    let in_a_row = metric.path("consecutiveSuccessLimit");
    let successes = metric
        .whole("consecutiveSuccessLimit", notes)
        .and_then(positive);
    if successes.is_some() {
        notes.differs(&in_a_row, "so many passes are wanted in each step (successCount), with tolerated failures between them");
    }
    put(gate, "successCount", successes.or(count));
    let limit = metric.path("failureLimit");
    match metric.whole("failureLimit", notes) {
        Some(-1) => {
            notes.differs(
                &limit,
                "it never failed anything: the gate is shown only (mode: DryRun)",
            );
            gate.insert("mode".to_owned(), "DryRun".into());
        }
        Some(tolerated @ 0..=1000) => put(gate, "failureLimit", Some(tolerated)),
        Some(_) => notes.left(&limit, "write a number from 0 to 1000"),
        None => {}
    }
    let errors = metric.path("consecutiveErrorLimit");
    if let Some(limit @ 0..=999) = metric.whole("consecutiveErrorLimit", notes) {
        notes.differs(&errors, "so many errors in a row roll back as before; leave onError out, and Belay holds the change until the provider answers again");
        let spacing = interval.unwrap_or(Duration::from_secs(10));
        let deadline = spacing.saturating_mul(u32::try_from(limit).unwrap_or_default());
        gate.insert(
            "onError".to_owned(),
            json!({"then": "RollBack", "consecutiveLimit": limit + 1, "deadline": written(deadline)}),
        );
    }
}

/// What the conditions ask for, and where they stand.
fn conditions(metric: &mut Fields, notes: &mut Notes) -> Result<(Reading, String), ()> {
    let places = [
        metric.path("successCondition"),
        metric.path("failureCondition"),
    ];
    let [success_at, failure_at] = places;
    let success = metric.text("successCondition", notes);
    let failure = metric.text("failureCondition", notes);
    if success.is_some() && failure.is_some() {
        notes.differs(&failure_at, "between the two conditions nothing was decided; here what does not meet successCondition fails");
    }
    let (read, at) = match (success, failure) {
        (Some(success), _) => (condition::success(&success), success_at),
        (None, Some(failure)) => (condition::no_failure(&failure), failure_at),
        (None, None) => (Ok(Reading::default()), success_at),
    };
    match read {
        Ok(reading) => {
            if reading.passes_without_data {
                notes.differs(
                    &at,
                    "no data passed; here it holds the change until there is some (onNoData)",
                );
            }
            Ok((reading, at))
        }
        Err(why) => {
            notes.left(&at, why);
            Err(())
        }
    }
}

fn ask(
    mut provider: Fields,
    condition: Result<(Reading, String), ()>,
    secrets: &Secrets,
    notes: &mut Notes,
) -> Option<Map<String, Value>> {
    let mut asked = Map::new();
    let (web, own) = (provider.has("web"), provider.has("prometheus"));
    if own {
        let fields = provider.fields("prometheus", notes)?;
        let gate = prometheus::gate(fields, condition, secrets, notes);
        put(&mut asked, "prometheus", gate);
    } else if web {
        let fields = provider.fields("web", notes)?;
        put(
            &mut asked,
            "http",
            web::gate(fields, condition, secrets, notes),
        );
    } else if let Some(fields) = provider.fields("job", notes) {
        put(&mut asked, "job", job(fields, notes));
    }
    for (name, advice) in OTHERS {
        if provider.take(name).is_some() {
            notes.left(
                &provider.path(name),
                format!("there is no gate for this provider; {advice}"),
            );
        }
    }
    provider.end(&[], notes);
    (!asked.is_empty()).then_some(asked)
}

fn job(mut job: Fields, notes: &mut Notes) -> Option<Value> {
    let place = job.path("spec");
    let spec = job.take("spec");
    job.end(&[("metadata", Effect::Left, "Belay names and labels the Jobs of gates itself; put labels for the pods under spec.template.metadata")], notes);
    let spec = holes::translated_all(spec?, &place, notes);
    let account = spec
        .pointer("/template/spec/serviceAccountName")
        .and_then(Value::as_str)
        .unwrap_or("default")
        .to_owned();
    notes.differs(&place, format!("the Job is created in the name of service account {account}, which needs the rights on Jobs and Pods that the reference lists under job.serviceAccountName"));
    Some(json!({"serviceAccountName": account, "spec": spec}))
}
