//! Definitions of the routers' kinds.

use belay::traffic::resource;
use belay_engine::traffic::RouterKind;
use belay_lab::{Lab, Manifests, Program, manifests, wait_for};
use belay_tests::scene::SOON;
use kube::{
    Api,
    api::{DynamicObject, ListParams},
};

pub const KINDS: [RouterKind; 4] = [
    RouterKind::HttpRoute,
    RouterKind::GrpcRoute,
    RouterKind::VirtualService,
    RouterKind::TraefikService,
];

/// Installs them, and returns once all of their routes are served.
pub async fn install(lab: &Lab, wanted: &[Manifests]) {
    for one in wanted {
        let file = manifests(*one).await.unwrap();
        let mut kubectl = lab.command(Program::Kubectl).await.unwrap();
        let output = kubectl
            .args(["apply", "--server-side", "-f"])
            .arg(file)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", one.name());
    }
    for kind in KINDS {
        let needed = match kind {
            RouterKind::HttpRoute | RouterKind::GrpcRoute => Manifests::GatewayApi,
            RouterKind::VirtualService => Manifests::Istio,
            RouterKind::TraefikService => Manifests::Traefik,
        };
        if !wanted.contains(&needed) {
            continue;
        }
        let api: Api<DynamicObject> = Api::all_with(lab.client().unwrap(), &resource(kind));
        wait_for(&format!("{} to be served", kind.as_str()), SOON, || async {
            let list = api.list(&ListParams::default()).await;
            list.map(drop).map_err(|error| error.to_string())
        })
        .await
        .unwrap();
    }
}
