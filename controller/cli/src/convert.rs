//! `kubectl belay convert`: manifests of Argo Rollouts and Flagger as Belay's. Needs no cluster.
//!
//! Invariant: every field of what is converted is in the result, or in the notes with a reason and what to write instead; nothing
//! is dropped silently. Where a check can't be converted, its use stays, so that the Rollout waits for the missing template
//! rather than going on without it.
//!
//! Invariant: the result is checked by the same code that the controller and `lint` use, and what they would refuse is a note.
//!
//! Left out: whatever only a cluster knows. How a running workload changes hands is told in docs/recipes.

mod argo;
mod check;
mod fields;
mod flagger;
mod input;
mod manifest;
mod note;
mod scalers;
mod text;

use std::{io::Write, path::PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use note::{Effect, Note, Notes};

use crate::{
    Error,
    output::{Entry, Style, Tone, table},
};

/// What to convert, and how to print it.
#[derive(Clone, Debug, ClapArgs)]
pub struct ConvertArgs {
    /// Files of YAML or JSON with objects of Argo Rollouts and Flagger among whatever else, folders of such files, or `-` for
    /// standard input. What `kubectl get -o yaml` prints can be read, too.
    #[arg(short = 'f', long = "filename", required = true, value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Print only objects of this kind; may be given several times. The notes are about everything all the same.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// Manifests with the notes as comments before them, a JSON list with the notes beside its items, or only the notes as a table.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ConvertFormat,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ConvertFormat {
    /// Manifests, the notes as comments.
    #[default]
    Yaml,
    /// A list of manifests, the notes beside them.
    Json,
    /// The notes.
    Table,
}

/// What a conversion came to.
#[derive(Debug, Serialize)]
struct Converted {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    items: Vec<Value>,
    notes: Vec<Note>,
}

/// Converts the files of `args` and prints the result to `out`. Whatever has no counterpart is an error, told after it.
pub(crate) fn run(args: &ConvertArgs, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    let mut converted = convert(&input::read(&args.files)?)?;
    let wanted = |item: &Value| {
        let kind = item.get("kind").and_then(Value::as_str).unwrap_or_default();
        args.kinds.is_empty()
            || args
                .kinds
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(kind))
    };
    converted.items.retain(wanted);
    match args.output {
        ConvertFormat::Yaml => print_yaml(&converted, out)?,
        ConvertFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &converted)?;
            writeln!(out)?;
        }
        ConvertFormat::Table => print_table(&converted, style, out)?,
    }
    let left = |note: &&Note| note.effect == Effect::Left;
    match converted.notes.iter().filter(left).count() {
        0 => Ok(()),
        left => Err(Error::LeftOver(left)),
    }
}

fn convert(objects: &[input::Object]) -> Result<Converted, Error> {
    let mine = |object: &&input::Object| {
        object.group() == flagger::GROUP
            || object.group() == argo::GROUP && argo::KINDS.contains(&object.about.kind.as_str())
    };
    if objects.iter().find(mine).is_none() {
        return Err(Error::NothingToConvert);
    }
    let mut notes = Notes::default();
    let mut items = argo::convert(objects, &mut notes);
    items.append(&mut flagger::convert(objects, &mut notes));
    scalers::convert(objects, &mut items, &mut notes);
    check::check(&items, &mut notes);
    Ok(Converted {
        api_version: "v1",
        kind: "List",
        items,
        notes: notes.into_all(),
    })
}

fn print_yaml(converted: &Converted, out: &mut dyn Write) -> Result<(), Error> {
    for note in &converted.notes {
        writeln!(
            out,
            "# {}: {} {}, {}: {}",
            note.effect.as_str(),
            note.kind,
            title(note),
            note.field,
            note.message
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        )?;
    }
    for item in &converted.items {
        let options = serde_saphyr::ser_options! { folded_wrap_chars: 4096 };
        let text =
            serde_saphyr::to_string_with_options(item, options).map_err(std::io::Error::other)?;
        writeln!(out, "---\n{}", text.trim_end())?;
    }
    Ok(())
}

fn print_table(converted: &Converted, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    let rows = converted.notes.iter().map(|note| {
        let tone = match note.effect {
            Effect::Left => Tone::Bad,
            Effect::Differs => Tone::Busy,
        };
        vec![
            Entry::toned(note.effect.as_str(), tone),
            format!("{} {}", note.kind, title(note)).into(),
            note.field.clone().into(),
            note.message.clone().into(),
        ]
    });
    let rows: Vec<Vec<Entry>> = rows.collect();
    if rows.is_empty() {
        writeln!(out, "everything is converted")?;
        return Ok(());
    }
    for line in table(&["WHAT", "OBJECT", "FIELD", "MEANING"], rows, style) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn title(note: &Note) -> String {
    match &note.namespace {
        Some(namespace) => format!("{namespace}/{}", note.name),
        None => note.name.clone(),
    }
}

#[cfg(test)]
mod tests;
