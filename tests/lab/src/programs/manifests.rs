//! Definitions of others' resources, from the Go modules of their projects.
//!
//! Invariant: a file in the cache holds exactly the definitions of the version in its name; `go.sum` in `manifests` vouches for the
//! modules, as it does for programs. Nothing of them is in this repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::{build, programs_dir};
use crate::LabError;
use crate::progress::Progress;

/// Custom resource definitions of another project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manifests {
    /// Gateway API, the standard channel.
    GatewayApi,
    /// Istio.
    Istio,
    /// Traefik.
    Traefik,
    /// Argo Rollouts.
    ArgoRollouts,
    /// Flagger.
    Flagger,
    /// KEDA.
    Keda,
}

/// Where the definitions lie.
struct Source {
    name: &'static str,
    /// Go module.
    module: &'static str,
    /// Version it is pinned to.
    version: &'static str,
    /// A file of the module, or a folder whose YAML files are all taken.
    path: &'static str,
}

impl Manifests {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::GatewayApi,
        Self::Istio,
        Self::Traefik,
        Self::ArgoRollouts,
        Self::Flagger,
        Self::Keda,
    ];

    const fn source(self) -> Source {
        match self {
            Self::GatewayApi => Source {
                name: "gateway-api",
                module: "sigs.k8s.io/gateway-api",
                version: "v1.6.3",
                path: "config/crd/standard",
            },
            Self::Istio => Source {
                name: "istio-api",
                module: "istio.io/api",
                version: "v1.31.4",
                path: "kubernetes/customresourcedefinitions.gen.yaml",
            },
            Self::Traefik => Source {
                name: "traefik-api",
                module: "github.com/traefik/traefik/v3",
                version: "v3.6.12",
                path: "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
            },
            Self::ArgoRollouts => Source {
                name: "argo-rollouts",
                module: "github.com/argoproj/argo-rollouts",
                version: "v1.9.2",
                path: "manifests/crds",
            },
            Self::Flagger => Source {
                name: "flagger",
                module: "github.com/fluxcd/flagger",
                version: "v1.43.0",
                path: "artifacts/flagger/crd.yaml",
            },
            Self::Keda => Source {
                name: "keda",
                module: "github.com/kedacore/keda/v2",
                version: "v2.21.0",
                path: "config/crd/bases/keda.sh_scaledobjects.yaml",
            },
        }
    }

    /// Name in commands and messages.
    pub const fn name(self) -> &'static str {
        self.source().name
    }
}

/// The path of a file with these definitions, for `kubectl apply --server-side`; fetched first where needed. Needs no lab.
pub async fn manifests(manifests: Manifests) -> Result<PathBuf, LabError> {
    provide(manifests, &Progress::stderr()).await
}

pub(super) async fn provide(
    manifests: Manifests,
    progress: &Progress,
) -> Result<PathBuf, LabError> {
    let source = manifests.source();
    let folder = programs_dir();
    let cached = folder.join(format!("{}-{}.yaml", source.name, source.version));
    if cached.is_file() {
        return Ok(cached);
    }
    fs::create_dir_all(&folder).map_err(LabError::io(format!("create {}", folder.display())))?;
    let _lock = build::lock(folder.clone(), source.name, progress).await?;
    if cached.is_file() {
        return Ok(cached);
    }
    let text = read(&fetch(&source).await?.join(source.path))?;
    let wanted = || format!("write {}", cached.display());
    // Aside first, so that nobody reads half of it; whoever may read programs may read this.
    let aside = cached.with_extension("new");
    fs::write(&aside, text).map_err(LabError::io(wanted()))?;
    fs::rename(&aside, &cached).map_err(LabError::io(wanted()))?;
    Ok(cached)
}

/// What `go mod download -json` says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: PathBuf,
}

/// Brings the module to this machine's module cache, checked against `go.sum`.
async fn fetch(source: &Source) -> Result<PathBuf, LabError> {
    let module = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let output = Command::new("go")
        .args(["mod", "download", "-json", "--", source.module])
        .current_dir(&module)
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| build::go_failed(source.name, error))?;
    if !output.status.success() {
        return Err(LabError::Build {
            program: source.name,
            folder: module,
            output: build::last_lines(&output),
        });
    }
    let downloaded: Downloaded = serde_json::from_slice(&output.stdout)
        .map_err(LabError::format("the answer of `go mod download`"))?;
    Ok(downloaded.dir)
}

/// A file, or all YAML files of a folder as one; a kustomization only names the others.
fn read(path: &Path) -> Result<String, LabError> {
    let failed = || format!("read {}", path.display());
    if path.is_file() {
        return fs::read_to_string(path).map_err(LabError::io(failed()));
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(LabError::io(failed()))?;
    files.retain(|file| {
        file.extension().is_some_and(|end| end == "yaml")
            && file.file_stem().is_some_and(|name| name != "kustomization")
    });
    files.sort();
    let texts: Result<Vec<String>, _> = files.iter().map(fs::read_to_string).collect();
    Ok(texts.map_err(LabError::io(failed()))?.join("\n---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_version_is_the_one_in_the_go_module() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("manifests");
        let text = fs::read_to_string(folder.join("go.mod")).unwrap();
        for manifests in Manifests::ALL {
            let Source {
                module, version, ..
            } = manifests.source();
            let line = format!("{module} {version}");
            assert!(text.lines().any(|found| found.trim() == line), "{line}");
        }
    }
}
