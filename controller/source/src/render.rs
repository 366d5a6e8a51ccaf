//! From a directory of a commit to a checked list of objects.
//!
//! Invariant: a [`Rendered`] is never empty, holds every object once, and depends on nothing but the commit's content
//! (no network, no clock, no environment), so equal inputs are not rendered twice. "Nothing found" is an error, for it
//! must never be read as "remove everything".

mod cache;
pub(crate) mod canonical;
mod error;
mod helm;
mod images;
mod kustomize;
mod object;
mod plain;
mod sandbox;
mod sops;
mod substitute;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::checkout::Checkout;
use crate::files::Input;
use crate::mirror::Lookup;
use crate::{RepoPath, SourceError};

use cache::{Cache, CacheKey, Outcome};
pub use canonical::ContentDigest;
pub use error::RenderError;
use helm::Helm;
pub use helm::{ChartArchive, HelmOptions, HelmValues};
pub use images::ImageOverride;
use kustomize::Kustomize;
pub use object::{ObjectKey, ObjectSource, RenderedObject, Secrecy};
use sandbox::Sandbox;
pub use sops::Decryption;
use sops::{Opener, Sops};
pub use substitute::Substitution;

/// Names under which kustomize looks for its file.
const KUSTOMIZATION_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// How manifests become objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RenderKind {
    /// Kustomize when the directory has a kustomization file, plain files otherwise.
    Detect,
    /// Every YAML and JSON file below the directory.
    Plain,
    /// `kustomize build` of the directory.
    Kustomize,
    /// `helm template` of the chart in the directory.
    Helm(Box<HelmOptions>),
}

/// What to render.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RenderRequest {
    /// The directory.
    pub path: RepoPath,
    /// How.
    pub kind: RenderKind,
    /// What stands in for variables in the objects; without it they are left as they are.
    pub substitution: Option<Substitution>,
    /// What encrypted files are opened with; without it they are refused.
    pub decryption: Option<Decryption>,
}

impl RenderRequest {
    /// Renders the directory as what it is.
    pub fn detect(path: RepoPath) -> Self {
        Self::new(path, RenderKind::Detect)
    }

    /// Renders the directory in this way.
    pub fn new(path: RepoPath, kind: RenderKind) -> Self {
        Self {
            path,
            kind,
            substitution: None,
            decryption: None,
        }
    }
}

/// The objects of one directory at one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The objects, in the order they were found.
    pub objects: Vec<RenderedObject>,
    /// Stands for the objects' content, whatever their order and wherever they came from.
    pub digest: ContentDigest,
    /// What a person should know, for example about files that were passed over.
    pub warnings: Vec<String>,
    /// The program that built the objects and its version; none for plain files.
    pub tool: Option<String>,
    /// Size of the objects as JSON, in bytes.
    pub json_bytes: usize,
}

/// Programs and limits for rendering.
#[derive(Debug, Clone)]
pub struct RendererSettings {
    /// The kustomize program: a path, or a name to look up in `PATH`.
    pub kustomize_program: PathBuf,
    /// The helm program: a path, or a name to look up in `PATH`.
    pub helm_program: PathBuf,
    /// The sops program: a path, or a name to look up in `PATH`.
    pub sops_program: PathBuf,
    /// Where builds get their temporary directory.
    pub work_directory: PathBuf,
    /// Time limit of one build.
    pub timeout: Duration,
    /// Memory limit of one build, in bytes.
    pub memory_bytes: u64,
    /// Limit on the output of one build, in bytes.
    pub output_bytes: usize,
    /// Builds at the same time.
    pub processes: usize,
    /// Memory for finished renders, in bytes (estimated).
    pub cache_bytes: usize,
}

impl Default for RendererSettings {
    fn default() -> Self {
        Self {
            kustomize_program: PathBuf::from("kustomize"),
            helm_program: PathBuf::from("helm"),
            sops_program: PathBuf::from("sops"),
            work_directory: std::env::temp_dir(),
            timeout: Duration::from_mins(1),
            memory_bytes: 1 << 30,
            output_bytes: 32 << 20,
            processes: 2,
            cache_bytes: 16 << 20,
        }
    }
}

/// Renders asked for, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RenderCounts {
    /// Renders that were carried out.
    pub performed: u64,
    /// Renders whose result was known already.
    pub cached: u64,
}

/// Renders directories and remembers the results. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Renderer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kustomize: Kustomize,
    helm: Helm,
    sops: Sops,
    cache: Cache,
    performed: AtomicU64,
    cached: AtomicU64,
}

/// A finished render, good or bad, with everything it depends on.
struct Attempt {
    inputs: Vec<Input>,
    outcome: Outcome,
}

