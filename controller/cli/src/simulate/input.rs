//! Whose gates are replayed: a Rollout's or a template's, from files or from the cluster.
//!
//! Invariant: arguments are filled by the same rules as in the controller. Values of Secrets are not read: they are not needed to look at a history.

mod files;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use belay_api::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, Rollout,
    analysis::{
        ArgumentFrom, GateRef, GateSpec, TemplateKind,
        arguments::{self, ArgumentError},
    },
};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use super::{args::SimulateArgs, error::SimulateError};
use crate::{args::ClusterArgs, cluster::Cluster, fetch};

/// Length of a window when nothing says one.
const USUAL_WINDOW: Duration = Duration::from_mins(15);

/// Share of the canary in percent when nothing says one.
const USUAL_SHARE: f64 = 10.0;

/// What is replayed.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// What it is, for people.
    pub(super) title: String,
    pub(super) namespace: Option<String>,
    /// Name that the pods' names begin with.
    pub(super) workload: Option<String>,
    /// How long its steps last together.
    pub(super) duration: Duration,
    /// Share of its first step in percent.
    pub(super) canary_share: f64,
    pub(super) gates: Vec<Asked>,
}

/// A gate with the values of its arguments.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) template: String,
    pub(super) spec: GateSpec,
    values: BTreeMap<String, String>,
}

impl Asked {
    /// A text of the gate with its holes filled.
    pub(super) fn fill(&self, text: &str) -> Result<String, SimulateError> {
        arguments::fill(text, &self.values).map_err(|source| self.wrong(source))
    }

    /// The values of its arguments.
    pub(super) const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    fn wrong(&self, source: ArgumentError) -> SimulateError {
        SimulateError::Argument {
            gate: self.name.clone(),
            source,
        }
    }
}

/// Templates by kind and name.
pub(super) type Templates = HashMap<(TemplateKind, String), AnalysisTemplateSpec>;

/// What is meant by a name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rollout,
    Template(TemplateKind),
}

/// Finds what `args` name.
pub(super) async fn load(
    args: &SimulateArgs,
    cluster: &ClusterArgs,
) -> Result<Subject, SimulateError> {
    if args.files.is_empty() {
        from_cluster(args, cluster).await
    } else {
        from_files(args, cluster)
    }
}

fn from_files(args: &SimulateArgs, cluster: &ClusterArgs) -> Result<Subject, SimulateError> {
    let files::Found {
        mut rollouts,
        templates,
    } = files::read(&args.files)?;
    let wanted = args.name.as_deref().map(parse).transpose()?;
    match wanted {
        Some((Kind::Rollout, name)) => {
            let place = rollouts
                .iter()
                .position(|rollout| rollout.name_any() == name);
            let rollout = place.map(|place| rollouts.swap_remove(place));
            let rollout = rollout.ok_or_else(|| {
                SimulateError::Missing(format!("the files have no Rollout {name}"))
            })?;
            of_rollout(&rollout, &templates, args, cluster)
        }
        Some((Kind::Template(kind), name)) => of_template(kind, name, &templates, args, cluster),
        None => match (rollouts.as_slice(), templates.len()) {
            ([rollout], _) => of_rollout(rollout, &templates, args, cluster),
            ([], 1) => {
                let (kind, name) = templates.keys().next().cloned().unwrap_or_default();
                of_template(kind, &name, &templates, args, cluster)
            }
            ([], 0) => Err(SimulateError::Nothing),
            _ => {
                let rollouts = rollouts.iter().map(kube::ResourceExt::name_any);
                let others = templates.keys().map(|(kind, name)| match kind {
                    TemplateKind::AnalysisTemplate => format!("template/{name}"),
                    TemplateKind::ClusterAnalysisTemplate => format!("clustertemplate/{name}"),
                });
                let mut names: Vec<String> = rollouts.chain(others).collect();
                names.sort();
                Err(SimulateError::Several(names.join(", ")))
            }
        },
    }
}

