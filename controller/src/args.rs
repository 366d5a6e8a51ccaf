//! The program's arguments and their translation into [`Settings`].

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::{
    Error, Result,
    lease::LeaseSettings,
    runtime::{GitSettings, Reach, Settings},
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Text for people.
    Text,
}

/// Belay's controller: progressive delivery with verified rollouts and rollbacks for Kubernetes.
#[derive(Clone, Debug, Parser)]
#[command(name = "belay-controller", version)]
pub struct Args {
    /// Kubeconfig file; inside a cluster, and where KUBECONFIG is set, not needed.
    #[arg(long, env = "BELAY_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace to work in; all namespaces when absent.
    #[arg(long, env = "BELAY_NAMESPACE")]
    pub namespace: Option<String>,
    /// Base URL of the Prometheus that gates ask unless their template names another.
    #[arg(long, env = "BELAY_PROMETHEUS_URL")]
    pub prometheus_url: Option<String>,
    /// Folder with credentials for that Prometheus, such as a mounted Secret: token, or username and password; headers (one `Name:
    /// value` a line); ca.crt; tls.crt and tls.key. Read anew when it changes. Gates with credentials of their own don't get them.
    #[arg(
        long,
        env = "BELAY_PROMETHEUS_ACCESS",
        value_name = "DIRECTORY",
        requires = "prometheus_url"
    )]
    pub prometheus_access: Option<PathBuf>,
    /// Namespace of the lease that makes one of several controllers act.
    #[arg(long, env = "POD_NAMESPACE", default_value = "belay-system")]
    pub lease_namespace: String,
    /// Name of that lease.
    #[arg(long, env = "BELAY_LEASE_NAME", default_value = "belay-controller")]
    pub lease_name: String,
    /// Name of this process among the candidates for the lease. A restarted container of the same pod takes its own lease back
    /// at once. Two processes that run at the same time must never share it.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "BELAY_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// How log lines are written.
    #[arg(long, env = "BELAY_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Which log lines are written, for example `info` or `belay=debug,info`.
    #[arg(long, env = "BELAY_LOG", default_value = "info")]
    pub log_filter: String,
    /// Reconciliations at the same time, per controller.
    #[arg(long, env = "BELAY_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Folder for local copies of Git repositories. Only a cache: it may be emptied at any time.
    #[arg(
        long,
        env = "BELAY_CACHE_DIRECTORY",
        default_value = "/var/cache/belay"
    )]
    pub cache_directory: PathBuf,
    /// The git program: a path, or a name to look up in PATH.
    #[arg(long, env = "BELAY_GIT", default_value = "git")]
    pub git_program: PathBuf,
    /// The git-lfs program: a path, or a name to look up in PATH. Needed by Releases with files in Git LFS alone.
    #[arg(long, env = "BELAY_GIT_LFS", default_value = "git-lfs")]
    pub git_lfs_program: PathBuf,
    /// The kustomize program: a path, or a name to look up in PATH.
    #[arg(long, env = "BELAY_KUSTOMIZE", default_value = "kustomize")]
    pub kustomize_program: PathBuf,
    /// The helm program: a path, or a name to look up in PATH.
    #[arg(long, env = "BELAY_HELM", default_value = "helm")]
    pub helm_program: PathBuf,
    /// The sops program: a path, or a name to look up in PATH. Needed by Releases with encrypted files alone.
    #[arg(long, env = "BELAY_SOPS", default_value = "sops")]
    pub sops_program: PathBuf,
    /// Let Releases name repositories on this machine (file:///…). Only for machines with one user: what this process can read,
    /// they then can.
    #[arg(long, env = "BELAY_ALLOW_LOCAL_REPOSITORIES")]
    pub allow_local_repositories: bool,
    /// Address for webhooks of Git servers, for example 0.0.0.0:9292; they are not taken when absent. Put an ingress with TLS before it.
    #[arg(long, env = "BELAY_HOOKS_LISTEN")]
    pub hooks_listen: Option<SocketAddr>,
    /// Let requests for gates, charts and artifacts go to this machine's own addresses (loopback). Cloud metadata and link-local addresses are
    /// refused all the same.
    #[arg(long, env = "BELAY_ALLOW_LOOPBACK")]
    pub allow_loopback: bool,
    /// Bring the templates that come with Belay into the cluster, and keep them as this version has them.
    #[arg(long, env = "BELAY_BUILT_IN_TEMPLATES")]
    pub built_in_templates: bool,
}

impl Args {
    /// The settings that these arguments stand for. Reads the kubeconfig or the pod's service account.
    pub async fn settings(self) -> Result<Settings> {
        let kube = cluster(self.kubeconfig.as_deref()).await?;
        let identity = self.identity.unwrap_or_else(default_identity);
        Ok(Settings {
            namespace: self.namespace,
            prometheus_url: self.prometheus_url,
            prometheus_access: self.prometheus_access,
            lease: LeaseSettings {
                namespace: self.lease_namespace,
                name: self.lease_name,
                identity,
            },
            listen: self.listen,
            hooks_listen: self.hooks_listen,
            concurrency: self.concurrency,
            git: GitSettings {
                cache_directory: self.cache_directory,
                git_program: self.git_program,
                git_lfs_program: self.git_lfs_program,
                kustomize_program: self.kustomize_program,
                helm_program: self.helm_program,
                sops_program: self.sops_program,
                allow_local: self.allow_local_repositories,
            },
            reach: if self.allow_loopback {
                Reach::NetworkAndLoopback
            } else {
                Reach::Network
            },
            built_in_templates: self.built_in_templates,
            ..Settings::new(kube)
        })
    }
}

async fn cluster(path: Option<&std::path::Path>) -> Result<kube::Config> {
    let Some(path) = path else {
        return kube::Config::infer()
            .await
            .map_err(|error| Error::NoCluster(error.to_string()));
    };
    let no_cluster = |error: kube::config::KubeconfigError| Error::NoCluster(error.to_string());
    let file = Kubeconfig::read_from(path).map_err(no_cluster)?;
    kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(no_cluster)
}

/// Host name with the process and the time in it: unique among the candidates, and a hint to people who read the lease.
fn default_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "belay" } else { host };
    let nanoseconds = jiff::Timestamp::now().as_nanosecond();
    format!("{host}_{}_{nanoseconds:x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn two_processes_never_share_a_default_identity() {
        assert_ne!(default_identity(), default_identity());
    }
}
