//! The command line: words, flags, help and examples.

use std::{io::Write, path::PathBuf};

use belay_api::action::TargetKind;
use belay_engine::action::Verb;
use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::{
    Error, convert::ConvertArgs, gitops::ReleaseCommand, lint::LintArgs, simulate::SimulateArgs,
};

const EXAMPLES: &str = "\
Examples:
  kubectl belay status                       every Rollout and Release of the namespace
  kubectl belay status -A                    of all namespaces
  kubectl belay status checkout              one Rollout, step by step
  kubectl belay status release/shop          one Release
  kubectl belay environments -A              which commit runs where, and what waits for what
  kubectl belay watch checkout               the same, live, until ctrl-C
  kubectl belay approve checkout --reason 'dashboards look fine'
  kubectl belay abort checkout               roll the candidate back and quarantine it
  kubectl belay retry checkout               try rejected content again from the first step
  kubectl belay reconcile release/shop       look at the source now, and say what it asks for
  kubectl belay diff release/shop --path .   what this checkout would change in the cluster
  kubectl belay render release/shop --revision v1.4.2
                                             the objects of a tag
  kubectl belay tree release/shop            its objects, how they are, and what they own
  kubectl belay trace pod/web-1              from a pod to the commit and who approved it
  kubectl belay lint deploy/*.yaml           mistakes in gates, without a cluster
  kubectl belay convert -f rollout.yaml      Argo Rollouts' and Flagger's objects as Belay's
  kubectl belay simulate checkout --prometheus http://localhost:9090 --from 7d
                                             what its gates would have done last week

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the act was refused, 4 nobody took the act up in time,\n5 lint found errors,\n6 fields that convert has no counterpart for.
Of diff: 0 nothing differs, 1 something does, 2 failed.\nOf simulate: 0 done, 1 a limit (--max-false-alarms, --max-missed) is exceeded, 2 failed or wrong usage.";

/// See and steer progressive delivery: where changes stand, and acts on them.
#[derive(Clone, Debug, Parser)]
#[command(name = "kubectl-belay", bin_name = "kubectl belay", version, after_help = EXAMPLES, propagate_version = true)]
pub struct Args {
    /// Which cluster, as whom.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, as whom; the same words as kubectl's.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Namespace; that of the kubeconfig's context when absent.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Kubeconfig file; $KUBECONFIG and ~/.kube/config when absent.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to impersonate; may be given several times.
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        requires = "as_user"
    )]
    pub as_groups: Vec<String>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show where changes stand: everything, or one Rollout or Release step by step.
    Status(StatusArgs),
    /// List Rollouts and Releases.
    List(ListArgs),
    /// Show what runs where: Releases in the order in which commits go on from one to the next, and what each waits for.
    Environments(ListArgs),
    /// Show one Rollout or Release live, until ctrl-C. Without a terminal: one line per change.
    Watch(TargetArgs),
    /// Show what was verified, rejected and done before.
    History(HistoryArgs),
    /// Give the approval that the present step waits for.
    Approve(ActArgs),
    /// Promote the candidate now, without the remaining steps; of a Release, the newest commit without waiting for others. Gates stay on.
    Promote(ActArgs),
    /// End the present step's hold and go on with the next step.
    Skip(ActArgs),
    /// Hold everything where it is.
    Pause(ActArgs),
    /// End a pause.
    Resume(ActArgs),
    /// Roll the candidate back and quarantine it.
    Abort(ActArgs),
    /// Lift the quarantine of what is asked for, and try it again from the first step.
    Retry(ActArgs),
    /// Go back to the version that was verified before the present one.
    Undo(ActArgs),
    /// About a Release.
    #[command(flatten)]
    OfRelease(ReleaseCommand),
    /// Find mistakes in files of Belay's objects: schemas, rules, plans, sources and the queries of gates; needs no cluster.
    Lint(LintArgs),
    /// Turn manifests of Argo Rollouts and Flagger into Belay's, with a list of what has no counterpart; needs no cluster.
    Convert(ConvertArgs),
    /// Replay the gates of a Rollout or template on a Prometheus's past: false alarms, faults found, past rollouts.
    Simulate(Box<SimulateArgs>),
    /// Print a script that completes this plugin's words.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// The act that is asked for, if it is one.
    pub(crate) const fn act(&self) -> Option<(Verb, &ActArgs)> {
        match self {
            Self::Approve(args) => Some((Verb::Approve, args)),
            Self::Promote(args) => Some((Verb::Promote, args)),
            Self::Skip(args) => Some((Verb::Skip, args)),
            Self::Pause(args) => Some((Verb::Pause, args)),
            Self::Resume(args) => Some((Verb::Resume, args)),
            Self::Abort(args) => Some((Verb::Abort, args)),
            Self::Retry(args) => Some((Verb::Retry, args)),
            Self::Undo(args) => Some((Verb::Undo, args)),
            Self::Status(_)
            | Self::List(_)
            | Self::Environments(_)
            | Self::Watch(_)
            | Self::History(_)
            | Self::OfRelease(_)
            | Self::Lint(_)
            | Self::Convert(_)
            | Self::Simulate(_)
            | Self::Completion { .. } => None,
        }
    }
}

impl Command {
    /// What it is on; nothing means a list.
    pub(crate) fn target(&self) -> Result<Option<Target>, Error> {
        match self {
            Self::Status(args) => args
                .name
                .as_deref()
                .map(|name| target(args.kind, name))
                .transpose(),
            Self::Watch(args) => target(args.kind, &args.name).map(Some),
            Self::History(args) => target(args.target.kind, &args.target.name).map(Some),
            Self::List(_)
            | Self::OfRelease(_)
            | Self::Environments(_)
            | Self::Lint(_)
            | Self::Convert(_)
            | Self::Simulate(_)
            | Self::Completion { .. } => Ok(None),
            Self::Approve(args)
            | Self::Promote(args)
            | Self::Skip(args)
            | Self::Pause(args)
            | Self::Resume(args)
            | Self::Abort(args)
            | Self::Retry(args)
            | Self::Undo(args) => target(args.target.kind, &args.target.name).map(Some),
        }
    }

    /// What is listed, and how; the defaults for commands that list nothing.
    pub(crate) fn list(&self) -> ListArgs {
        match self {
            Self::Status(args) => args.list.clone(),
            Self::List(args) => args.clone(),
            _ => ListArgs::default(),
        }
    }
}

/// What to show.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct StatusArgs {
    /// `NAME` or `rollout/NAME` of a Rollout, `release/NAME` of a Release; all of the namespace when absent.
    #[arg(conflicts_with_all = ["all_namespaces"])]
    pub name: Option<String>,
    /// Kind, when the name says none.
    #[arg(long, value_enum, default_value_t)]
    pub kind: Kind,
    /// What is listed when no name is given.
    #[command(flatten)]
    pub list: ListArgs,
}

/// What to list, and how.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ListArgs {
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only objects with these labels, for example `app=checkout`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// A table for people, or the objects as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// One Rollout or Release.
#[derive(Clone, Debug, ClapArgs)]
pub struct TargetArgs {
    /// `NAME` or `rollout/NAME` of a Rollout, `release/NAME` of a Release.
    pub name: String,
    /// Kind, when the name says none.
    #[arg(long, value_enum, default_value_t)]
    pub kind: Kind,
}

/// The history of one Rollout or Release.
#[derive(Clone, Debug, ClapArgs)]
pub struct HistoryArgs {
    /// Of what.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Tables for people, or all of it as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// An act on one Rollout or Release.
#[derive(Clone, Debug, ClapArgs)]
pub struct ActArgs {
    /// On what.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Why, for the record.
    #[arg(long)]
    pub reason: Option<String>,
    /// The version that is meant; the one at hand when absent. An act for a version that is no longer there is refused; a retry of a
    /// Rollout takes any quarantined one, by name or digest.
    #[arg(long = "for", value_name = "VERSION")]
    pub for_version: Option<String>,
    /// How long to wait for the outcome, for example 30s or 2m.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub timeout: belay_api::Duration,
    /// A sentence for people, or the act's object as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Kinds on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A Rollout.
    #[default]
    Rollout,
    /// A Release.
    Release,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// One Rollout or Release, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: TargetKind,
    pub(crate) name: String,
}

fn target(kind: Kind, name: &str) -> Result<Target, Error> {
    let (kind, name) = match name.split_once('/') {
        None => (kind, name),
        Some(("rollout" | "rollouts" | "bro", name)) => (Kind::Rollout, name),
        Some(("release" | "releases" | "brel", name)) => (Kind::Release, name),
        Some((other, _)) => return Err(Error::UnknownKind(other.to_owned())),
    };
    Ok(Target {
        kind: match kind {
            Kind::Rollout => TargetKind::Rollout,
            Kind::Release => TargetKind::Release,
        },
        name: name.to_owned(),
    })
}

pub(crate) fn duration(text: &str) -> Result<belay_api::Duration, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "write a span of time, for example 30s or 2m".to_owned())
}

/// The whole command line, for reference pages and completion scripts.
pub fn command() -> clap::Command {
    Args::command()
}

/// Prints the completion script of `shell`.
pub(crate) fn completion(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "kubectl-belay", &mut script);
    out.write_all(&script)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_name_may_say_its_kind() {
        let parse = |name| target(Kind::Rollout, name);
        assert_eq!(parse("shop").unwrap().kind, TargetKind::Rollout);
        assert_eq!(parse("release/shop").unwrap().kind, TargetKind::Release);
        assert_eq!(parse("release/shop").unwrap().name, "shop");
        assert!(
            parse("deployment/shop")
                .unwrap_err()
                .to_string()
                .contains("release/NAME")
        );
    }

    #[test]
    fn every_act_is_a_word_of_the_command_line_with_the_name_of_its_permission() {
        for verb in Verb::ALL {
            let args = Args::try_parse_from(["kubectl-belay", verb.rbac_verb(), "shop"]).unwrap();
            assert_eq!(args.command.act().map(|(found, _)| found), Some(verb));
        }
    }

    #[test]
    fn flags_of_the_cluster_may_stand_after_the_word() {
        let args = Args::try_parse_from(["kubectl-belay", "status", "shop", "-n", "prod"]).unwrap();
        assert_eq!(args.cluster.namespace.as_deref(), Some("prod"));
    }

    #[test]
    fn completion_scripts_know_the_words() {
        let mut out = Vec::new();
        completion(clap_complete::Shell::Bash, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("approve"));
    }
}
