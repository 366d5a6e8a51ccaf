//! Lists: one table per kind, or everything as one JSON list.

use std::io::Write;

use belay_api::{Release, Rollout};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    Error, Style,
    args::{Format, ListArgs},
    cluster::Cluster,
    fetch,
    output::{Entry, table},
    subject::Subject,
};

/// Prints what `args` ask for.
pub(crate) async fn print(
    cluster: &Cluster,
    args: &ListArgs,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let releases: Vec<Release> = fetch::all(cluster, args).await?;
    let rollouts: Vec<Rollout> = fetch::all(cluster, args).await?;
    match args.output {
        Format::Json => {
            let mut items = values(&releases)?;
            items.extend(values(&rollouts)?);
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
            json_object(&list, out)
        }
        Format::Table => {
            let now = Timestamp::now();
            let mut lines = table_of(&releases, args.all_namespaces, now, style);
            let rollouts = table_of(&rollouts, args.all_namespaces, now, style);
            if !lines.is_empty() && !rollouts.is_empty() {
                lines.push(String::new());
            }
            lines.extend(rollouts);
            if lines.is_empty() {
                nothing(cluster, args, out)
            } else {
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
                Ok(())
            }
        }
    }
}

fn values<K: Subject>(objects: &[K]) -> Result<Vec<Value>, serde_json::Error> {
    objects.iter().map(serde_json::to_value).collect()
}

/// Prints one object.
pub(crate) fn json_object(
    object: &impl serde::Serialize,
    out: &mut dyn Write,
) -> Result<(), Error> {
    writeln!(out, "{}", serde_json::to_string_pretty(object)?)?;
    Ok(())
}

fn table_of<K: Subject>(
    objects: &[K],
    namespaces: bool,
    now: Timestamp,
    style: Style,
) -> Vec<String> {
    if objects.is_empty() {
        return Vec::new();
    }
    let name_title = K::KIND.to_uppercase();
    let mut titles: Vec<&str> = vec!["NAMESPACE", &name_title];
    titles.extend(K::COLUMNS);
    let rows = objects
        .iter()
        .map(|object| {
            let meta = object.meta();
            let namespace = meta.namespace.clone().filter(|_| namespaces);
            let mut row: Vec<Entry> = vec![
                namespace.unwrap_or_default().into(),
                meta.name.clone().unwrap_or_default().into(),
            ];
            row.extend(object.row(now));
            row
        })
        .collect();
    table(&titles, rows, style)
}

fn nothing(cluster: &Cluster, args: &ListArgs, out: &mut dyn Write) -> Result<(), Error> {
    if args.all_namespaces {
        writeln!(out, "No Rollouts or Releases.")?;
    } else {
        let namespace = &cluster.namespace;
        writeln!(
            out,
            "No Rollouts or Releases in namespace {namespace}; -A looks in all namespaces."
        )?;
    }
    Ok(())
}
