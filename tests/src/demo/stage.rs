//! The stage of the demo: the lab with Belay on it, the shop's repository, and what the story asks of them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use belay_api::{Release, Rollout};
use belay_engine::{
    release::status::{Phase as ReleasePhase, ReleaseStatus},
    rollout::{RolloutStatus, status::Phase},
};
use belay_lab::{GitRepo, Lab, Part, Program, wait_for_object};
use kube::Api;
use serde_json::json;

use super::{
    callers::{Callers, Requests},
    observer::Observer,
    report::Report,
};
use crate::{
    Error,
    installed::{Controller, Installed, controller_program, run_program},
    plane::Shop,
};

const WITHIN: Duration = Duration::from_mins(3);
const NAME: &str = "checkout";
const DEPLOYMENT: &str = "deploy/deployment.yaml";
const FILES: [(&str, &str); 3] = [
    ("deploy/service.yaml", include_str!("shop/service.yaml")),
    ("deploy/config.yaml", include_str!("shop/config.yaml")),
    ("deploy/gates.yaml", include_str!("shop/gates.yaml")),
];

/// The stage, with everything on it.
pub(super) struct Stage {
    pub(super) lab: Lab,
    pub(super) controller: Controller,
    pub(super) observer: Observer,
    requests: Requests,
    report: Arc<Report>,
    namespace: String,
    repo: GitRepo,
}

impl Stage {
    /// Boots the control plane and installs Belay on it.
    pub(super) async fn set(report: &Arc<Report>, requests: Requests) -> Result<Self, Error> {
        report.chapter("A real control plane");
        let load = match requests {
            Requests::Real => Part::Gateway,
            Requests::Played(_) => Part::Load,
        };
        let lab = Lab::builder()
            .nodes(3)
            .with(Part::Prometheus)
            .with(Part::Git)
            .with(load)
            .start()
            .await?;
        report.say(&format!(
            "etcd, kube-apiserver, controller-manager, scheduler and 3 nodes are up at {}",
            lab.api_url()
        ));
        report.say(&format!(
            "a real Prometheus at {}, a real Git server at {}",
            lab.prometheus_url()?,
            lab.git_url()?
        ));
        report.say(&match &requests {
            Requests::Real => format!(
                "a real gateway, Traefik, at {}, before pods that answer",
                lab.gateway_url()?
            ),
            Requests::Played(why) => {
                format!("no gateway, and requests are only played, by the pods' counters: {why}")
            }
        });
        report.chapter("Belay, from its own chart");
        let program = controller_program(false).await?;
        let installed = Installed::chart(&lab, &[]).await?;
        let controller = installed.start(&program, "demo").await?;
        controller.acting().await?;
        report.say("installed by helm; the controller acts with the token of the chart's service account, and nothing more");
        let namespace = lab.namespace("shop").await?;
        let repo = lab.create_repo("shop").await?;
        let observer = Observer::start(&lab.client()?, &namespace, NAME, Arc::clone(report));
        Ok(Self {
            lab,
            controller,
            observer,
            requests,
            report: Arc::clone(report),
            namespace,
            repo,
        })
    }

