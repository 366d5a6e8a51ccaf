//! The kubectl plugin: where changes stand, a live view of their steps, and acts on them.
//!
//! Invariant: the plugin decides nothing. It shows what the controller wrote into status, and asks for acts by creating
//! `Action` objects, with the rights of whoever calls it. Everything is printed through one writer, so that tests read what
//! people read. `simulate` judges, but only the past; `convert` translates; `diff` tries out and stores nothing. Left out: anything that needs the controller's own rights or address.

mod act;
mod args;
mod cluster;
mod convert;
mod environments;
mod error;
mod fetch;
mod files;
mod gitops;
mod history;
mod lines;
mod lint;
mod list;
mod output;
mod simulate;
mod span;
mod subject;
mod view;
mod watch;

use std::io::Write;

pub use args::{Args, command};
use args::{Command, Format, Target};
use belay_api::{Release, Rollout, action::TargetKind};
use cluster::Cluster;
pub use error::Error;
pub use output::Style;
use subject::Subject;

/// Does what `args` ask for and prints it to `out`.
pub async fn run(args: Args, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    let command = &args.command;
    if let Command::Completion { shell } = command {
        return args::completion(*shell, out);
    }
    if let Command::Lint(asked) = command {
        return lint::run(asked, style, out);
    }
    if let Command::Convert(asked) = command {
        return convert::run(asked, style, out);
    }
    if let Command::Simulate(simulation) = command {
        return simulate::run(simulation, &args.cluster, style, out).await;
    }
    if let Command::OfRelease(asked) = command {
        return Box::pin(gitops::run(asked, &args.cluster, style, out)).await;
    }
    let target = command.target()?;
    let cluster = Cluster::connect(&args.cluster).await?;
    if let Command::Environments(asked) = command {
        return environments::print(&cluster, asked, style, out).await;
    }
    match target {
        None => list::print(&cluster, &command.list(), style, out).await,
        Some(target) => match target.kind {
            TargetKind::Rollout => on::<Rollout>(&cluster, command, &target, style, out).await,
            TargetKind::Release => on::<Release>(&cluster, command, &target, style, out).await,
        },
    }
}

/// Does what `command` asks for on one object.
async fn on<K: Subject>(
    cluster: &Cluster,
    command: &Command,
    target: &Target,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    match (command, command.act()) {
        (_, Some((verb, asked))) => act::run::<K>(cluster, verb, target, asked, style, out).await,
        (Command::Watch(_), _) => watch::run::<K>(cluster, &target.name, style, out).await,
        (Command::History(args), _) => {
            history::print::<K>(cluster, &target.name, args.output, style, out).await
        }
        _ => {
            let object: K = fetch::one(cluster, &target.name).await?;
            match command.list().output {
                Format::Json => list::json_object(&object, out),
                Format::Table => print_lines(&object.view(jiff::Timestamp::now(), style), out),
            }
        }
    }
}

fn print_lines(lines: &[String], out: &mut dyn Write) -> Result<(), Error> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
