//! Where an object comes from: up its owners to what a Release applied, to the commit, its author, and who approved it.
//!
//! Invariant: an object belongs to a Release when it carries that Release's name and UID; a name alone proves nothing.

mod origin;
mod text;

use std::io::Write;

use belay_api::{Action, Release, Rollout, action::TargetKind};
use belay_engine::{
    action::{Outcome, Verb},
    release::observed::ObjectKey,
};
use clap::Args as ClapArgs;
use jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde::Serialize;

use self::origin::{Commit, Version};
use super::{inventory::Inventory, kinds::Kinds};
use crate::{Error, args::Format, cluster::Cluster, list, output::Style};

/// Owners above each other; more is a mistake in the cluster.
const OWNERS: usize = 8;

/// Which object.
#[derive(Clone, Debug, ClapArgs)]
pub struct TraceArgs {
    /// The object as `KIND/NAME`, for example pod/web-1 or deployment.apps/web.
    #[arg(value_name = "KIND/NAME", value_parser = object_name)]
    pub object: (String, String),
    /// A checkout of the repository on this machine, to read the commit's author from, instead of fetching the commit.
    #[arg(long, value_name = "FOLDER")]
    pub path: Option<std::path::PathBuf>,
    /// Don't fetch the commit; its author is then not told.
    #[arg(long, conflicts_with = "path")]
    pub no_fetch: bool,
    /// Sentences for people, or all of it as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

fn object_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((kind.to_owned(), name.to_owned()))
        }
        _ => Err("write KIND/NAME, for example pod/web-1".to_owned()),
    }
}

