//! The objects of a Release, as its source says them: what Belay would apply, without its own marks.

use std::{io::Write, path::PathBuf};

use belay_api::Release;
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use super::{
    content::{Content, StateArgs, content},
    mask, release_name, yaml,
};
use crate::{
    Error,
    args::ClusterArgs,
    cluster::Cluster,
    fetch,
    files::{self, Document},
};

/// Namespace of a Release in a file that names none, as `kubectl apply` has it without a context.
const DEFAULT_NAMESPACE: &str = "default";

/// Which Release, at which state of its source.
#[derive(Clone, Debug, ClapArgs)]
pub struct RenderArgs {
    /// `NAME` or `release/NAME` of a Release in the cluster; the one in the file with -f.
    #[arg(value_parser = release_name, required_unless_present = "filename")]
    pub name: Option<String>,
    /// A file with the Release, instead of the cluster's. With --path the cluster is not asked for anything.
    #[arg(short, long, value_name = "FILE", requires = "path")]
    pub filename: Option<PathBuf>,
    /// Which state of the source.
    #[command(flatten)]
    pub state: StateArgs,
    /// Print the values of Secrets, too. Without it they are hidden.
    #[arg(long)]
    pub show_secrets: bool,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// How objects are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One document for each object.
    #[default]
    Yaml,
    /// One list.
    Json,
}

/// Renders and prints.
pub(crate) async fn run(
    args: &RenderArgs,
    cluster: &ClusterArgs,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let (release, rendered) = if let Some(file) = &args.filename {
        let release = in_file(file, args.name.as_deref())?;
        let written = release.metadata.namespace.clone();
        let namespace = written.or_else(|| cluster.namespace.clone());
        let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let rendered = content(&release, &namespace, &args.state, None).await?;
        (release, rendered)
    } else {
        let cluster = Cluster::connect(cluster).await?;
        let name = args.name.as_deref().unwrap_or_default();
        let release: Release = fetch::one(&cluster, name).await?;
        let rendered = content(&release, &cluster.namespace, &args.state, Some(&cluster)).await?;
        (release, rendered)
    };
    let name = release.metadata.name.unwrap_or_default();
    print(&name, &rendered, args, out)
}

/// The Release of a file; with a name if there are several.
fn in_file(file: &PathBuf, name: Option<&str>) -> Result<Release, Error> {
    let documents = files::read(std::slice::from_ref(file))?;
    let is_meant = |document: &&Document| {
        document.is("Release") && name.is_none_or(|name| document.name() == name)
    };
    let mut found = documents.iter().filter(is_meant);
    let failed = |message: &str| Error::File {
        file: file.display().to_string(),
        message: message.to_owned(),
    };
    match (found.next(), found.next()) {
        (Some(one), None) => serde_json::from_value(one.value.clone())
            .map_err(|error| failed(&format!("{}: {error}", one.title()))),
        (None, _) => Err(failed("there is no such Release in it")),
        (Some(_), Some(_)) => Err(failed("there are several Releases in it; name one of them")),
    }
}

fn print(
    name: &str,
    content: &Content,
    args: &RenderArgs,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let objects = content.rendered.objects.iter().map(|object| {
        let mut value = object.value.clone();
        if !args.show_secrets {
            mask::hide(&mut value);
        }
        (object.source.to_string(), value)
    });
    if args.output == Format::Json {
        let items: Vec<Value> = objects.map(|(_, value)| value).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        serde_json::to_writer_pretty(&mut *out, &list)?;
        writeln!(out)?;
        return Ok(());
    }
    let subject = content
        .commit
        .as_ref()
        .map(|commit| commit.subject.as_str());
    let subject = subject.map(|text| format!(" ({text})")).unwrap_or_default();
    writeln!(out, "# release/{name} at {}{subject}", content.name)?;
    for warning in &content.warnings {
        writeln!(out, "# warning: {}", one_line(warning))?;
    }
    for (source, value) in objects {
        writeln!(out, "---\n# {}\n{}", one_line(&source), yaml(&value)?)?;
    }
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser as _;

    use crate::{Args, Style, run};

    const RELEASE: &str = "apiVersion: belay.dev/v1alpha1\nkind: Release\nmetadata: {name: shop, namespace: shop}\nspec:\n  \
                           source: {git: {url: 'https://git.example.com/shop.git', ref: {branch: main}, path: deploy}}\n  \
                           serviceAccountName: deployer\n";

    const OBJECTS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {value: seen}\n---\n\
                           apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: canary-hush}\n";

    async fn render(more: &[&str]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deploy")).unwrap();
        fs::write(folder.path().join("deploy/all.yaml"), OBJECTS).unwrap();
        fs::write(folder.path().join("deploy/ignored.yaml"), "kind: Broken").unwrap();
        fs::write(folder.path().join(".gitignore"), "ignored.yaml\n").unwrap();
        let release = folder.path().join("release.yaml");
        fs::write(&release, RELEASE).unwrap();
        let (file, path) = (
            release.display().to_string(),
            folder.path().display().to_string(),
        );
        let words = ["kubectl-belay", "render", "-f", &file, "--path", &path];
        let args =
            Args::try_parse_from(words.iter().chain(more)).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        Box::pin(run(args, Style::default(), &mut out))
            .await
            .map_err(|error| error.to_string())?;
        assert!(
            !folder.path().join(".git").exists(),
            "the folder is only read"
        );
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_folder_is_rendered_without_a_cluster_and_secrets_are_hidden() {
        let text = render(&[]).await.unwrap();
        assert!(text.starts_with("# release/shop at "), "{text}");
        assert!(text.contains("# deploy/all.yaml, document 1"), "{text}");
        assert!(text.contains("value: seen"), "{text}");
        assert!(
            !text.contains("canary-hush") && text.contains("password:"),
            "{text}"
        );

        let json = render(&["-o", "json"]).await.unwrap();
        let list: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
        assert!(!json.contains("canary-hush"), "{json}");
    }

    #[tokio::test]
    async fn secrets_are_shown_to_who_asks_for_them() {
        let text = render(&["--show-secrets"]).await.unwrap();
        assert!(text.contains("canary-hush"), "{text}");
    }

    #[tokio::test]
    async fn words_that_contradict_each_other_are_refused() {
        let error = render(&["--revision", "main"]).await.unwrap_err();
        assert!(error.contains("--revision"), "{error}");
        let error = render(&["other"]).await.unwrap_err();
        assert!(error.contains("no such Release"), "{error}");
    }
}
