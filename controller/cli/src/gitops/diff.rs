//! What another state of a Release's source would change in the cluster, by the API server's own dry run.
//!
//! Invariant: nothing is changed, and no value of a Secret is printed. What can't be tried out is told and counts as a failure:
//! an empty answer means that everything was tried and nothing differs.

mod attempt;
mod text;

use std::{collections::HashSet, io::Write};

use belay_api::Release;
use belay_engine::release::observed::ObjectKey;
use clap::Args as ClapArgs;
use futures::{StreamExt as _, stream};
use serde_json::Value;

use self::attempt::{Attempt, Outcome};
use super::{
    abroad::elsewhere,
    content::{Content, StateArgs, content},
    inventory::{Inventory, is_never_pruned},
    kinds::Kinds,
    prepared::{Movers, prepare},
    release_name,
};
use crate::{Error, args::ClusterArgs, cluster::Cluster, fetch, output::Style};

/// Objects at the same time.
const CONCURRENCY: usize = 8;

/// Which Release, at which state of its source, as whom.
#[derive(Clone, Debug, ClapArgs)]
pub struct DiffArgs {
    /// `NAME` or `release/NAME` of the Release.
    #[arg(value_parser = release_name)]
    pub name: String,
    /// Which state of the source.
    #[command(flatten)]
    pub state: StateArgs,
    /// Try it out in the name of the Release's service account instead of your own. Needs the right to impersonate it.
    #[arg(long, conflicts_with = "as_user")]
    pub as_account: bool,
}

/// Compares; the outcome is in the exit code, too.
pub(crate) async fn run(
    args: &DiffArgs,
    cluster: &ClusterArgs,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let found = compare(args, cluster).await.map_err(Error::diff)?;
    let counts = print(&found, style, out)?;
    if counts.failed > 0 {
        let text = format!("{} could not be tried out", counts.failed);
        return Err(Error::diff(Error::Source(text)));
    }
    if counts.differ > 0 {
        return Err(Error::Differs);
    }
    Ok(())
}