impl Attempt {
    fn failed(inputs: Vec<Input>, error: RenderError) -> Self {
        Self {
            inputs,
            outcome: Err(error),
        }
    }
}

/// What comes to the files of a commit.
struct Extras<'a> {
    substitution: Option<Substitution>,
    opener: Opener<'a>,
}

impl Renderer {
    /// A renderer with an empty memory. Starts no program yet.
    pub fn new(settings: RendererSettings) -> Self {
        let cache = Cache::new(settings.cache_bytes);
        let permits = Arc::new(Semaphore::new(settings.processes.max(1)));
        let settings = Arc::new(settings);
        let sandbox = |tool, program: &PathBuf| {
            let (settings, permits) = (Arc::clone(&settings), Arc::clone(&permits));
            Sandbox::new(tool, program.clone(), settings, permits)
        };
        Self(Arc::new(Inner {
            kustomize: Kustomize::new(sandbox(&kustomize::TOOL, &settings.kustomize_program)),
            helm: Helm::new(sandbox(&helm::TOOL, &settings.helm_program)),
            sops: Sops::new(sandbox(&sops::TOOL, &settings.sops_program)),
            cache,
            performed: AtomicU64::new(0),
            cached: AtomicU64::new(0),
        }))
    }

    /// Renders a directory of a commit, or recalls the result when nothing it depends on has changed.
    ///
    /// An error that lies in the commit's content is recalled as well: a broken commit is not built again and again.
    pub async fn render(
        &self,
        checkout: &Checkout,
        request: &RenderRequest,
    ) -> Result<Arc<Rendered>, RenderError> {
        let key = CacheKey {
            repository: checkout.repository().key(),
            submodules: checkout.submodule_mode(),
            lfs: checkout.lfs_mode(),
            request: request.clone(),
        };
        if let Some(outcome) = self.recall(checkout, &key).await? {
            self.0.cached.fetch_add(1, Ordering::Relaxed);
            return outcome;
        }
        self.0.performed.fetch_add(1, Ordering::Relaxed);
        let attempt = self.carry_out(checkout, request).await?;
        let is_lasting = attempt
            .outcome
            .as_ref()
            .err()
            .is_none_or(RenderError::lies_in_content);
        if is_lasting {
            self.0
                .cache
                .insert(&key, attempt.inputs, attempt.outcome.clone());
        }
        attempt.outcome
    }

    async fn carry_out(
        &self,
        checkout: &Checkout,
        request: &RenderRequest,
    ) -> Result<Attempt, RenderError> {
        let path = &request.path;
        let extras = Extras {
            substitution: request.substitution.clone(),
            opener: Opener {
                sops: &self.0.sops,
                keys: request.decryption.as_ref(),
            },
        };
        match self.kind_of(checkout, request).await? {
            RenderKind::Kustomize => {
                let kustomize = &self.0.kustomize;
                kustomize.render(checkout, path, &extras).await
            }
            RenderKind::Helm(options) => {
                let helm = &self.0.helm;
                helm.render(checkout, path, &options, &extras).await
            }
            RenderKind::Plain | RenderKind::Detect => plain::render(checkout, path, &extras).await,
        }
    }

    /// How many renders were carried out, and how many recalled.
    pub fn counts(&self) -> RenderCounts {
        RenderCounts {
            performed: self.0.performed.load(Ordering::Relaxed),
            cached: self.0.cached.load(Ordering::Relaxed),
        }
    }

    async fn recall(
        &self,
        checkout: &Checkout,
        key: &CacheKey,
    ) -> Result<Option<Outcome>, SourceError> {
        let Some(paths) = self.0.cache.paths(key) else {
            return Ok(None);
        };
        let ids = checkout
            .follow(&paths)
            .await?
            .into_iter()
            .map(|lookup| match lookup {
                Lookup::Found(found) => Some(found.id),
                Lookup::Outside | Lookup::Nothing => None,
            });
        let now: Vec<Input> = paths
            .into_iter()
            .zip(ids)
            .map(|(path, id)| Input { path, id })
            .collect();
        Ok(self.0.cache.find(key, &now))
    }

    async fn kind_of(
        &self,
        checkout: &Checkout,
        request: &RenderRequest,
    ) -> Result<RenderKind, SourceError> {
        if request.kind != RenderKind::Detect {
            return Ok(request.kind.clone());
        }
        let names: Vec<String> = KUSTOMIZATION_NAMES
            .iter()
            .map(|name| request.path.child(name))
            .collect();
        let has_one = checkout
            .follow(&names)
            .await?
            .iter()
            .any(|found| matches!(found, Lookup::Found(_)));
        Ok(if has_one {
            RenderKind::Kustomize
        } else {
            RenderKind::Plain
        })
    }
}
