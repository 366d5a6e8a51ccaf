//! Which templates are used, with which arguments.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    Templates,
    analysis::{Source, field_reference},
    holes,
};
use crate::convert::{
    fields::Fields,
    note::{Effect, Notes},
    text,
};

/// Where templates are looked for.
pub(super) struct Shelf<'a> {
    pub(super) templates: &'a Templates,
    /// Namespace of the Rollout.
    pub(super) namespace: Option<String>,
}

/// A value that is given to an argument.
enum Given {
    Text(String),
    Field(String),
}

impl Shelf<'_> {
    /// The gates that `analysis` comes to, in Belay's words. Its other fields stay for the caller to end.
    pub(super) fn gates(&self, analysis: &mut Fields, notes: &mut Notes) -> Vec<Value> {
        let given = given(analysis, notes);
        let mut wanted = Vec::new();
        for mut template in analysis.each("templates", notes) {
            let at = template.path("templateName");
            let name = template.text("templateName", notes);
            let cluster = template.flag("clusterScope", notes).unwrap_or_default();
            template.end(&[], notes);
            if let Some(name) = name {
                self.with_nested(name, cluster, &mut BTreeSet::new(), &mut |name, cluster| {
                    wanted.push((at.clone(), name, cluster));
                });
            }
        }
        for mut dry in analysis.each("dryRun", notes) {
            let at = dry.path("metricName");
            dry.take("metricName");
            dry.end(&[], notes);
            notes.left(&at, "whether a gate counts stands in its template: write mode: DryRun there, in a copy if others use it");
        }
        wanted
            .into_iter()
            .map(|(at, name, cluster)| self.reference(&at, &name, cluster, &given, notes))
            .collect()
    }

    /// The template and those that it contains.
    fn with_nested(
        &self,
        name: String,
        cluster: bool,
        seen: &mut BTreeSet<(String, bool)>,
        each: &mut impl FnMut(String, bool),
    ) {
        if !seen.insert((name.clone(), cluster)) {
            return;
        }
        let known = self.known(&name, cluster);
        // One that has only others in it does not exist any more.
        if known.is_none_or(|known| known.has_gates || known.nested.is_empty()) {
            each(name, cluster);
        }
        for (inner, inner_cluster) in known.into_iter().flat_map(|known| known.nested.clone()) {
            self.with_nested(inner, inner_cluster, seen, each);
        }
    }

    fn known(&self, name: &str, cluster: bool) -> Option<&super::Known> {
        let namespaces = if cluster {
            vec![None]
        } else {
            vec![self.namespace.clone(), None]
        };
        namespaces
            .into_iter()
            .find_map(|namespace| self.templates.get(&(name.to_owned(), namespace, cluster)))
    }

    fn reference(
        &self,
        at: &str,
        name: &str,
        cluster: bool,
        given: &BTreeMap<String, Given>,
        notes: &mut Notes,
    ) -> Value {
        let known = self.known(name, cluster);
        let mut args = Map::new();
        let mut from = Vec::new();
        for (argument, value) in given {
            let declared = known.is_none_or(|known| {
                let mut arguments = known.arguments.iter();
                arguments.any(|known| known.name == *argument)
            });
            match value {
                _ if !declared => {}
                Given::Text(text) => {
                    args.insert(argument.clone(), text.clone().into());
                }
                Given::Field(field) => from.push(json!({"name": argument, "field": field})),
            }
        }
        let missing = known
            .iter()
            .flat_map(|known| &known.arguments)
            .filter(|argument| !given.contains_key(&argument.name));
        for argument in missing {
            let name = &argument.name;
            match &argument.source {
                Source::Default => {}
                Source::Field(field) => from.push(json!({"name": name, "field": field})),
                Source::Secret(secret, key) => {
                    let key = holes::secret_key(&(secret.clone(), key.clone()));
                    from.push(json!({"name": name, "secretKey": key}));
                }
                Source::Required => notes.left(
                    at,
                    format!("argument {name} has no value; give it under args"),
                ),
            }
        }
        let mut reference = json!({"template": name});
        if let Some(own) = reference.as_object_mut() {
            if cluster {
                own.insert("kind".to_owned(), "ClusterAnalysisTemplate".into());
            }
            if !args.is_empty() {
                own.insert("args".to_owned(), args.into());
            }
            if !from.is_empty() {
                own.insert("argsFrom".to_owned(), from.into());
            }
        }
        reference
    }
}

/// Words for what else an analysis of a Rollout may say.
pub(super) const WORDS: [(&str, Effect, &str); 2] = [
    (
        "measurementRetention",
        Effect::Differs,
        "Belay keeps the newest measurement of each gate in the Rollout's status",
    ),
    (
        "analysisRunMetadata",
        Effect::Differs,
        "there are no run objects that could have labels",
    ),
];

fn given(analysis: &mut Fields, notes: &mut Notes) -> BTreeMap<String, Given> {
    let mut given = BTreeMap::new();
    for mut own in analysis.each("args", notes) {
        let name = own.text("name", notes);
        let value = own.text("value", notes).map(Given::Text);
        let from = own.fields("valueFrom", notes).and_then(|mut from| {
            let hash = from.text("podTemplateHashValue", notes);
            let version = match hash.as_deref() {
                Some("Latest") => Some("candidate"),
                Some(_) => Some("stable"),
                None => None,
            };
            let field = field_reference(&mut from, notes);
            from.end(&[], notes);
            let hash = version.map(|version| format!("/status/{version}/hash"));
            hash.or(field).map(Given::Field)
        });
        own.end(&[], notes);
        if let (Some(name), Some(value)) = (name, value.or(from)) {
            given.insert(text::argument(&name), value);
        }
    }
    given
}

/// Takes gates out of `gates` whose template is in `throughout` already, for a gate can be named once at a time.
pub(super) fn once(gates: &mut Vec<Value>, throughout: &[Value], at: &str, notes: &mut Notes) {
    let key = |gate: &Value| (gate.get("template").cloned(), gate.get("kind").cloned());
    let mut seen: Vec<_> = throughout
        .iter()
        .map(|gate| (key(gate), gate.clone()))
        .collect();
    gates.retain(|gate| {
        let Some((_, same)) = seen.iter().find(|(other, _)| *other == key(gate)) else {
            seen.push((key(gate), gate.clone()));
            return true;
        };
        let name = gate.get("template").and_then(Value::as_str).unwrap_or_default();
        if same == gate {
            notes.differs(at, format!("template {name} holds throughout the rollout already, this step among it"));
        } else {
            notes.left(at, format!("template {name} is used with other arguments at the same time; make a copy of it under another name for this use"));
        }
        false
    });
}
