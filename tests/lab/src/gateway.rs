//! The gateway: Traefik, as its project builds it, with its providers of Gateway API and of its own resources.
//!
//! It reads the lab's API server like any user's gateway: routes, Services and their endpoints. One Gateway is made for it, to which
//! routes of all namespaces may attach. Left out: TLS, and other gateways.

use std::net::SocketAddr;

/// Namespace of the lab's Gateway.
pub const GATEWAY_NAMESPACE: &str = "lab-gateway";
/// Name of the lab's Gateway: the `parentRefs` of a route.
pub const GATEWAY_NAME: &str = "lab";

/// Traefik's name for where it listens; an `IngressRoute` names it.
const ENTRY_POINT: &str = "web";

/// The arguments of the process.
pub(crate) fn arguments(address: SocketAddr, admin_port: u16) -> Vec<String> {
    vec![
        "--global.checknewversion=false".into(),
        "--global.sendanonymoususage=false".into(),
        "--log.level=INFO".into(),
        "--log.nocolor=true".into(),
        format!("--entrypoints.{ENTRY_POINT}.address={address}"),
        format!("--entrypoints.admin.address=127.0.0.1:{admin_port}"),
        "--ping.entrypoint=admin".into(),
        "--metrics.prometheus.entrypoint=admin".into(),
        "--metrics.prometheus.addserviceslabels=true".into(),
        "--metrics.prometheus.addrouterslabels=true".into(),
        "--providers.kubernetesgateway=true".into(),
        // Without an address it does not call its Gateway ready.
        format!(
            "--providers.kubernetesgateway.statusaddress.ip={}",
            address.ip()
        ),
        "--providers.kubernetescrd=true".into(),
    ]
}

/// The Gateway and what it needs. Its port must be the one on which the process listens.
pub(crate) fn objects(port: u16) -> String {
    format!(
        "\
apiVersion: v1
kind: Namespace
metadata: {{name: {GATEWAY_NAMESPACE}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: traefik}}
spec: {{controllerName: traefik.io/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {GATEWAY_NAME}, namespace: {GATEWAY_NAMESPACE}}}
spec:
  gatewayClassName: traefik
  listeners:
  - name: http
    protocol: HTTP
    port: {port}
    allowedRoutes: {{namespaces: {{from: All}}}}
"
    )
}
