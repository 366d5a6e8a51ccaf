//! Definitions of routers' kinds, as their projects publish them, in a lab.

use belay::traffic::resource;
use belay_engine::traffic::RouterKind;
use belay_lab::{Lab, Manifests, Program, manifests, wait_for};
use kube::{
    Api,
    api::{DynamicObject, ListParams},
};

use crate::{Error, scene::SOON};

/// All kinds of routes.
pub const KINDS: [RouterKind; 4] = [
    RouterKind::HttpRoute,
    RouterKind::GrpcRoute,
    RouterKind::VirtualService,
    RouterKind::TraefikService,
];

/// Where their definitions are.
pub const DEFINITIONS: [Manifests; 3] =
    [Manifests::GatewayApi, Manifests::Istio, Manifests::Traefik];

/// Installs the definitions, and returns once all of their routes are served.
pub async fn install(lab: &Lab, wanted: &[Manifests]) -> Result<(), Error> {
    for one in wanted {
        define(lab, *one).await?;
    }
    let defined = |kind: &RouterKind| wanted.contains(&definitions_of(*kind));
    for kind in KINDS.into_iter().filter(defined) {
        let api: Api<DynamicObject> = Api::all_with(lab.client()?, &resource(kind));
        let what = format!("{} to be served", kind.as_str());
        wait_for(&what, SOON, || async {
            let list = api.list(&ListParams::default()).await;
            list.map(drop).map_err(|error| error.to_string())
        })
        .await?;
    }
    Ok(())
}

/// Installs definitions, of routers or of others. Their kinds are served a moment after.
pub async fn define(lab: &Lab, wanted: Manifests) -> Result<(), Error> {
    let file = manifests(wanted).await?;
    let mut kubectl = lab.command(Program::Kubectl).await?;
    let output = kubectl
        .args(["apply", "--server-side", "-f"])
        .arg(file)
        .output()
        .await
        .map_err(Error::io("run kubectl"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        program: "kubectl".to_owned(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Where the definition of a kind is.
const fn definitions_of(kind: RouterKind) -> Manifests {
    match kind {
        RouterKind::HttpRoute | RouterKind::GrpcRoute => Manifests::GatewayApi,
        RouterKind::VirtualService => Manifests::Istio,
        RouterKind::TraefikService => Manifests::Traefik,
    }
}
