//! The programs of a lab: pinned, built from source by Go, and cached.
//!
//! Invariant: a file in the cache is a whole program built from exactly the pinned sources and flags in its name; programs are built
//! aside and renamed. A program already on PATH is taken in place of a build when its version fits and nothing depends on the very
//! version. Prebuilt downloads are left out: the Go module proxy and `go.sum` vouch for the sources.

mod build;
mod manifests;
mod on_path;
mod recipe;

use std::path::{Path, PathBuf};

use crate::LabError;
use crate::progress::Progress;
pub use manifests::{Manifests, manifests};

/// A program that a lab runs or that its tests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// The database of the API server.
    Etcd,
    /// The Kubernetes API server.
    KubeApiServer,
    /// The built-in controllers.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// The command line.
    Kubectl,
    /// Plays nodes and pods.
    Kwok,
    /// Scrapes and answers queries.
    Prometheus,
    /// Renders overlays.
    Kustomize,
    /// Renders and installs charts.
    Helm,
    /// Encrypts and opens files.
    Sops,
    /// Fetches files that lie beside Git.
    GitLfs,
    /// The gateway.
    Traefik,
    /// Keeps OCI artifacts and charts. Its `main` is ours, around the reference implementation's server.
    Registry,
    /// Tells how Flux (kstatus) and Argo CD (Lua scripts) see an object. Its sources are ours, around their libraries.
    Health,
}

impl Program {
    /// All programs.
    pub const ALL: [Self; 14] = [
        Self::Etcd,
        Self::KubeApiServer,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubectl,
        Self::Kwok,
        Self::Prometheus,
        Self::Kustomize,
        Self::Helm,
        Self::Sops,
        Self::GitLfs,
        Self::Traefik,
        Self::Registry,
        Self::Health,
    ];

    /// The program's file name.
    pub const fn name(self) -> &'static str {
        self.recipe().name
    }
}

/// The folder of the built programs: `BELAY_LAB_PROGRAMS`, or `lab/bin` in Cargo's target folder.
pub fn programs_dir() -> PathBuf {
    let named = std::env::var_os("BELAY_LAB_PROGRAMS").map(PathBuf::from);
    named.unwrap_or_else(|| build::target_dir().join("lab/bin"))
}

/// The folder of the lab that `cargo lab up` starts when no other is named: `lab/up` in Cargo's target folder.
pub fn default_dir() -> PathBuf {
    build::target_dir().join("lab/up")
}

/// The path of a program; built first where it is neither cached nor, in a fitting version, on PATH. Needs no lab.
pub async fn program(program: Program) -> Result<PathBuf, LabError> {
    let provided = provide(&[program], &Progress::stderr()).await?;
    let path = provided.into_iter().next().map(|(_, path)| path);
    path.ok_or(LabError::GoMissing {
        program: program.name(),
    })
}

/// The paths of several programs; the missing ones are built one after the other, since Go uses all processors for each.
pub(crate) async fn provide(
    programs: &[Program],
    progress: &Progress,
) -> Result<Vec<(Program, PathBuf)>, LabError> {
    let folder = programs_dir();
    let mut provided = Vec::with_capacity(programs.len());
    for &program in programs {
        provided.push((program, provide_one(program, &folder, progress).await?));
    }
    Ok(provided)
}

async fn provide_one(
    program: Program,
    folder: &Path,
    progress: &Progress,
) -> Result<PathBuf, LabError> {
    let recipe = program.recipe();
    let cached = folder.join(recipe.file_name()?);
    if cached.is_file() {
        return Ok(cached);
    }
    if let Some(path) = on_path::find(program).await {
        return Ok(path);
    }
    build::build(recipe, &cached, progress).await?;
    Ok(cached)
}

/// Builds every program into the cache, whatever is on PATH, and fetches others' definitions. What CI does before it runs tests.
pub async fn build_all() -> Result<Vec<(Program, PathBuf)>, LabError> {
    let (folder, progress) = (programs_dir(), Progress::stderr());
    let mut built = Vec::with_capacity(Program::ALL.len());
    for program in Program::ALL {
        let recipe = program.recipe();
        let cached = folder.join(recipe.file_name()?);
        if !cached.is_file() {
            build::build(recipe, &cached, &progress).await?;
        }
        built.push((program, cached));
    }
    for wanted in Manifests::ALL {
        manifests::provide(wanted, &progress).await?;
    }
    Ok(built)
}