async fn from_cluster(
    args: &SimulateArgs,
    options: &ClusterArgs,
) -> Result<Subject, SimulateError> {
    let name = args.name.as_deref().ok_or(SimulateError::Nothing)?;
    let (kind, name) = parse(name)?;
    let failed = |error: crate::Error| SimulateError::Other(error.to_string());
    let cluster = Cluster::connect(options).await.map_err(failed)?;
    let mut templates = Templates::new();
    match kind {
        Kind::Rollout => {
            let rollout: Rollout = fetch::one(&cluster, name).await.map_err(failed)?;
            for reference in references(&rollout) {
                add(
                    &cluster,
                    &mut templates,
                    reference.kind,
                    &reference.template,
                )
                .await?;
            }
            of_rollout(&rollout, &templates, args, options)
        }
        Kind::Template(kind) => {
            add(&cluster, &mut templates, kind, name).await?;
            let mut options = options.clone();
            options.namespace.get_or_insert(cluster.namespace.clone());
            of_template(kind, name, &templates, args, &options)
        }
    }
}

async fn add(
    cluster: &Cluster,
    templates: &mut Templates,
    kind: TemplateKind,
    name: &str,
) -> Result<(), SimulateError> {
    let failed = |error: kube::Error| SimulateError::Other(crate::Error::from(error).to_string());
    let spec = match kind {
        TemplateKind::AnalysisTemplate => cluster
            .api::<AnalysisTemplate>()
            .get_opt(name)
            .await
            .map_err(failed)?
            .map(|template| template.spec),
        TemplateKind::ClusterAnalysisTemplate => {
            Api::<ClusterAnalysisTemplate>::all(cluster.client.clone())
                .get_opt(name)
                .await
                .map_err(failed)?
                .map(|template| template.spec.template)
        }
    };
    // One that is missing is told of by who needs it.
    templates.extend(spec.map(|spec| ((kind, name.to_owned()), spec)));
    Ok(())
}

fn parse(name: &str) -> Result<(Kind, &str), SimulateError> {
    Ok(match name.split_once('/') {
        None => (Kind::Rollout, name),
        Some(("rollout" | "rollouts" | "bro", name)) => (Kind::Rollout, name),
        Some(("template" | "analysistemplate" | "analysistemplates" | "bat", name)) => {
            (Kind::Template(TemplateKind::AnalysisTemplate), name)
        }
        Some((
            "clustertemplate" | "clusteranalysistemplate" | "clusteranalysistemplates" | "bcat",
            name,
        )) => (Kind::Template(TemplateKind::ClusterAnalysisTemplate), name),
        Some((other, _)) => return Err(SimulateError::UnknownKind(other.to_owned())),
    })
}

/// Every use of a template in a Rollout, each template once.
fn references(rollout: &Rollout) -> Vec<GateRef> {
    let verification = rollout.spec.verification.iter().flat_map(|v| &v.gates);
    let steps = rollout.spec.strategy.step_gates();
    let mut all: Vec<GateRef> = Vec::new();
    for reference in verification.chain(steps) {
        if !all.contains(reference) {
            all.push(reference.clone());
        }
    }
    all
}

fn of_rollout(
    rollout: &Rollout,
    templates: &Templates,
    args: &SimulateArgs,
    cluster: &ClusterArgs,
) -> Result<Subject, SimulateError> {
    let namespace = rollout.namespace().or_else(|| cluster.namespace.clone());
    let object = serde_json::to_value(rollout)
        .map_err(|error| SimulateError::Other(format!("the Rollout can't be read: {error}")))?;
    let gates = asked(&references(rollout), &object, templates, args)?;
    let steps = rollout.spec.strategy.steps();
    let duration: Duration = steps.iter().map(|step| step.hold.get()).sum();
    let weight = steps
        .iter()
        .find_map(|step| step.weight.filter(|weight| *weight > 0))
        .map(f64::from);
    let place = namespace
        .as_deref()
        .map(|namespace| format!("{namespace}/"));
    Ok(Subject {
        title: format!(
            "Rollout {}{}",
            place.unwrap_or_default(),
            rollout.name_any()
        ),
        workload: args
            .workload
            .clone()
            .or_else(|| Some(rollout.spec.workload_ref.name.clone())),
        namespace,
        duration: if duration.is_zero() {
            USUAL_WINDOW
        } else {
            duration
        },
        canary_share: weight.unwrap_or(USUAL_SHARE),
        gates,
    })
}

