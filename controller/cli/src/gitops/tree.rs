//! What belongs to a Release: the objects of its inventory, how they are, and what they own.
//!
//! Invariant: health is assessed by the controller's own rules. An object that can't be read is shown as unknown, with the reason,
//! never as healthy.

mod children;
mod node;

use std::io::Write;

use belay_api::{Release, release::HealthRules};
use belay_engine::{
    digest::Digest,
    release::{observed::ObjectKey, status::ReleaseStatus},
};
use clap::Args as ClapArgs;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use self::{children::Children, node::Node};
use super::{
    abroad::look_there,
    inventory::{Inventory, Item},
    kinds::{self, Kinds},
    release_name,
};
use crate::{
    Error,
    args::Format,
    cluster::Cluster,
    fetch, list,
    output::Style,
    subject::{Subject as _, title},
};

/// Objects at the same time.
const CONCURRENCY: usize = 8;

/// Which Release, and how much of it.
#[derive(Clone, Debug, ClapArgs)]
pub struct TreeArgs {
    /// `NAME` or `release/NAME` of the Release.
    #[arg(value_parser = release_name)]
    pub name: String,
    /// Show ReplicaSets without pods, too.
    #[arg(long)]
    pub all: bool,
    /// A tree for people, or the objects as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Reads and prints the tree.
pub(crate) async fn run(
    args: &TreeArgs,
    cluster: &Cluster,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let release: Release = fetch::one(cluster, &args.name).await?;
    let status = release.status.clone().unwrap_or_default();
    let inventory = Inventory::read(cluster, &args.name).await?;
    let kinds = Kinds::read(&cluster.client).await?;
    let away = look_there(&release);
    // Rules that can't be read refuse the spec; the objects are shown all the same.
    let rules = HealthRules::read(&release.spec.verification.health).unwrap_or_default();
    let mut nodes: Vec<Node> = stream::iter(&inventory.objects)
        .map(|item| async {
            match &away {
                None => read(item, &inventory, &status, &kinds, &rules, cluster).await,
                Some(place) => Node::unknown(&item.key, place.clone()),
            }
        })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    nodes.sort_by(|a, b| a.key.cmp(&b.key));
    let remarks = match &away {
        Some(_) => Vec::new(),
        None => adopted(&mut nodes, args.all, cluster).await?,
    };
    if args.output == Format::Json {
        return list::json_object(&nodes, out);
    }
    let phase = (release.headline(), node::tone_of(status.phase));
    let head = title(&release, phase, status.phase_since, Timestamp::now(), style);
    writeln!(out, "{head}")?;
    for line in node::lines(&nodes, style) {
        writeln!(out, "{line}")?;
    }
    for note in &remarks {
        writeln!(out, "# {note}")?;
    }
    Ok(())
}

/// Gives the objects what they own, and tells what could not be found out.
async fn adopted(nodes: &mut [Node], all: bool, cluster: &Cluster) -> Result<Vec<String>, Error> {
    let mut children = Children::of(nodes, cluster).await?;
    for node in nodes {
        children.adopt(node, all);
    }
    Ok(children.notes)
}

/// The object of an inventory as it is.
async fn read(
    item: &Item,
    inventory: &Inventory,
    status: &ReleaseStatus,
    kinds: &Kinds,
    rules: &HealthRules,
    cluster: &Cluster,
) -> Node {
    let mut node = match kinds.of(&item.api_version, &item.key.kind) {
        None => Node::absent(&item.key, "the API server does not know its kind any more"),
        Some(kind) => match kinds::live(&cluster.client, kind, &item.key).await {
            Ok(Some(object)) => Node::of(&item.key, object, rules),
            Ok(None) => Node::absent(&item.key, "it does not exist"),
            Err(error) => Node::unknown(&item.key, Error::from(error).to_string()),
        },
    };
    node.api_version.clone_from(&item.api_version);
    if let Some(why) = surplus(item, inventory, status) {
        node.note = Some(why);
    }
    node
}

/// Why an object is there although the version that runs doesn't have it.
fn surplus(item: &Item, inventory: &Inventory, status: &ReleaseStatus) -> Option<String> {
    if let Some(why) = &item.leftover {
        return Some(format!("to be pruned: {why}"));
    }
    let target: Option<&Digest> = status.target.as_ref().map(|target| &target.content.digest);
    let is_of_target = target.is_none_or(|target| inventory.is_of(item, target));
    (!is_of_target).then(|| "of another version, which may come back".to_owned())
}

/// Kind and name for a line.
fn label(key: &ObjectKey, home: Option<&str>) -> String {
    match key.namespace.as_deref() {
        Some(namespace) if Some(namespace) != home => {
            format!("{} {namespace}/{}", key.kind, key.name)
        }
        _ => format!("{} {}", key.kind, key.name),
    }
}

#[cfg(test)]
mod tests {
    use belay_engine::health::Health;

    use super::{node::State, *};

    fn key(kind: &str, name: &str) -> ObjectKey {
        ObjectKey {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        }
    }

    fn node(kind: &str, name: &str, children: Vec<Node>) -> Node {
        Node {
            children,
            state: State::Known(Health::Current),
            ..Node::absent(&key(kind, name), "")
        }
    }

    #[test]
    fn the_tree_is_aligned_and_shows_whose_child_is_whose() {
        let pods = vec![node("Pod", "web-1", vec![]), node("Pod", "web-2", vec![])];
        let set = node("ReplicaSet", "web-abc", pods);
        let mut failing = node("ConfigMap", "a", vec![]);
        failing.state = State::Known(Health::Failed {
            message: "it broke".to_owned(),
        });
        let nodes = [failing, node("Deployment", "web", vec![set])];
        let lines = node::lines(&nodes, Style::default());
        assert_eq!(
            lines,
            [
                "|- ConfigMap shop/a            Failed   it broke",
                "`- Deployment shop/web         Current",
                "   `- ReplicaSet shop/web-abc  Current",
                "      |- Pod shop/web-1        Current",
                "      `- Pod shop/web-2        Current",
            ]
        );
    }
}
