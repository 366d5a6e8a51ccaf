//! What has to be in the cluster before the gateway starts, and when it is ready.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use tokio::process::Command;

use super::Lab;
use crate::programs::{Manifests, Program, manifests};
use crate::{GATEWAY_NAME, GATEWAY_NAMESPACE, LabError, Part, gateway, wait_for};

/// How long the API server and the gateway may take to know new kinds.
const KNOWN_WITHIN: Duration = Duration::from_mins(2);

impl Lab {
    /// The gateway's address. Routes attach to the Gateway [`GATEWAY_NAME`] in [`GATEWAY_NAMESPACE`].
    pub fn gateway_url(&self) -> Result<String, LabError> {
        self.url_of(Part::Gateway)
    }

    /// Creates or changes the objects of a file, as `kubectl apply --server-side` does.
    pub async fn apply_file(&self, file: &Path) -> Result<(), LabError> {
        let output = Command::new(self.program(Program::Kubectl).await?)
            .args(["apply", "--server-side", "--filename"])
            .arg(file)
            .env("KUBECONFIG", self.kubeconfig_path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(LabError::io("run kubectl"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(LabError::Refused(said.trim().to_owned()))
    }

    /// Creates or changes these objects, YAML or JSON, as `kubectl apply --server-side` does.
    pub async fn apply(&self, manifests: &str) -> Result<(), LabError> {
        let file = tempfile::NamedTempFile::new().map_err(LabError::io("make a file"))?;
        std::fs::write(file.path(), manifests).map_err(LabError::io("write a manifest"))?;
        self.apply_file(file.path()).await
    }

    /// Makes the definitions, and the Gateway.
    pub(super) async fn prepare_gateway(&self) -> Result<(), LabError> {
        for wanted in [Manifests::GatewayApi, Manifests::Traefik] {
            self.apply_file(&manifests(wanted).await?).await?;
        }
        let objects = gateway::objects(self.ports.of(Part::Gateway));
        let file = self.layout.write("gateway.yaml", &objects)?;
        // New kinds are served a moment after their definitions are taken.
        wait_for("the kinds of Gateway API", KNOWN_WITHIN, || async {
            let applied = self.apply_file(&file).await;
            applied.map_err(|error| error.to_string())
        })
        .await
    }

    /// Waits until the gateway says that its Gateway works.
    pub(super) async fn gateway_ready(&self) -> Result<(), LabError> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
        let resource = ApiResource::from_gvk(&kind);
        let gateways: Api<DynamicObject> =
            Api::namespaced_with(self.client()?, GATEWAY_NAMESPACE, &resource);
        wait_for("the gateway to be programmed", KNOWN_WITHIN, || async {
            let gateway = gateways.get(GATEWAY_NAME).await;
            let gateway = gateway.map_err(|error| error.to_string())?;
            programmed(&gateway)
        })
        .await
    }
}

fn programmed(gateway: &DynamicObject) -> Result<(), String> {
    let conditions = gateway.data.pointer("/status/conditions");
    let conditions = conditions.and_then(|value| value.as_array());
    let programmed = conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Programmed"
            && condition["status"] == "True"
            && condition["observedGeneration"].as_i64() == gateway.metadata.generation
    });
    programmed
        .then_some(())
        .ok_or_else(|| format!("{:?}", gateway.data.get("status")))
}