fn of_template(
    kind: TemplateKind,
    name: &str,
    templates: &Templates,
    args: &SimulateArgs,
    cluster: &ClusterArgs,
) -> Result<Subject, SimulateError> {
    let reference = GateRef {
        template: name.to_owned(),
        kind,
        args: BTreeMap::new(),
        args_from: Vec::new(),
    };
    let gates = asked(&[reference], &Value::Null, templates, args)?;
    let kind = match kind {
        TemplateKind::AnalysisTemplate => "AnalysisTemplate",
        TemplateKind::ClusterAnalysisTemplate => "ClusterAnalysisTemplate",
    };
    Ok(Subject {
        title: format!("{kind} {name}"),
        namespace: cluster.namespace.clone(),
        workload: args.workload.clone(),
        duration: USUAL_WINDOW,
        canary_share: USUAL_SHARE,
        gates,
    })
}

/// The gates of these references, with the values of their arguments.
fn asked(
    references: &[GateRef],
    object: &Value,
    templates: &Templates,
    args: &SimulateArgs,
) -> Result<Vec<Asked>, SimulateError> {
    let mut gates = Vec::new();
    for reference in references {
        let key = (reference.kind, reference.template.clone());
        let spec = templates.get(&key).ok_or_else(|| {
            SimulateError::Missing(format!(
                "the Rollout uses the template {}, which is not there; give its file with --file as well",
                reference.template
            ))
        })?;
        for gate in &spec.gates {
            let name = gate.policy(&reference.template).name;
            let values = values(&name, reference, spec, object, args)?;
            gates.push(Asked {
                name,
                template: reference.template.clone(),
                spec: gate.clone(),
                values,
            });
        }
    }
    let known = |name: &String| {
        let mut specs = templates.values().flat_map(|spec| &spec.args);
        specs.any(|parameter| &parameter.name == name)
    };
    if let Some((name, _)) = args.arguments.iter().find(|(name, _)| !known(name)) {
        return Err(SimulateError::Missing(format!(
            "--arg {name}: no template has an argument of this name"
        )));
    }
    Ok(gates)
}

fn values(
    gate: &str,
    reference: &GateRef,
    spec: &AnalysisTemplateSpec,
    object: &Value,
    args: &SimulateArgs,
) -> Result<BTreeMap<String, String>, SimulateError> {
    let mut given = reference.args.clone();
    let declared = |name: &str| spec.args.iter().any(|parameter| parameter.name == name);
    for (name, value) in args.arguments.iter().filter(|(name, _)| declared(name)) {
        given.insert(name.clone(), value.clone());
    }
    for from in &reference.args_from {
        if !given.contains_key(&from.name) {
            given.insert(from.name.clone(), late(gate, from, object)?);
        }
    }
    arguments::resolve(&spec.args, &given).map_err(|source| SimulateError::Argument {
        gate: gate.to_owned(),
        source,
    })
}

fn late(gate: &str, from: &ArgumentFrom, object: &Value) -> Result<String, SimulateError> {
    let missing = |source| SimulateError::LateArgument {
        gate: gate.to_owned(),
        argument: from.name.clone(),
        from: source,
    };
    let Some(pointer) = &from.field else {
        return Err(missing("a Secret"));
    };
    match object.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(value)) => Ok(value.to_string()),
        _ => Err(missing("a field that the Rollout does not have now")),
    }
}

#[cfg(test)]
mod tests;
