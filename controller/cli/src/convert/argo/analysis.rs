//! Argo Rollouts' `AnalysisTemplate` and `ClusterAnalysisTemplate`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{holes::Secrets, metric};
use crate::convert::{
    fields::Fields,
    input::Object,
    manifest,
    note::{Effect, Notes},
    text,
};

/// What those who use a template must know of it.
#[derive(Clone, Debug, Default)]
pub(in crate::convert) struct Known {
    pub(super) arguments: Vec<Argument>,
    /// Templates that belong to it, with whether they are the cluster's.
    pub(super) nested: Vec<(String, bool)>,
    /// Whether it has gates of its own.
    pub(super) has_gates: bool,
}

/// An argument that a template declares.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) source: Source,
}

/// Where an argument's value is from, unless its user says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Required,
    Default,
    /// A field of the user, as JSON pointer.
    Field(String),
    Secret(String, String),
}

/// The template as Belay writes it, if it has a gate, and what its users must know.
pub(in crate::convert) fn template(object: Object, notes: &mut Notes) -> (Option<Value>, Known) {
    let kind = object.about.kind.clone();
    let (metadata, mut spec) = manifest::parts(object, notes);
    let mut arguments = arguments(&mut spec, notes);
    let secrets: Secrets = arguments
        .iter()
        .filter_map(|(argument, _)| match &argument.source {
            Source::Secret(name, key) => Some((argument.name.clone(), (name.clone(), key.clone()))),
            _ => None,
        })
        .collect();
    let dry = dry_run(&mut spec, notes);
    let nested = nested(&mut spec, notes);
    let mut gates = Vec::new();
    let mut names = BTreeSet::new();
    for metric in spec.each("metrics", notes) {
        let path = metric.path("name");
        let Some(mut gate) = metric::gate(metric, &secrets, notes) else {
            continue;
        };
        let name = gate
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if dry.iter().any(|dry| *dry == name || dry == ".*") {
            gate.insert("mode".to_owned(), "DryRun".into());
        }
        if !names.insert(name) {
            notes.left(
                &path,
                "two metrics come to the same name; give one of them another",
            );
            continue;
        }
        gates.push(Value::Object(gate));
    }
    spec.end(
        &[("measurementRetention", Effect::Differs, "Belay keeps the newest measurement of each gate in the Rollout's status, and no run objects")],
        notes,
    );
    // A Secret's value that is named where it is sent needs no argument.
    let used = Value::from(gates.clone()).to_string();
    arguments.retain(|(argument, _)| {
        !matches!(argument.source, Source::Secret(..))
            || used.contains(&format!("{{{{{}}}}}", argument.name))
    });
    let known = Known {
        has_gates: !gates.is_empty(),
        nested,
        arguments: arguments
            .iter()
            .map(|(argument, _)| argument.clone())
            .collect(),
    };
    if gates.is_empty() {
        return (None, known);
    }
    let mut converted = Map::new();
    if !arguments.is_empty() {
        let written: Vec<Value> = arguments.into_iter().map(|(_, written)| written).collect();
        converted.insert("args".to_owned(), written.into());
    }
    converted.insert("gates".to_owned(), gates.into());
    (Some(manifest::belay(&kind, &metadata, &converted)), known)
}

fn arguments(spec: &mut Fields, notes: &mut Notes) -> Vec<(Argument, Value)> {
    let mut arguments = Vec::new();
    for mut own in spec.each("args", notes) {
        let Some(original) = own.text("name", notes) else {
            continue;
        };
        let name = text::argument(&original);
        let default = own.text("value", notes);
        let source = match (&default, own.fields("valueFrom", notes)) {
            (Some(_), _) => Source::Default,
            (None, None) => Source::Required,
            (None, Some(from)) => value_from(from, notes).unwrap_or(Source::Required),
        };
        let mut written = json!({"name": name});
        if let (Some(default), Some(written)) = (default, written.as_object_mut()) {
            written.insert("default".to_owned(), default.into());
        }
        own.end(&[], notes);
        arguments.push((Argument { name, source }, written));
    }
    arguments
}

fn value_from(mut from: Fields, notes: &mut Notes) -> Option<Source> {
    let secret = from.fields("secretKeyRef", notes).and_then(|mut secret| {
        let name = secret.text("name", notes);
        let key = secret.text("key", notes);
        secret.end(&[], notes);
        Some(Source::Secret(name?, key?))
    });
    let field = field_reference(&mut from, notes).map(Source::Field);
    from.end(&[], notes);
    secret.or(field)
}

/// `fieldRef` as a JSON pointer into the Rollout.
pub(super) fn field_reference(from: &mut Fields, notes: &mut Notes) -> Option<String> {
    let mut reference = from.fields("fieldRef", notes)?;
    let place = reference.path("fieldPath");
    let path = reference.text("fieldPath", notes);
    reference.end(&[], notes);
    let path = path?;
    if let Some(("metadata", rest)) = path.split_once('.') {
        return Some(pointer("metadata", rest));
    }
    notes.left(&place, "only fields under metadata are the same in Belay's Rollout; give the value under args, or another field under argsFrom");
    None
}

/// `labels['a/b']` as `/metadata/labels/a~1b`.
fn pointer(first: &str, rest: &str) -> String {
    let mut pointer = format!("/{first}");
    for part in rest
        .split_inclusive(']')
        .flat_map(|part| match part.split_once('[') {
            Some((before, key)) => {
                vec![before.trim_matches('.'), key.trim_matches(['\'', '"', ']'])]
            }
            None => part.split('.').collect(),
        })
    {
        if !part.is_empty() {
            pointer.push('/');
            pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
        }
    }
    pointer
}

fn dry_run(spec: &mut Fields, notes: &mut Notes) -> Vec<String> {
    let mut names = Vec::new();
    for mut own in spec.each("dryRun", notes) {
        let path = own.path("metricName");
        if let Some(name) = own.text("metricName", notes) {
            if name != ".*" && text::name(&name) != name {
                notes.left(&path, "this pattern is not tried on the names; write mode: DryRun at the gates that it means");
            }
            names.push(name);
        }
        own.end(&[], notes);
    }
    names
}

fn nested(spec: &mut Fields, notes: &mut Notes) -> Vec<(String, bool)> {
    let mut nested = Vec::new();
    for mut own in spec.each("templates", notes) {
        let name = own.text("templateName", notes);
        let cluster = own.flag("clusterScope", notes).unwrap_or_default();
        nested.extend(name.map(|name| (name, cluster)));
        own.end(&[], notes);
    }
    if !nested.is_empty() {
        notes.differs(&spec.path("templates"), "templates don't contain each other; a Rollout that is converted together with this one names all of them");
    }
    nested
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_paths_become_pointers() {
        assert_eq!(pointer("metadata", "name"), "/metadata/name");
        assert_eq!(pointer("metadata", "labels['app']"), "/metadata/labels/app");
        assert_eq!(
            pointer("metadata", "annotations['a.b/c']"),
            "/metadata/annotations/a.b~1c"
        );
    }
}
