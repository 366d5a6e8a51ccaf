//! A lab with Belay installed and acting, shared by the tests of one binary.
//!
//! The controller runs in this process, on a thread of its own, so that it ends with the tests in whatever way they end; it has
//! the token of the chart's service account and nothing more.

use std::time::Duration;

use belay::{
    lease::LeaseSettings,
    runtime::{self, GitSettings, Reach, Settings},
};
use belay_api::{Action, names::ROLLOUT_LABEL};
use belay_engine::{config::STAMP_ANNOTATION, rollout::observed::Hold};
use belay_lab::{Lab, LabBuilder, Program, SharedLab, wait_for};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    Error,
    installed::{Installed, NAMESPACE},
};

const IN_FORCE_WITHIN: Duration = Duration::from_mins(2);

/// A lab with Belay, started by the first test that asks for it.
pub struct Stage {
    lab: SharedLab,
    hold: Hold,
    installed: OnceCell<Installed>,
}

impl Stage {
    /// Not started yet.
    pub const fn new() -> Self {
        Self::with(Hold::Admission)
    }

    /// Not started yet; its lab has no `MutatingAdmissionPolicy`, so that there is no hold policy to wait for.
    pub const fn without_hold_policy() -> Self {
        Self::with(Hold::AlwaysPaused)
    }

    const fn with(hold: Hold) -> Self {
        Self {
            lab: SharedLab::new(),
            hold,
            installed: OnceCell::const_new(),
        }
    }

    /// The lab, with Belay in force.
    pub async fn lab(&self, describe: impl FnOnce() -> LabBuilder) -> Result<&Lab, Error> {
        let lab = self.lab.get(describe).await?;
        self.installed
            .get_or_try_init(|| async {
                let installed = Installed::chart(lab, &[]).await?;
                if self.hold == Hold::Admission {
                    policies_in_force(lab).await?;
                }
                let mut settings = settings(&installed, "stage").await?;
                // The lab's registry is on this machine.
                settings.reach = Reach::NetworkAndLoopback;
                settings.git = GitSettings {
                    cache_directory: lab.dir().join("git-cache"),
                    kustomize_program: lab.program(Program::Kustomize).await?,
                    helm_program: lab.program(Program::Helm).await?,
                    git_lfs_program: lab.program(Program::GitLfs).await?,
                    sops_program: lab.program(Program::Sops).await?,
                    ..GitSettings::default()
                };
                // The API servers of other labs are on this machine, too.
                settings.reach = Reach::NetworkAndLoopback;
                act(settings)?;
                Ok::<_, Error>(installed)
            })
            .await?;
        Ok(lab)
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

/// Settings of a controller that acts as the installed one.
pub async fn settings(installed: &Installed, identity: &str) -> Result<Settings, Error> {
    let broken = |error: kube::config::KubeconfigError| Error::Broken(error.to_string());
    let file = Kubeconfig::read_from(installed.kubeconfig()).map_err(broken)?;
    let kube = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(broken)?;
    Ok(Settings {
        prometheus_url: installed.prometheus_url().map(str::to_owned),
        lease: LeaseSettings {
            namespace: NAMESPACE.to_owned(),
            name: "belay".to_owned(),
            identity: identity.to_owned(),
        },
        // All that a lab serves is on this machine.
        reach: Reach::NetworkAndLoopback,
        ..Settings::new(kube)
    })
}

/// Runs a controller on a thread of its own until the process ends.
fn act(settings: Settings) -> Result<(), Error> {
    belay::telemetry::log::install(
        belay::args::LogFormat::Text,
        &std::env::var("BELAY_LOG").unwrap_or_else(|_| "error".to_owned()),
    );
    std::thread::Builder::new()
        .name("controller".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Runtime::new();
            let ended = runtime.map(|runtime| {
                runtime.block_on(async {
                    match runtime::start(settings).await {
                        Ok(mut running) => running.ended().await,
                        Err(error) => Err(error),
                    }
                })
            });
            tracing_line(&format!("the controller ended: {ended:?}"));
        })
        .map(drop)
        .map_err(Error::io("start a thread"))
}

fn tracing_line(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The policy that leads pods to their version's configuration: waits until a pod is led.
async fn leads_to_config(lab: &Lab, namespace: &str) -> Result<(), Error> {
    let api: Api<Pod> = Api::namespaced(lab.client()?, namespace);
    let probe = serde_json::from_value(json!({
        "metadata": {"name": "probe", "annotations": {STAMP_ANNOTATION: "c/probe=copy"}},
        "spec": {"containers": [{"name": "main", "image": "probe:1", "envFrom": [{"configMapRef": {"name": "probe"}}]}]},
    }))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait_for(
        "the configuration policy to be in force",
        IN_FORCE_WITHIN,
        || async {
            let pod = api.create(&dry_run, &probe).await;
            let pod = pod.map_err(|error| error.to_string())?;
            let spec = json!(pod.spec);
            let name = spec.pointer("/containers/0/envFrom/0/configMapRef/name");
            if name == Some(&json!("probe-copy")) {
                Ok(())
            } else {
                Err(format!("it reads {name:?}"))
            }
        },
    )
    .await?;
    Ok(())
}

/// A policy is in force a moment after its creation: waits until a probe is held.
pub async fn policies_in_force(lab: &Lab) -> Result<(), Error> {
    let namespace = lab.namespace("probe").await?;
    let client: Client = lab.client()?;
    let api: Api<Deployment> = Api::namespaced(client, &namespace);
    let probe = serde_json::from_value(json!({
        "metadata": {"name": "probe", "labels": {ROLLOUT_LABEL: "nobody"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "probe"}},
            "template": {"metadata": {"labels": {"app": "probe"}}, "spec": {"containers": [{"name": "main", "image": "probe:1"}]}},
        },
    }))?;
    api.create(&PostParams::default(), &probe).await?;
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"changed": "yes"}}}}});
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    wait_for(
        "the hold policy to be in force",
        IN_FORCE_WITHIN,
        || async {
            let changed = api
                .patch("probe", &dry_run, &Patch::Merge(&change))
                .await
                .map_err(|error| error.to_string())?;
            let paused = changed.spec.and_then(|spec| spec.paused);
            if paused == Some(true) {
                Ok(())
            } else {
                Err(format!("paused: {paused:?}"))
            }
        },
    )
    .await?;
    api.delete("probe", &kube::api::DeleteParams::default())
        .await?;
    leads_to_config(lab, &namespace).await?;
    acts_in_force(lab, &namespace).await
}

/// The policies on Actions know the new kind a moment after the rest.
async fn acts_in_force(lab: &Lab, namespace: &str) -> Result<(), Error> {
    let api: Api<Action> = Api::namespaced(lab.client()?, namespace);
    let probe = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"name": "probe"},
        "spec": {"target": {"kind": "Rollout", "name": "nobody"}, "verb": "Pause"},
    }))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait_for(
        "the policies on Actions to be in force",
        IN_FORCE_WITHIN,
        || async {
            let made = api
                .create(&dry_run, &probe)
                .await
                .map_err(|error| error.to_string())?;
            made.spec
                .actor
                .map(drop)
                .ok_or_else(|| "nobody is named".to_owned())
        },
    )
    .await?;
    Ok(())
}