/// Everything that is known of an object's origin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    /// From the object up to what the Release applied.
    chain: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseLink>,
    /// The Rollouts that move what the Release applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rollouts: Vec<RolloutLink>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Commit>,
    /// What people did for this version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acts: Vec<Act>,
    /// What could not be found out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// One object of the chain.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseLink {
    namespace: String,
    name: String,
    phase: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RolloutLink {
    namespace: String,
    name: String,
    state: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Act {
    on: String,
    verb: Verb,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: Timestamp,
}

/// Traces and prints.
pub(crate) async fn run(
    args: &TraceArgs,
    cluster: &Cluster,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let kinds = Kinds::read(&cluster.client).await?;
    let chain = chain(args, cluster, &kinds).await?;
    let Some((top, top_kind)) = chain.last() else {
        return Err(Error::Source("there is no such object".to_owned()));
    };
    let mut trace = Trace {
        chain: chain
            .iter()
            .map(|(object, kind)| link(object, kind))
            .collect(),
        release: None,
        rollouts: Vec::new(),
        version: None,
        commit: None,
        acts: Vec::new(),
        notes: Vec::new(),
    };
    match origin::release_of(top, cluster).await? {
        None => trace.notes.push(format!(
            "{top_kind} {} was applied by no Release that is there",
            top.name_any()
        )),
        Some(release) => follow(&mut trace, args, cluster, (&release, top, top_kind)).await?,
    }
    if args.output == Format::Json {
        return list::json_object(&trace, out);
    }
    text::print(&trace, Timestamp::now(), style, out)
}

/// The object and its owners, up to the first that a Release applied, or the last there is.
async fn chain(
    args: &TraceArgs,
    cluster: &Cluster,
    kinds: &Kinds,
) -> Result<Vec<(DynamicObject, String)>, Error> {
    let (word, name) = &args.object;
    let kind = kinds.named(word).ok_or_else(|| {
        Error::Source(format!(
            "the API server knows no kind {word}; write it as kubectl get does"
        ))
    })?;
    let namespace = Some(cluster.namespace.as_str());
    let found = kind.api(&cluster.client, namespace).get_opt(name).await?;
    let kind_name = kind.resource.kind.clone();
    let found = found.ok_or_else(|| {
        Error::Source(format!(
            "{kind_name} {name} is not in namespace {}",
            cluster.namespace
        ))
    })?;
    let mut chain = vec![(found, kind_name)];
    while let Some((last, _)) = chain.last().filter(|_| chain.len() < OWNERS) {
        if origin::marks(last).is_some() {
            break;
        }
        let owners = last.owner_references();
        let owner = owners
            .iter()
            .find(|owner| owner.controller == Some(true))
            .or(owners.first());
        let Some(owner) = owner.cloned() else { break };
        let Some(kind) = kinds.of(&owner.api_version, &owner.kind) else {
            break;
        };
        let namespace = last.namespace();
        let above = kind
            .api(&cluster.client, namespace.as_deref())
            .get_opt(&owner.name)
            .await?;
        // Another object of that name is no owner.
        match above.filter(|above| above.uid().as_ref() == Some(&owner.uid)) {
            Some(above) => chain.push((above, owner.kind)),
            None => break,
        }
    }
    Ok(chain)
}

fn link(object: &DynamicObject, kind: &str) -> Link {
    Link {
        kind: kind.to_owned(),
        namespace: object.namespace(),
        name: object.name_any(),
    }
}

/// From the Release to the commit and who approved it.
async fn follow(
    trace: &mut Trace,
    args: &TraceArgs,
    cluster: &Cluster,
    (release, top, top_kind): (&Release, &DynamicObject, &str),
) -> Result<(), Error> {
    let (namespace, name) = (release.namespace().unwrap_or_default(), release.name_any());
    let status = release.status.clone().unwrap_or_default();
    trace.release = Some(ReleaseLink {
        phase: format!("{:?}", status.phase),
        namespace: namespace.clone(),
        name: name.clone(),
    });
    let at_home = Cluster {
        client: cluster.client.clone(),
        namespace: namespace.clone(),
    };
    let rollouts = rollouts_of(top, top_kind, cluster).await;
    trace.rollouts.extend(rollouts.iter().map(rollout_link));
    let inventory = match Inventory::read(&at_home, &name).await {
        Ok(inventory) => Some(inventory),
        Err(error) => {
            trace
                .notes
                .push(format!("the inventory can't be read: {error}"));
            None
        }
    };
    let group = top
        .types
        .as_ref()
        .and_then(|types| types.api_version.split_once('/'));
    let key = ObjectKey {
        group: group.map(|(group, _)| group.to_owned()).unwrap_or_default(),
        kind: top_kind.to_owned(),
        namespace: top.namespace(),
        name: top.name_any(),
    };
    trace.version = origin::version(&status, inventory.as_ref(), &key);
    let Some(version) = &trace.version else {
        trace
            .notes
            .push("no version of the Release that is there has this object".to_owned());
        return Ok(());
    };
    match origin::commit(release, version, args, &at_home).await {
        Ok(commit) => trace.commit = Some(commit),
        Err(error) => trace
            .notes
            .push(format!("the commit's author is not known: {error}")),
    }
    let since = version.started_at;
    trace.acts = acts(&at_home, cluster, &name, &rollouts, since, &mut trace.notes).await;
    Ok(())
}

fn rollout_link(rollout: &Rollout) -> RolloutLink {
    use crate::subject::Subject as _;
    RolloutLink {
        namespace: rollout.namespace().unwrap_or_default(),
        name: rollout.name_any(),
        state: rollout.headline(),
    }
}

/// Rollouts that govern `top`, or `top` itself.
async fn rollouts_of(top: &DynamicObject, kind: &str, cluster: &Cluster) -> Vec<Rollout> {
    let Some(namespace) = top.namespace() else {
        return Vec::new();
    };
    let api = kube::Api::<Rollout>::namespaced(cluster.client.clone(), &namespace);
    let listed = api.list(&ListParams::default().limit(500)).await;
    let rollouts = listed.into_iter().flatten();
    let name = top.name_any();
    rollouts
        .filter(|rollout| {
            let workload = &rollout.spec.workload_ref;
            let governs = format!("{:?}", workload.kind) == kind && workload.name == name;
            governs || (kind == "Rollout" && rollout.name_any() == name)
        })
        .collect()
}

/// What people did on the Release and its Rollouts since this version began, oldest first.
async fn acts(
    at_home: &Cluster,
    cluster: &Cluster,
    release: &str,
    rollouts: &[Rollout],
    since: Option<Timestamp>,
    notes: &mut Vec<String>,
) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut namespaces = vec![at_home.namespace.clone()];
    namespaces.extend(rollouts.iter().filter_map(ResourceExt::namespace));
    namespaces.sort();
    namespaces.dedup();
    for namespace in namespaces {
        let api = kube::Api::<Action>::namespaced(cluster.client.clone(), &namespace);
        let listed = match api.list(&ListParams::default().limit(500)).await {
            Ok(listed) => listed,
            Err(error) => {
                notes.push(format!(
                    "what was approved can't be read: {}",
                    Error::from(error)
                ));
                continue;
            }
        };
        let is_meant = |action: &Action| {
            let target = &action.spec.target;
            match target.kind {
                TargetKind::Release => namespace == at_home.namespace && target.name == release,
                TargetKind::Rollout => rollouts.iter().any(|rollout| {
                    rollout.namespace().as_ref() == Some(&namespace)
                        && rollout.name_any() == target.name
                }),
            }
        };
        let meant = listed.into_iter().filter(is_meant);
        acts.extend(meant.filter_map(|action| act(&action, since)));
    }
    acts.sort_by_key(|act| act.at);
    acts
}

/// An act that was taken up, and not before `since`.
fn act(action: &Action, since: Option<Timestamp>) -> Option<Act> {
    let status = action.status.as_ref()?;
    let at = status.decided_at?;
    let counts = status.outcome == Some(Outcome::Accepted) && since.is_none_or(|since| at >= since);
    counts.then(|| Act {
        on: format!("{:?} {}", action.spec.target.kind, action.spec.target.name),
        verb: action.spec.verb,
        actor: action
            .spec
            .actor
            .clone()
            .unwrap_or_else(|| "somebody".to_owned()),
        reason: action.spec.reason.clone(),
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::object_name;

    #[test]
    fn an_object_is_named_with_its_kind() {
        assert_eq!(
            object_name("pod/a").unwrap(),
            ("pod".to_owned(), "a".to_owned())
        );
        for wrong in ["pod", "/a", "pod/", "pod/a/b"] {
            assert!(
                object_name(wrong).unwrap_err().contains("KIND/NAME"),
                "{wrong}"
            );
        }
    }
}
