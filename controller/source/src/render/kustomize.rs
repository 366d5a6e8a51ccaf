//! `kustomize build` of a directory, with everything it may read laid out for it and nothing else.
//!
//! Invariant: before the program starts, every kustomization it will meet has been read and checked ([`guard`]), and
//! what it then reads is exactly what was checked: those files are written anew from the checked values. It runs in the
//! [`sandbox`](super::sandbox), without git and helm.

mod guard;
mod layout;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::{Draft, assemble};
use super::plain::refuse_pointer;
use super::sandbox::{BuildTool, Built, Job, Sandbox, Word};
use super::sops::secrecy_of_all;
use super::words::{speaks_of_secrets, without_groups};
use super::{Attempt, Extras, RenderError, Secrecy};
use crate::RepoPath;
use crate::checkout::Checkout;
use crate::lfs;
use crate::yaml::{self, Limits};

use layout::Layout;

/// Kustomize, as the sandbox starts it.
pub(super) static TOOL: BuildTool = BuildTool {
    name: "kustomize",
    wanted: "kustomize 5",
    version: &["version"],
    homes: &["KUSTOMIZE_PLUGIN_HOME"],
    failed: "KustomizeFailed",
};

/// The kustomize program and its limits.
#[derive(Debug)]
pub(super) struct Kustomize {
    sandbox: Sandbox,
}

impl Kustomize {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    /// Builds `path`.
    pub(super) async fn render(
        &self,
        checkout: &Checkout,
        path: &RepoPath,
        extras: &Extras<'_>,
    ) -> Result<Attempt, RenderError> {
        // First, so that a missing program is told before anything is fetched.
        let tool = self.sandbox.version().await?;
        let mut layout = Layout::default();
        if let Err(error) = layout.gather(checkout, path).await {
            return Ok(Attempt::failed(layout.inputs, error));
        }
        let inputs = layout.inputs.clone();
        let read = std::mem::take(&mut layout.read);
        let is_read = |file: &str| read.contains(file);
        if let Err(error) = lfs::resolve(checkout, &mut layout.files, is_read).await {
            return Ok(Attempt::failed(inputs, error.into()));
        }
        let pointed = layout
            .files
            .iter()
            .filter(|(file, _)| read.contains(file.as_str()))
            .try_for_each(|(file, content)| refuse_pointer(file, content));
        if let Err(error) = pointed {
            return Ok(Attempt::failed(inputs, error));
        }
        let secrecy = match extras.opener.open(&mut layout.files, is_read).await {
            Ok(opened) => secrecy_of_all(&opened),
            Err(error) => return Ok(Attempt::failed(inputs, error)),
        };
        let substitution = extras.substitution.clone();
        let outcome = match self.build(path, &layout, secrecy).await {
            Ok(built) => {
                let said = built.warnings.into_iter();
                let said = said.filter(|_| secrecy == Secrecy::Open);
                let warnings = layout.notes.iter().cloned().chain(said).collect();
                let (name, file) = (path.to_string(), layout.entry_file.clone());
                let parsed = tokio::task::spawn_blocking(move || {
                    let documents = yaml::parse_yaml(&built.output, &Limits::default())
                        .map_err(|problem| RenderError::syntax(&file, problem).discreet(secrecy))?;
                    let drafts = documents
                        .into_iter()
                        .map(|document| Draft {
                            file: file.clone(),
                            document,
                            secrecy,
                        })
                        .collect();
                    assemble(&name, drafts, substitution.as_ref(), warnings, Some(tool))
                });
                parsed
                    .await
                    .map_err(RenderError::work_directory)?
                    .map(Arc::new)
            }
            Err(error) => Err(error),
        };
        Ok(Attempt { inputs, outcome })
    }

    async fn build(
        &self,
        path: &RepoPath,
        layout: &Layout,
        secrecy: Secrecy,
    ) -> Result<Built, RenderError> {
        let words = [
            Word::Text("build".to_owned()),
            Word::Text("--".to_owned()),
            Word::File("", path.as_str().to_owned()),
        ];
        self.sandbox
            .build(&Job {
                path,
                files: &layout.files,
                input: &BTreeMap::new(),
                words: &words,
                explain: &|stderr| explain(stderr, layout, secrecy),
            })
            .await
    }
}

/// The last line, or why it is withheld.
fn explain(stderr: &str, layout: &Layout, secrecy: Secrecy) -> String {
    // Kustomize quotes what it chokes on, and here that may be the value of a Secret.
    let speaks = |content: &Vec<u8>| speaks_of_secrets(content);
    if secrecy == Secrecy::Secret || layout.files.values().any(speaks) {
        return "its message is withheld because the files hold Secrets; run `kustomize build` on them to see it".to_owned();
    }
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    without_groups(last.unwrap_or_default())
}
