//! `helm template` of a chart in the repository, with everything it may read laid out for it and nothing else.
//!
//! Invariant: the chart's objects depend on the commit, the [`HelmOptions`] and Helm's version alone. There is no cluster to look
//! up things in and no network, in the [`sandbox`](super::sandbox); a chart that gives other objects each time is refused. Left
//! out: charts from elsewhere (Helm repositories, OCI), and hooks: they are not objects to keep, and are not run.

mod chart;
mod options;
mod output;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::assemble;
use super::sandbox::{BuildTool, Built, Job, Sandbox, Word};
use super::words::without_quotations;
use super::{Attempt, RenderError, Rendered};
use crate::RepoPath;
use crate::checkout::Checkout;

use chart::Chart;
pub use options::HelmOptions;

/// Helm, as the sandbox starts it.
pub(super) static TOOL: BuildTool = BuildTool {
    name: "helm",
    wanted: "helm 3.14 or newer",
    version: &["version", "--short"],
    homes: &["HELM_PLUGINS", "XDG_CACHE_HOME", "XDG_DATA_HOME"],
    failed: "HelmFailed",
};

/// The file that the inline values are handed over in.
const VALUES: &str = "values.json";

/// The helm program and its limits.
#[derive(Debug)]
pub(super) struct Helm {
    sandbox: Sandbox,
}

impl Helm {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    /// Renders the chart at `path`.
    pub(super) async fn render(
        &self,
        checkout: &Checkout,
        path: &RepoPath,
        options: &HelmOptions,
    ) -> Result<Attempt, RenderError> {
        // First, so that a missing program is told before anything is fetched.
        let tool = self.sandbox.version().await?;
        let chart = Chart::gather(checkout, path, options).await?;
        let outcome = self.twice(&chart, path, options, &tool).await;
        Ok(Attempt {
            inputs: chart.inputs,
            outcome: outcome.map(Arc::new),
        })
    }

    /// Builds two times: what differs was made up by chance, and would be another version at every look.
    async fn twice(
        &self,
        chart: &Chart,
        path: &RepoPath,
        options: &HelmOptions,
        tool: &str,
    ) -> Result<Rendered, RenderError> {
        let first = self.once(chart, path, options, tool).await?;
        let second = self.once(chart, path, options, tool).await?;
        if first.digest == second.digest {
            return Ok(first);
        }
        let differs = first.objects.iter().find(|object| {
            !second
                .objects
                .iter()
                .any(|other| other.value == object.value)
        });
        let (file, object) = differs.map_or_else(
            || (path.to_string(), "an object".to_owned()),
            |object| (object.source.file.clone(), object.key.to_string()),
        );
        Err(RenderError::refused(
            &file,
            format!("{object}, which is another one each time the chart is rendered,"),
            "give the values that the chart makes up itself when they are absent (passwords, keys, certificates, dates), or \
             refer to a Secret that exists",
        ))
    }

    async fn once(
        &self,
        chart: &Chart,
        path: &RepoPath,
        options: &HelmOptions,
        tool: &str,
    ) -> Result<Rendered, RenderError> {
        let built = self.build(chart, path, options).await?;
        let (name, tool) = (path.to_string(), tool.to_owned());
        let (root, chart_name) = (path.clone(), chart.name.clone());
        let mut warnings: Vec<String> = chart.notes.clone();
        warnings.extend(built.warnings);
        let parsed = tokio::task::spawn_blocking(move || {
            let (documents, hooks) = output::documents(&built.output, &root, &chart_name)?;
            warnings.extend(hooks);
            assemble(&name, documents, warnings, Some(tool))
        });
        parsed.await.map_err(RenderError::work_directory)?
    }

    async fn build(
        &self,
        chart: &Chart,
        path: &RepoPath,
        options: &HelmOptions,
    ) -> Result<Built, RenderError> {
        let values = options.values.clone().unwrap_or_default().into_bytes();
        let input = BTreeMap::from([(VALUES, values)]);
        self.sandbox
            .build(&Job {
                path,
                files: &chart.files,
                input: &input,
                words: &command(path, options, chart.has_packed),
                explain: &explain,
            })
            .await
    }
}

fn command(path: &RepoPath, options: &HelmOptions, has_packed: bool) -> Vec<Word> {
    let mut words = vec![
        Word::Text("template".to_owned()),
        Word::Text("--include-crds".to_owned()),
        Word::Text("--skip-tests".to_owned()),
        Word::Text(format!("--namespace={}", options.namespace)),
    ];
    if let Some(version) = &options.kube_version {
        words.push(Word::Text(format!("--kube-version={version}")));
    }
    let versions = options.api_versions.iter();
    words.extend(versions.map(|version| Word::Text(format!("--api-versions={version}"))));
    if has_packed {
        words.push(Word::Text("--skip-schema-validation".to_owned()));
    }
    let files = options.values_files.iter();
    words.extend(files.map(|file| Word::File("--values=", file.as_str().to_owned())));
    if options.values.is_some() {
        words.push(Word::Input("--values=", VALUES));
    }
    words.push(Word::Text("--".to_owned()));
    words.push(Word::Text(options.release_name.clone()));
    words.push(Word::File("", path.as_str().to_owned()));
    words
}

/// What Helm says from `Error:` on, in one line, without what it quotes.
fn explain(stderr: &str) -> String {
    let lines = stderr
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("Error:"))
        .filter(|line| !line.is_empty() && !line.starts_with("Use --debug"));
    let text = lines.collect::<Vec<_>>().join(" ");
    without_quotations(text.trim_start_matches("Error:").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line_without_values() {
        let said = "level=ERROR msg=x\nError: values don't meet the specifications of the schema(s) in the following chart(s):\n\
                    shop:\n- at '/a': 'hunter2' does not match pattern '^x'\n\nUse --debug flag to render out invalid YAML\n";
        let expected = "values don't meet the specifications of the schema(s) in the following chart(s): shop: - at '/a': '…' \
                        does not match pattern '…'";
        assert_eq!(explain(said), expected);
        assert_eq!(explain(""), "");
    }
}