/// Everything that was found.
struct Found {
    content: Content,
    /// What was tried out, by object.
    outcomes: Vec<(String, Outcome)>,
    /// Objects that would go.
    pruned: Vec<ObjectKey>,
    /// Objects that would stay and be forgotten, with the reason.
    kept: Vec<(ObjectKey, &'static str)>,
    notes: Vec<String>,
}

/// How much there is.
struct Counts {
    differ: usize,
    failed: usize,
}

async fn compare(args: &DiffArgs, words: &ClusterArgs) -> Result<Found, Error> {
    let cluster = Cluster::connect(words).await?;
    let release: Release = fetch::one(&cluster, &args.name).await?;
    if let Some(place) = elsewhere(&release) {
        return Err(Error::Source(format!(
            "{} can't be tried out from here: its objects are {place}",
            args.name
        )));
    }
    let namespace = cluster.namespace.clone();
    let content = content(&release, &namespace, &args.state, Some(&cluster)).await?;
    let inventory = Inventory::read(&cluster, &args.name).await?;
    let acting = if args.as_account {
        let account = &release.spec.service_account_name;
        let words = ClusterArgs {
            as_user: Some(format!("system:serviceaccount:{namespace}:{account}")),
            ..words.clone()
        };
        Cluster::connect(&words).await?
    } else {
        Cluster::connect(words).await?
    };
    let kinds = Kinds::read(&cluster.client).await?;
    let introduced = introduced(&content);
    let (mut set, mut outcomes) = (Vec::new(), Vec::new());
    for object in &content.rendered.objects {
        match prepare(&object.value, &release, &namespace, &kinds) {
            Ok(prepared) => set.push(prepared),
            Err(_) if introduced.contains(&kind_of(&object.value)) => {
                let value = object.value.clone();
                outcomes.push((object.key.to_string(), Outcome::Created(value)));
            }
            Err(why) => {
                let why = format!("{}: {why}", object.source);
                outcomes.push((object.key.to_string(), Outcome::Failed(why)));
            }
        }
    }
    let movers = Movers::of(&set, &cluster).await;
    let namespaces = namespaces(&content);
    let attempt = Attempt::new(&acting.client, &release, &movers, &namespaces);
    let tried: Vec<_> = stream::iter(&set)
        .map(|object| attempt.of(object))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let names = set.iter().map(|object| object.key.to_string());
    outcomes.extend(names.zip(tried));
    let unknown = content.rendered.objects.len() != set.len();
    let keys: HashSet<&ObjectKey> = set.iter().map(|object| &object.key).collect();
    let (pruned, kept) = surplus(&release, &inventory, &keys, unknown);
    Ok(Found {
        notes: notes(&release, &content),
        content,
        outcomes,
        pruned,
        kept,
    })
}

/// Kinds that definitions of the set bring along.
fn introduced(content: &Content) -> HashSet<(String, String)> {
    let definitions = content
        .rendered
        .objects
        .iter()
        .filter(|object| object.key.kind == "CustomResourceDefinition");
    let mut kinds = HashSet::new();
    for definition in definitions {
        let at = |pointer: &str| definition.value.pointer(pointer).and_then(Value::as_str);
        let (Some(group), Some(kind)) = (at("/spec/group"), at("/spec/names/kind")) else {
            continue;
        };
        let versions = definition
            .value
            .pointer("/spec/versions")
            .and_then(Value::as_array);
        for version in versions.into_iter().flatten() {
            let name = version
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            kinds.insert((format!("{group}/{name}"), kind.to_owned()));
        }
    }
    kinds
}

fn kind_of(value: &Value) -> (String, String) {
    let text = |field: &str| {
        let found = value.get(field).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    (text("apiVersion"), text("kind"))
}

/// Namespaces that come with the set.
fn namespaces(content: &Content) -> HashSet<String> {
    let objects = content.rendered.objects.iter();
    let of_set = objects.filter(|object| object.key.kind == "Namespace");
    of_set.map(|object| object.key.name.clone()).collect()
}

type Surplus = (Vec<ObjectKey>, Vec<(ObjectKey, &'static str)>);

/// What is in the inventory and not in the set.
fn surplus(
    release: &Release,
    inventory: &Inventory,
    keys: &HashSet<&ObjectKey>,
    unknown: bool,
) -> Surplus {
    let (mut pruned, mut kept) = (Vec::new(), Vec::new());
    for item in inventory
        .objects
        .iter()
        .filter(|item| !keys.contains(&item.key))
    {
        let key = item.key.clone();
        if is_never_pruned(&key) {
            kept.push((key, "objects of this kind are never pruned"));
        } else if !release.spec.apply.prune {
            kept.push((key, "apply.prune is false"));
        } else if unknown && keys.iter().all(|known| known.kind != key.kind) {
            // Its kind may be one that could not be resolved just now.
            kept.push((key, "not all kinds of the set are known"));
        } else {
            pruned.push(key);
        }
    }
    (pruned, kept)
}

fn notes(release: &Release, content: &Content) -> Vec<String> {
    let mut notes = content.warnings.clone();
    let status = release.status.as_ref();
    let quarantine = status
        .map(|status| status.quarantine.as_slice())
        .unwrap_or_default();
    let digest = content.digest();
    if let Some(entry) = quarantine.iter().find(|entry| entry.digest == digest) {
        notes.push(format!(
            "this content is quarantined and is not applied until it is retried: {}",
            entry.reason
        ));
    }
    if release.spec.suspend {
        notes.push("the Release is suspended: nothing is applied until it is resumed".to_owned());
    }
    notes
}

fn print(found: &Found, style: Style, out: &mut dyn Write) -> Result<Counts, Error> {
    for note in &found.notes {
        writeln!(out, "# {note}")?;
    }
    let (mut changed, mut created, mut failed, mut same) = (0_usize, 0_usize, 0_usize, 0_usize);
    for (name, outcome) in &found.outcomes {
        match outcome {
            Outcome::Same => same += 1,
            Outcome::Created(after) => {
                created += 1;
                text::created(name, &found.content.name, after, style, out)?;
            }
            Outcome::Changed { before, after } => {
                changed += 1;
                text::changed(name, &found.content.name, (before, after), style, out)?;
            }
            Outcome::Failed(why) => {
                failed += 1;
                writeln!(out, "# {name}: {why}")?;
            }
        }
    }
    for key in &found.pruned {
        text::pruned(&key.to_string(), style, out)?;
    }
    for (key, why) in &found.kept {
        writeln!(out, "# {key} left the source and stays: {why}")?;
    }
    let differ = changed + created + found.pruned.len();
    if differ + failed > 0 {
        writeln!(
            out,
            "# {changed} changed, {created} created, {} pruned, {same} the same, {failed} not tried out",
            found.pruned.len()
        )?;
    }
    Ok(Counts { differ, failed })
}
