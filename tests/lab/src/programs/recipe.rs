//! What each program is built from. Versions are pinned in the Go modules beside this crate's sources; those repeated here only tell a
//! program its own version, for clients read it.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Program;
use crate::LabError;

/// How to build one program.
#[derive(Debug)]
pub(super) struct Recipe {
    /// File name of the program.
    pub(super) name: &'static str,
    /// Folder of its Go module in this crate.
    module: &'static str,
    /// Go package of its `main`.
    pub(super) package: &'static str,
    /// Version it is pinned to.
    pub(super) version: &'static str,
    /// Build tags, comma separated.
    pub(super) tags: &'static str,
    /// Variables set by the linker.
    pub(super) variables: &'static [&'static str],
}

/// The source of a program that is ours; all others are only pinned.
const OWN_SOURCE: &str = "main.go";

const KUBERNETES: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.36.3",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=36",
    "k8s.io/component-base/version.gitCommit=belay-lab",
    "k8s.io/component-base/version.gitTreeState=clean",
];

const fn kubernetes(name: &'static str, package: &'static str) -> Recipe {
    Recipe {
        name,
        module: "kubernetes",
        package,
        version: "v1.36.3",
        tags: "",
        variables: KUBERNETES,
    }
}

static ETCD: Recipe = Recipe {
    name: "etcd",
    module: "kubernetes",
    package: "go.etcd.io/etcd/server/v3",
    version: "v3.6.8",
    tags: "",
    variables: &[],
};
static KUBE_API_SERVER: Recipe =
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver");
static KUBE_CONTROLLER_MANAGER: Recipe = kubernetes(
    "kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
);
static KUBE_SCHEDULER: Recipe =
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler");
static KUBECTL: Recipe = kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl");
static KWOK: Recipe = Recipe {
    name: "kwok",
    module: "kwok",
    package: "sigs.k8s.io/kwok/cmd/kwok",
    version: "v0.8.0",
    tags: "",
    variables: &[],
};
static PROMETHEUS: Recipe = Recipe {
    name: "prometheus",
    module: "prometheus",
    package: "github.com/prometheus/prometheus/cmd/prometheus",
    version: "v0.316.0",
    // Without these a module of another cloud's discovery is wanted that can't be had.
    tags: "remove_all_sd,enable_kubernetes_sd",
    variables: &["github.com/prometheus/common/version.Version=3.16.0"],
};
static KUSTOMIZE: Recipe = Recipe {
    name: "kustomize",
    module: "kustomize",
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    version: "v5.8.2",
    tags: "",
    variables: &["sigs.k8s.io/kustomize/api/provenance.version=v5.8.2"],
};
static HELM: Recipe = Recipe {
    name: "helm",
    module: "helm",
    package: "helm.sh/helm/v4/cmd/helm",
    version: "v4.3.1",
    tags: "",
    variables: &["helm.sh/helm/v4/internal/version.version=v4.3.1"],
};
static SOPS: Recipe = Recipe {
    name: "sops",
    module: "sops",
    package: "github.com/getsops/sops/v3/cmd/sops",
    version: "v3.13.3",
    tags: "",
    variables: &[],
};
static GIT_LFS: Recipe = Recipe {
    name: "git-lfs",
    module: "git-lfs",
    package: "github.com/git-lfs/git-lfs/v3",
    version: "v3.8.1",
    tags: "",
    variables: &[],
};
static TRAEFIK: Recipe = Recipe {
    name: "traefik",
    module: "traefik",
    package: "github.com/traefik/traefik/v3/cmd/traefik",
    version: "v3.6.12",
    tags: "",
    variables: &["github.com/traefik/traefik/v3/pkg/version.Version=3.6.12"],
};
static REGISTRY: Recipe = Recipe {
    name: "registry",
    module: "registry",
    package: "belay.dev/lab/registry",
    version: "v1.0.0",
    tags: "",
    variables: &[],
};
static HEALTH: Recipe = Recipe {
    name: "health",
    module: "health",
    package: "belay.dev/lab/health",
    version: "v1.0.0",
    tags: "",
    variables: &[],
};

impl Program {
    pub(super) const fn recipe(self) -> &'static Recipe {
        match self {
            Self::Etcd => &ETCD,
            Self::KubeApiServer => &KUBE_API_SERVER,
            Self::KubeControllerManager => &KUBE_CONTROLLER_MANAGER,
            Self::KubeScheduler => &KUBE_SCHEDULER,
            Self::Kubectl => &KUBECTL,
            Self::Kwok => &KWOK,
            Self::Prometheus => &PROMETHEUS,
            Self::Kustomize => &KUSTOMIZE,
            Self::Helm => &HELM,
            Self::Sops => &SOPS,
            Self::GitLfs => &GIT_LFS,
            Self::Traefik => &TRAEFIK,
            Self::Registry => &REGISTRY,
            Self::Health => &HEALTH,
        }
    }
}

impl Recipe {
    /// The folder of the Go module.
    pub(super) fn module_dir(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(self.module)
    }

    /// What the linker is told: no debug tables, and the program's version.
    pub(super) fn linker_flags(&self) -> String {
        let mut flags = String::from("-s -w");
        for variable in self.variables {
            flags.push_str(" -X ");
            flags.push_str(variable);
        }
        flags
    }

    /// Name in the cache: changes with the pinned sources and with the flags.
    pub(super) fn file_name(&self) -> Result<String, LabError> {
        let mut digest = Sha256::new();
        for file in ["go.mod", "go.sum", OWN_SOURCE] {
            let path = self.module_dir().join(file);
            if file == OWN_SOURCE && !path.exists() {
                continue;
            }
            digest
                .update(fs::read(&path).map_err(LabError::io(format!("read {}", path.display())))?);
        }
        for flag in [self.package, self.tags, &self.linker_flags()] {
            digest.update(flag);
            digest.update("\n");
        }
        let [a, b, c, d, ..]: [u8; 32] = digest.finalize().into();
        let short = u32::from_be_bytes([a, b, c, d]);
        Ok(format!("{}-{}-{short:08x}", self.name, self.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_version_is_the_one_in_its_go_module() {
        for program in Program::ALL {
            let recipe = program.recipe();
            if recipe.module_dir().join(OWN_SOURCE).exists() {
                continue;
            }
            let text = fs::read_to_string(recipe.module_dir().join("go.mod")).unwrap();
            let found = text.lines().map(str::trim).any(|line| {
                let mut words = line.trim_start_matches("require ").split_whitespace();
                matches!((words.next(), words.next()), (Some(module), Some(version))
                    if recipe.package.starts_with(module) && version == recipe.version)
            });
            assert!(
                found,
                "{} {} is not in {}/go.mod",
                recipe.package, recipe.version, recipe.module
            );
        }
    }

    #[test]
    fn every_program_has_a_cache_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Program::ALL
            .iter()
            .map(|program| program.recipe().file_name().unwrap())
            .collect();
        assert_eq!(names.len(), Program::ALL.len());
    }
}
