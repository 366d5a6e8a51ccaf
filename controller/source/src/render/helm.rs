//! `helm template` of a chart, with everything it may read laid out for it and nothing else.
//!
//! Invariant: the chart's objects depend on the commit, the [`HelmOptions`] and Helm's version alone. There is no cluster to look
//! up things in and no network, in the [`sandbox`](super::sandbox); a chart that gives other objects each time is refused. Left
//! out: fetching charts from elsewhere, which come here packed, and hooks: they are not objects to keep, and are not run.

mod archive;
mod chart;
mod options;
mod output;
mod schema;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::assemble;
use super::sandbox::{BuildTool, Built, Job, Sandbox, Word};
use super::sops::secrecy_of_all;
use super::words::{first_place, without_quotations};
use super::{Attempt, Extras, RenderError, Rendered, Secrecy, Substitution};
use crate::RepoPath;
use crate::checkout::Checkout;

pub use archive::ChartArchive;
use chart::Chart;
pub use options::HelmOptions;
pub use values::HelmValues;

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

/// Where a packed chart's files are laid out.
const PACKED: &str = "chart";

/// One chart to render.
struct Task<'a> {
    chart: &'a Chart,
    path: &'a RepoPath,
    options: &'a HelmOptions,
    substitution: Option<Substitution>,
    /// Whether the value of a Secret, or what was encrypted, is among the values and files.
    secrecy: Secrecy,
    tool: String,
}

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
        extras: &Extras<'_>,
    ) -> Result<Attempt, RenderError> {
        // First, so that a missing program is told before anything is fetched.
        let tool = self.sandbox.version().await?;
        let mut chart = Chart::default();
        if let Err(error) = chart.gather(checkout, path, options).await {
            return Ok(Attempt::failed(chart.inputs, error));
        }
        let given = options.values.as_ref();
        let given = given.map_or(Secrecy::Open, |given| given.secrecy);
        let secrecy = match extras.opener.open(&mut chart.files, |_| true).await {
            Ok(opened) => given.max(secrecy_of_all(&opened)),
            Err(error) => return Ok(Attempt::failed(chart.inputs, error)),
        };
        let task = Task {
            chart: &chart,
            path: &chart.root,
            options,
            substitution: extras.substitution.clone(),
            secrecy,
            tool,
        };
        let outcome = self.twice(&task).await;
        Ok(Attempt {
            inputs: chart.inputs.clone(),
            outcome: outcome.map(Arc::new),
        })
    }

    /// Builds two times: what differs was made up by chance, and would be another version at every look.
    async fn twice(&self, task: &Task<'_>) -> Result<Rendered, RenderError> {
        let first = self.once(task).await?;
        let second = self.once(task).await?;
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
            || (task.path.to_string(), "an object".to_owned()),
            |object| (object.source.file.clone(), object.key.to_string()),
        );
        Err(RenderError::refused(
            &file,
            format!("{object}, which is another one each time the chart is rendered,"),
            "give the values that the chart makes up itself when they are absent (passwords, keys, certificates, dates), or \
             refer to a Secret that exists",
        ))
    }

    async fn once(&self, task: &Task<'_>) -> Result<Rendered, RenderError> {
        let built = self.build(task).await?;
        let (root, chart_name) = (task.path.clone(), task.chart.name.clone());
        let (tool, substitution) = (task.tool.clone(), task.substitution.clone());
        let mut warnings: Vec<String> = task.chart.notes.clone();
        let secrecy = task.secrecy;
        if secrecy == Secrecy::Open {
            warnings.extend(built.warnings);
        }
        let parsed = tokio::task::spawn_blocking(move || {
            let (mut drafts, hooks) = output::documents(&built.output, &root, &chart_name)
                .map_err(|error| error.discreet(secrecy))?;
            // Where in the objects a template has put a value can't be told from outside.
            for draft in &mut drafts {
                draft.secrecy = secrecy;
            }
            warnings.extend(hooks);
            let path = root.to_string();
            assemble(&path, drafts, substitution.as_ref(), warnings, Some(tool))
        });
        parsed.await.map_err(RenderError::work_directory)?
    }

    async fn build(&self, task: &Task<'_>) -> Result<Built, RenderError> {
        let Task {
            chart,
            path,
            options,
            ..
        } = task;
        let values = options.values.as_ref();
        let values = values.map_or_else(Vec::new, |given| given.json.clone().into_bytes());
        let mut input = BTreeMap::from([(VALUES.to_owned(), values)]);
        for (path, content) in chart.packed.iter().flatten() {
            input.insert(format!("{PACKED}/{path}"), content.clone());
        }
        self.sandbox
            .build(&Job {
                path,
                files: &chart.files,
                input: &input,
                words: &command(chart, options),
                explain: match task.secrecy {
                    Secrecy::Open => &explain,
                    Secrecy::Secret => &withhold,
                },
            })
            .await
    }
}

fn command(chart: &Chart, options: &HelmOptions) -> Vec<Word> {
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
    if chart.has_packed {
        words.push(Word::Text("--skip-schema-validation".to_owned()));
    }
    let files = options.values_files.iter();
    words.extend(files.map(|file| Word::File("--values=", file.as_str().to_owned())));
    if options.values.is_some() {
        words.push(Word::Input("--values=", VALUES.to_owned()));
    }
    words.push(Word::Text("--".to_owned()));
    words.push(Word::Text(options.release_name.clone()));
    words.push(match chart.packed {
        Some(_) => Word::Input("", PACKED.to_owned()),
        None => Word::File("", chart.root.as_str().to_owned()),
    });
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

/// Where Helm failed, and nothing else: its words may hold the value of a Secret.
fn withhold(stderr: &str) -> String {
    let place = first_place(stderr).map_or(String::new(), |place| format!(" at {place}"));
    format!("it failed{place}; its message is withheld because it may quote the value of a Secret")
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
        let said =
            "Error: execution error at (shop/templates/a.yaml:3:14): the password hunter2 is bad";
        let shown = withhold(said);
        assert!(
            shown.contains("at shop/templates/a.yaml:3:14;") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