    /// Commits the first version, gives the tenant its account and creates the Release.
    pub(super) async fn open_shop(&self, tag: &str) -> Result<(), Error> {
        self.apply(include_str!("shop/account.yaml")).await?;
        let deployment = deployment(tag);
        let route = include_str!("shop/route.yaml").replace("@HOST@", &self.shop()?.host());
        let mut files = FILES.to_vec();
        files.push((DEPLOYMENT, &deployment));
        match self.requests {
            Requests::Real => files.extend([
                (
                    "deploy/rollout.yaml",
                    include_str!("shop/rollout-routed.yaml"),
                ),
                ("deploy/route.yaml", &route),
            ]),
            Requests::Played(_) => {
                files.push(("deploy/rollout.yaml", include_str!("shop/rollout.yaml")));
            }
        }
        let commit = self.repo.commit(&files, "Open the shop").await?;
        self.report.say(&format!(
            "commit {} on main: checkout:{tag}, its Rollout and its gate",
            short(&commit)
        ));
        let release = json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop", "namespace": self.namespace},
            "spec": {
                "source": {"git": {"url": self.repo.url(), "ref": {"branch": "main"}, "path": "deploy", "interval": "2s"}},
                "serviceAccountName": "shop-deployer",
            },
        });
        self.apply(&release.to_string()).await
    }

    /// Lets the customers in, if there are any.
    pub(super) async fn callers(&self) -> Result<Option<Callers>, Error> {
        match self.requests {
            Requests::Real => Callers::begin(&self.shop()?, &self.report).await.map(Some),
            Requests::Played(_) => Ok(None),
        }
    }

    fn shop(&self) -> Result<Shop<'_>, Error> {
        Ok(Shop {
            lab: &self.lab,
            client: self.lab.client()?,
            namespace: self.namespace.clone(),
        })
    }

    /// Merges another version of the workload to Git; nothing else is told to anybody.
    pub(super) async fn merge(&self, tag: &str, message: &str) -> Result<String, Error> {
        let commit = self
            .repo
            .commit(&[(DEPLOYMENT, &deployment(tag))], message)
            .await?;
        self.report.say(&format!(
            "commit {} on main: {message} (checkout:{tag})",
            short(&commit)
        ));
        Ok(commit)
    }

    /// Waits until the Release is in this phase and was asked for this revision.
    pub(super) async fn release(
        &self,
        phase: ReleasePhase,
        commit: &str,
    ) -> Result<ReleaseStatus, Error> {
        let releases = Api::<Release>::namespaced(self.lab.client()?, &self.namespace);
        let what = |release: Option<&Release>| {
            let status = release
                .and_then(|release| release.status.as_ref())
                .ok_or("it has no status")?;
            let asked = status
                .asked
                .as_ref()
                .map(|asked| asked.revision.as_str())
                .unwrap_or_default();
            let there = status.phase == phase && asked.contains(commit);
            if there {
                Ok(status.clone())
            } else {
                Err(format!(
                    "{:?} at {asked:?}, waiting for {:?}",
                    status.phase, status.waiting_for
                ))
            }
        };
        Ok(wait_for_object(&releases, "shop", WITHIN, what).await?)
    }

    /// Waits until the Rollout is in this phase with a candidate of this tag.
    pub(super) async fn candidate(&self, phase: Phase, tag: &str) -> Result<RolloutStatus, Error> {
        self.rollout(|status| {
            let candidate = status
                .candidate
                .as_ref()
                .is_some_and(|candidate| candidate.version.version.contains(tag));
            status.phase == phase && candidate
        })
        .await
    }

    /// Waits until the Rollout is healthy on this tag.
    pub(super) async fn healthy(&self, tag: &str) -> Result<RolloutStatus, Error> {
        self.rollout(|status| {
            status.phase == Phase::Healthy
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.version.contains(tag))
        })
        .await
    }

    /// Waits until the Rollout's status is as wanted.
    pub(super) async fn rollout(
        &self,
        wanted: impl Fn(&RolloutStatus) -> bool,
    ) -> Result<RolloutStatus, Error> {
        let rollouts = Api::<Rollout>::namespaced(self.lab.client()?, &self.namespace);
        let what = |rollout: Option<&Rollout>| {
            let status = rollout
                .and_then(|rollout| rollout.status.as_ref())
                .ok_or("it has no status")?;
            if wanted(status) {
                Ok(status.clone())
            } else {
                Err(format!(
                    "{:?}, waiting for {:?}",
                    status.phase, status.waiting_for
                ))
            }
        };
        Ok(wait_for_object(&rollouts, NAME, WITHIN, what).await?)
    }

    /// UIDs of the living pods of a version.
    pub(super) fn pods(&self, tag: &str) -> BTreeSet<String> {
        self.observer.pods(&image(tag))
    }

    /// What an SRE sees: `kubectl get` of the Rollout and the Release.
    pub(super) async fn show(&self) -> Result<(), Error> {
        let mut command = self.lab.command(Program::Kubectl).await?;
        command.args([
            "get",
            "rollouts.belay.dev,releases.belay.dev",
            "--namespace",
            &self.namespace,
        ]);
        for line in run_program("kubectl get", command).await?.lines() {
            self.report.quote(line);
        }
        Ok(())
    }

    async fn apply(&self, manifest: &str) -> Result<(), Error> {
        let file = tempfile::NamedTempFile::new().map_err(Error::io("make a file"))?;
        std::fs::write(file.path(), manifest).map_err(Error::io("write a manifest"))?;
        let mut command = self.lab.command(Program::Kubectl).await?;
        command
            .args(["apply", "--namespace", &self.namespace, "--filename"])
            .arg(file.path());
        run_program("kubectl apply", command).await.map(|_| ())
    }
}

/// The image of a version.
pub(super) fn image(tag: &str) -> String {
    format!("shop/checkout:{tag}")
}

fn deployment(tag: &str) -> String {
    include_str!("shop/deployment.yaml").replace("@TAG@", tag)
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}
