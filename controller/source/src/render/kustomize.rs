//! `kustomize build` of a directory, with everything it may read laid out for it and nothing else.
//!
//! Invariant: before the program starts, every kustomization it will meet has been read and checked ([`guard`]), and
//! what it then reads is exactly what was checked: those files are written anew from the checked values. It gets an empty
//! environment, an empty home, no program to start (an empty `PATH`, so no git and no helm), limits on time, memory and
//! output, and no network where the machine lets an unprivileged process give it up ([`sandbox`]).

mod guard;
mod layout;
mod sandbox;

use std::sync::Arc;

use super::object::assemble;
use super::{Attempt, RenderError, RendererSettings};
use crate::RepoPath;
use crate::checkout::Checkout;
use crate::yaml::{self, Limits};

use layout::Layout;
use sandbox::Sandbox;

/// The kustomize program and its limits.
#[derive(Debug)]
pub(super) struct Kustomize {
    sandbox: Sandbox,
}

impl Kustomize {
    pub(super) fn new(settings: RendererSettings) -> Self {
        Self {
            sandbox: Sandbox::new(settings),
        }
    }

    /// Builds `path`.
    pub(super) async fn render(
        &self,
        checkout: &Checkout,
        path: &RepoPath,
    ) -> Result<Attempt, RenderError> {
        // First, so that a missing program is told before anything is fetched.
        let tool = self.sandbox.version().await?;
        let layout = Layout::gather(checkout, path).await?;
        let inputs = layout.inputs.clone();
        let outcome = match self.sandbox.build(path, &layout).await {
            Ok(built) => {
                let warnings = layout.notes.iter().cloned().chain(built.warnings).collect();
                let (name, file) = (path.to_string(), layout.entry_file.clone());
                let parsed = tokio::task::spawn_blocking(move || {
                    let documents = yaml::parse_yaml(&built.output, &Limits::default())
                        .map_err(|problem| RenderError::syntax(&file, problem))?;
                    let documents = documents
                        .into_iter()
                        .map(|document| (file.clone(), document))
                        .collect();
                    assemble(&name, documents, warnings, Some(tool))
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
}
