//! What people ask of a Release: to look now, what a commit would change, what belongs to it, and where an object comes from.
//!
//! Invariant: everything is read and tried out with the rights of whoever calls; nothing here writes what a Release applies.

mod abroad;
mod content;
mod diff;
mod inventory;
mod kinds;
mod local;
mod mask;
mod noise;
mod prepared;
mod reconcile;
mod render;
mod request;
mod trace;
mod tree;

use std::io::Write;

use belay_api::Release;
use clap::Subcommand;
use serde_json::Value;

pub(crate) use abroad::elsewhere;

use crate::{Error, args::ClusterArgs, cluster::Cluster, output::Style};

/// Commands about Releases.
#[derive(Clone, Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Have Belay look at a Release's source now, and try again what failed; tells what came of it.
    Reconcile(reconcile::ReconcileArgs),
    /// Print the objects of a Release at a commit, a branch or in a folder. With -f and --path it needs no cluster.
    Render(render::RenderArgs),
    /// Show what a commit, a branch or a folder would change in the cluster, by server-side dry run. Exit codes as of kubectl diff.
    Diff(diff::DiffArgs),
    /// Show the objects of a Release, how they are, and what they own.
    Tree(tree::TreeArgs),
    /// Tell where an object comes from: its Release, the commit and its author, and who approved it.
    Trace(trace::TraceArgs),
}

/// Does what `command` asks for.
pub(crate) async fn run(
    command: &ReleaseCommand,
    cluster: &ClusterArgs,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    match command {
        ReleaseCommand::Reconcile(args) => {
            let cluster = Cluster::connect(cluster).await?;
            Box::pin(reconcile::run(args, &cluster, style, out)).await
        }
        ReleaseCommand::Render(args) => Box::pin(render::run(args, cluster, out)).await,
        ReleaseCommand::Diff(args) => Box::pin(diff::run(args, cluster, style, out)).await,
        ReleaseCommand::Tree(args) => {
            let cluster = Cluster::connect(cluster).await?;
            tree::run(args, &cluster, style, out).await
        }
        ReleaseCommand::Trace(args) => {
            let cluster = Cluster::connect(cluster).await?;
            Box::pin(trace::run(args, &cluster, style, out)).await
        }
    }
}

/// What Belay would refuse of a Release's source, whatever is in it: the field and a sentence.
pub(crate) fn refusals(release: &Release) -> Vec<(&'static str, String)> {
    request::refusals(release)
}

/// `NAME` or `release/NAME`.
pub(crate) fn release_name(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        None if !text.is_empty() => Ok(text.to_owned()),
        Some(("release" | "releases" | "brel", name)) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err("this is about Releases: write release/NAME".to_owned()),
    }
}

/// An object as YAML, without a line break at the end.
fn yaml(value: &Value) -> Result<String, Error> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 4096 };
    let text =
        serde_saphyr::to_string_with_options(value, options).map_err(std::io::Error::other)?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::release_name;

    #[test]
    fn a_release_is_named_with_or_without_its_kind() {
        assert_eq!(release_name("shop").as_deref(), Ok("shop"));
        assert_eq!(release_name("release/shop").as_deref(), Ok("shop"));
        assert!(
            release_name("rollout/shop")
                .unwrap_err()
                .contains("release/NAME")
        );
        assert!(release_name("").is_err());
    }
}
