//! How each template is used, and whose series it is tried on.

use crate::vendors::{self, Play};

/// One use of a template.
pub(crate) struct Recipe {
    /// What it is called in messages.
    pub(crate) title: String,
    /// Name of the template.
    pub(crate) template: &'static str,
    /// Arguments; `NAMESPACE` stands for the trial's namespace.
    pub(crate) args: Vec<(&'static str, &'static str)>,
    /// Arguments from fields of the Rollout.
    pub(crate) fields: Vec<(&'static str, &'static str)>,
    /// What the pods and proxies tell.
    pub(crate) play: Play,
}

const POD: [(&str, &str); 2] = [("namespace", "NAMESPACE"), ("workload", "web")];
const HASH: (&str, &str) = ("hash", "/status/candidate/hash");
const WINDOW: (&str, &str) = ("window", "8s");

/// All of them.
pub(crate) fn recipes() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    let mut add =
        |title: &str, template, args: &[(&'static str, &'static str)], fields: &[_], play| {
            recipes.push(Recipe {
                title: format!("{template} on {title}"),
                template,
                args: args.to_vec(),
                fields: fields.to_vec(),
                play,
            });
        };
    let pods = POD.to_vec();
    let timed = [POD[0], POD[1], WINDOW];
    for (title, play) in vendors::APPS {
        add(title, "request-success-rate", &pods, &[], play);
        add(
            title,
            "request-success-rate-threshold",
            &timed,
            &[HASH],
            play,
        );
    }
    let old = [
        POD[0],
        POD[1],
        ("podLabel", "kubernetes_pod_name"),
        ("namespaceLabel", "kubernetes_namespace"),
    ];
    for (title, args) in [
        ("labels of another scrape configuration, named", &old[..]),
        ("labels of another scrape configuration, found", &pods),
    ] {
        add(
            title,
            "request-success-rate",
            args,
            &[],
            vendors::OLD_LABELS,
        );
    }
    for (title, play) in vendors::HISTOGRAMS {
        add(title, "request-duration", &pods, &[], play);
        add(title, "request-duration-threshold", &timed, &[HASH], play);
    }
    add(
        "kube-state-metrics",
        "pod-restarts",
        &pods,
        &[HASH],
        vendors::RESTARTS,
    );
    add("cAdvisor", "saturation", &pods, &[], vendors::THROTTLING);
    add(
        "cAdvisor",
        "saturation-threshold",
        &pods,
        &[HASH],
        vendors::MEMORY,
    );
    for (mesh, errors, latency) in [
        (
            [
                "istio-request-success-rate",
                "istio-request-success-rate-threshold",
                "istio-request-duration",
                "istio-request-duration-threshold",
            ],
            vendors::ISTIO,
            vendors::ISTIO_LATENCY,
        ),
        (
            [
                "linkerd-request-success-rate",
                "linkerd-request-success-rate-threshold",
                "linkerd-request-duration",
                "linkerd-request-duration-threshold",
            ],
            vendors::LINKERD,
            vendors::LINKERD_LATENCY,
        ),
    ] {
        add("a mesh", mesh[0], &pods, &[], errors);
        add("a mesh", mesh[1], &timed, &[HASH], errors);
        add("a mesh", mesh[2], &pods, &[], latency);
        add("a mesh", mesh[3], &timed, &[HASH], latency);
    }
    for (gateway, both, errors, latency) in GATEWAYS {
        let canary: Vec<_> = both
            .iter()
            .filter(|(name, _)| !name.starts_with("stable"))
            .copied()
            .collect();
        let timed: Vec<_> = canary.iter().copied().chain([WINDOW]).collect();
        add("a gateway", gateway[0], both, &[], *errors);
        add("a gateway", gateway[1], &timed, &[], *errors);
        add("a gateway", gateway[2], &timed, &[], *latency);
    }
    recipes
}

type Gateway = (
    [&'static str; 3],
    &'static [(&'static str, &'static str)],
    Play,
    Play,
);

const GATEWAYS: &[Gateway] = &[
    (
        [
            "traefik-request-success-rate",
            "traefik-request-success-rate-threshold",
            "traefik-request-duration-threshold",
        ],
        &[
            ("canaryService", "NAMESPACE-web-canary-.*"),
            ("stableService", "NAMESPACE-web-stable-.*"),
            ("serviceLabel", "exported_service"),
        ],
        vendors::TRAEFIK,
        vendors::TRAEFIK_LATENCY,
    ),
    (
        [
            "envoy-gateway-request-success-rate",
            "envoy-gateway-request-success-rate-threshold",
            "envoy-gateway-request-duration-threshold",
        ],
        &[
            ("canaryCluster", "httproute/NAMESPACE/web/rule/0/backend/1"),
            ("stableCluster", "httproute/NAMESPACE/web/rule/0/backend/0"),
        ],
        vendors::ENVOY_GATEWAY,
        vendors::ENVOY_GATEWAY_LATENCY,
    ),
    (
        [
            "contour-request-success-rate",
            "contour-request-success-rate-threshold",
            "contour-request-duration-threshold",
        ],
        &[
            ("namespace", "NAMESPACE"),
            ("canaryService", "web-canary"),
            ("stableService", "web-stable"),
        ],
        vendors::CONTOUR,
        vendors::CONTOUR_LATENCY,
    ),
    (
        [
            "ingress-nginx-request-success-rate",
            "ingress-nginx-request-success-rate-threshold",
            "ingress-nginx-request-duration-threshold",
        ],
        &[("namespace", "NAMESPACE"), ("ingress", "web")],
        vendors::INGRESS_NGINX,
        vendors::INGRESS_NGINX_LATENCY,
    ),
];
