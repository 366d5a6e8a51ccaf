//! The start of a lab: programs, folder, certificates, processes, nodes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::{Background, Lab, fresh_folder};
use crate::access::{Access, Credential};
use crate::backend::POD_PORT;
use crate::components::{
    CONTROLLER_MANAGER_USER, GATEWAY_USER, KWOK_USER, PROMETHEUS_USER, SCHEDULER_USER, program_of,
};
use crate::git::GitHost;
use crate::keeper::Keeper;
use crate::layout::Layout;
use crate::load::LoadHandle;
use crate::pki::Pki;
use crate::programs::{self, Program};
use crate::progress::Progress;
use crate::service::Service;
use crate::settings::Settings;
use crate::{LabError, Part, plane, wait_for, wait_for_object};

/// The user of [`Lab::client`]; a member of `system:masters`.
pub(super) const ADMIN_USER: &str = "lab-admin";
/// The group that may do everything.
const MASTERS: &str = "system:masters";
/// How long nodes and the built-in controllers may take once the API server answers.
const SETTLE_WITHIN: Duration = Duration::from_mins(1);

impl Lab {
    pub(crate) async fn start_with(settings: Settings) -> Result<Self, LabError> {
        // Two providers could be in a test binary's dependencies; an error says that one is already chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if settings.parts.contains(&Part::Pods) {
            plane::required()?;
            if settings.parts.contains(&Part::Load) {
                return Err(LabError::Exclusive(Part::Pods, Part::Load));
            }
        }
        let programs = provide_programs(&settings).await?;
        let begun = Instant::now();
        let mut lab = Self::prepare(settings, programs).await?;
        lab.boot().await?;
        lab.started_in = begun.elapsed();
        lab.write_status()?;
        Ok(lab)
    }

    /// Everything that needs no process but the keeper.
    async fn prepare(
        settings: Settings,
        programs: BTreeMap<Program, PathBuf>,
    ) -> Result<Self, LabError> {
        let (ports, outside) = plane::claim_ports()?;
        let background = Background::new()?;
        if let Some(outside) = outside {
            outside.hand_on(background.handle())?;
        }
        let layout = Layout::create(&settings.folder.clone().map_or_else(fresh_folder, Ok)?)?;
        let keeper = Keeper::start(layout.root(), background.handle())?;
        if settings.keep_folder {
            keeper.keep_folder().await?;
        }
        let pki = Pki::create(&layout.pki())?;
        let access = Access {
            url: format!("https://{}", ports.address(Part::ApiServer)),
            ca_pem: pki.ca_pem(),
            ca_der: pki.ca_der(),
        };
        let admin = Credential::Certificate(pki.client(ADMIN_USER, Some(MASTERS))?);
        let git = GitHost::new(layout.git(), format!("http://{}", ports.address(Part::Git)));
        let lab = Self {
            git_service: Service::new("lab-git", ports.address(Part::Git)),
            load_service: Service::new("lab-load", ports.address(Part::Load)),
            pods_service: Service::new(
                "lab-pods",
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, POD_PORT)),
            ),
            load: if settings.parts.contains(&Part::Pods) {
                LoadHandle::of_servers()
            } else {
                LoadHandle::default()
            },
            started_in: Duration::ZERO,
            keeper,
            settings,
            layout,
            ports,
            pki,
            access,
            admin,
            programs,
            git,
            background,
        };
        lab.write_files()?;
        Ok(lab)
    }

    fn write_files(&self) -> Result<(), LabError> {
        self.access.write_kubeconfig(
            &self.layout.kubeconfig(ADMIN_USER),
            ADMIN_USER,
            &self.admin,
        )?;
        for (user, group) in [
            (CONTROLLER_MANAGER_USER, None),
            (SCHEDULER_USER, None),
            (KWOK_USER, Some(MASTERS)),
            (PROMETHEUS_USER, Some(MASTERS)),
            (GATEWAY_USER, Some(MASTERS)),
        ] {
            let credential = Credential::Certificate(self.pki.client(user, group)?);
            self.access
                .write_kubeconfig(&self.layout.kubeconfig(user), user, &credential)?;
        }
        for (program, path) in &self.programs {
            let link = self.layout.bin().join(program.name());
            std::os::unix::fs::symlink(path, &link)
                .map_err(LabError::io(format!("link {}", link.display())))?;
        }
        Ok(())
    }

    /// Starts the parts in their order; those that do not need each other start together.
    async fn boot(&self) -> Result<(), LabError> {
        self.bring_up(Part::Etcd).await?;
        self.bring_up(Part::ApiServer).await?;
        let others = [Part::ControllerManager, Part::Scheduler, Part::Kwok]
            .into_iter()
            .chain(Part::ON_REQUEST);
        let others = others
            .filter(|part| self.has(*part))
            .map(|part| self.bring_up(part));
        futures::future::try_join(futures::future::try_join_all(others), self.create_nodes())
            .await?;
        tokio::select! {
            settled = self.settle() => settled,
            ended = self.any_ended() => Err(ended),
        }
    }

    async fn create_nodes(&self) -> Result<(), LabError> {
        let nodes = Api::<Node>::all(self.client()?);
        for number in 1..=self.settings.nodes {
            let name = format!("node-{number}");
            let labels = BTreeMap::from([
                ("kubernetes.io/hostname".into(), name.clone()),
                ("kubernetes.io/os".into(), "linux".into()),
            ]);
            let metadata = ObjectMeta {
                name: Some(name),
                labels: Some(labels),
                ..ObjectMeta::default()
            };
            nodes
                .create(
                    &PostParams::default(),
                    &Node {
                        metadata,
                        ..Node::default()
                    },
                )
                .await?;
        }
        Ok(())
    }

    /// Waits until nodes are ready and the built-in controllers act.
    async fn settle(&self) -> Result<(), LabError> {
        let nodes = Api::<Node>::all(self.client()?);
        for number in 1..=self.settings.nodes {
            wait_for_object(
                &nodes,
                &format!("node-{number}"),
                SETTLE_WITHIN,
                node_takes_pods,
            )
            .await?;
        }
        self.service_account_exists("default").await
    }
}

fn node_takes_pods(node: Option<&Node>) -> Result<(), String> {
    let node = node.ok_or("it does not exist")?;
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_ref())
        .map_or(0, Vec::len);
    if ready && taints == 0 {
        Ok(())
    } else {
        Err(format!("ready: {ready}, taints: {taints}"))
    }
}

/// The programs of the parts, and kubectl, which every person at a lab wants.
async fn provide_programs(settings: &Settings) -> Result<BTreeMap<Program, PathBuf>, LabError> {
    let mut wanted: Vec<Program> = settings
        .parts
        .iter()
        .filter_map(|part| program_of(*part))
        .collect();
    wanted.push(Program::Kubectl);
    Ok(programs::provide(&wanted, &Progress::stderr())
        .await?
        .into_iter()
        .collect())
}

/// How readiness of a part is found out.
pub(super) async fn answers(url: &str, within: Duration) -> Result<(), LabError> {
    let client = client()?;
    wait_for(&format!("an answer of {url}"), within, || async {
        let answer = client
            .get(url)
            .timeout(Duration::from_secs(2))
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(answer.status().to_string())
        }
    })
    .await
}

/// An HTTP client for parts of a lab.
pub(super) fn client() -> Result<reqwest::Client, LabError> {
    // A proxy of this machine has no business with loopback.
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(|error| LabError::io("make an HTTP client")(std::io::Error::other(error)))
}
