//! Series as each vendor names and labels them. What they count comes from the exporter.

use std::fmt::Write as _;

/// What one pod, or all pods of one side together, counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Requests that were answered well.
    pub(crate) good: u64,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// Of all, those that took between one and two and a half seconds; the others took less than a tenth.
    pub(crate) slow: u64,
    /// Restarts of the container.
    pub(crate) restarts: u64,
    /// Whether the version is bad.
    pub(crate) is_bad: bool,
}

/// Who tells series.
#[derive(Clone, Copy)]
pub(crate) enum Play {
    /// Each pod of its own, or a sidecar in it: (out, namespace, pod, what it counted).
    Pods(fn(&mut String, &str, &str, Counted)),
    /// A proxy of both sides: (out, namespace, whether it is the canary's side, what was counted).
    Proxy(fn(&mut String, &str, bool, Counted)),
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    // Writing to a text does not fail.
    let _ = writeln!(out, "{name}{{{labels}}} {value}");
}

/// Requests by status under `label`.
fn by_status(out: &mut String, name: &str, labels: &str, label: &str, counted: Counted) {
    sample(
        out,
        name,
        &format!("{labels},{label}=\"200\""),
        counted.good,
    );
    // A series of failures appears with the first of them.
    if counted.failed > 0 {
        sample(
            out,
            name,
            &format!("{labels},{label}=\"503\""),
            counted.failed,
        );
    }
}

/// A histogram with bounds in seconds times `unit`.
fn histogram(out: &mut String, name: &str, labels: &str, unit: f64, counted: Counted) {
    let all = counted.good + counted.failed;
    for (bound, within) in [
        (0.1, all - counted.slow),
        (1.0, all - counted.slow),
        (2.5, all),
        (10.0, all),
    ] {
        sample(
            out,
            &format!("{name}_bucket"),
            &format!("{labels},le=\"{}\"", bound * unit),
            within,
        );
    }
    sample(
        out,
        &format!("{name}_bucket"),
        &format!("{labels},le=\"+Inf\""),
        all,
    );
    sample(out, &format!("{name}_count"), labels, all);
}

fn of_pod(namespace: &str, pod: &str) -> String {
    format!("namespace=\"{namespace}\",pod=\"{pod}\"")
}

/// Applications, by who instruments them.
pub(crate) const APPS: [(&str, Play); 5] = [
    (
        "promhttp",
        Play::Pods(|out, namespace, pod, counted| {
            by_status(
                out,
                "http_requests_total",
                &of_pod(namespace, pod),
                "code",
                counted,
            );
        }),
    ),
    (
        "an instrumented Python service",
        Play::Pods(|out, namespace, pod, counted| {
            by_status(
                out,
                "http_requests_total",
                &of_pod(namespace, pod),
                "status",
                counted,
            );
        }),
    ),
    (
        "Micrometer",
        Play::Pods(|out, namespace, pod, counted| {
            by_status(
                out,
                "http_server_requests_seconds_count",
                &of_pod(namespace, pod),
                "status",
                counted,
            );
        }),
    ),
    (
        "OpenTelemetry",
        Play::Pods(|out, namespace, pod, counted| {
            by_status(
                out,
                "http_server_request_duration_seconds_count",
                &of_pod(namespace, pod),
                "http_response_status_code",
                counted,
            );
        }),
    ),
    (
        "gRPC",
        Play::Pods(|out, namespace, pod, counted| {
            let labels = of_pod(namespace, pod);
            sample(
                out,
                "grpc_server_handled_total",
                &format!("{labels},grpc_code=\"OK\""),
                counted.good / 2,
            );
            sample(
                out,
                "grpc_server_handled_total",
                &format!("{labels},grpc_code=\"NotFound\""),
                counted.good / 2,
            );
            sample(
                out,
                "grpc_server_handled_total",
                &format!("{labels},grpc_code=\"Internal\""),
                counted.failed,
            );
        }),
    ),
];

/// Applications' histograms.
pub(crate) const HISTOGRAMS: [(&str, Play); 2] = [
    (
        "promhttp",
        Play::Pods(|out, namespace, pod, counted| {
            histogram(
                out,
                "http_request_duration_seconds",
                &of_pod(namespace, pod),
                1.0,
                counted,
            );
        }),
    ),
    (
        "gRPC",
        Play::Pods(|out, namespace, pod, counted| {
            histogram(
                out,
                "grpc_server_handling_seconds",
                &of_pod(namespace, pod),
                1.0,
                counted,
            );
        }),
    ),
];

/// A scrape configuration that names pod and namespace in the old way.
pub(crate) const OLD_LABELS: Play = Play::Pods(|out, namespace, pod, counted| {
    let labels = format!("kubernetes_namespace=\"{namespace}\",kubernetes_pod_name=\"{pod}\"");
    by_status(out, "http_requests_total", &labels, "code", counted);
});

/// kube-state-metrics.
pub(crate) const RESTARTS: Play = Play::Pods(|out, namespace, pod, counted| {
    let labels = format!("{},container=\"main\"", of_pod(namespace, pod));
    sample(
        out,
        "kube_pod_container_status_restarts_total",
        &labels,
        counted.restarts,
    );
});

/// cAdvisor's CPU periods: each request stands for one.
pub(crate) const THROTTLING: Play = Play::Pods(|out, namespace, pod, counted| {
    let labels = format!("{},container=\"main\"", of_pod(namespace, pod));
    sample(
        out,
        "container_cpu_cfs_periods_total",
        &labels,
        counted.good + counted.failed,
    );
    sample(
        out,
        "container_cpu_cfs_throttled_periods_total",
        &labels,
        counted.failed,
    );
});

/// cAdvisor's memory beside the limit of kube-state-metrics.
pub(crate) const MEMORY: Play = Play::Pods(|out, namespace, pod, counted| {
    let labels = format!("{},container=\"main\"", of_pod(namespace, pod));
    let used = if counted.is_bad {
        970_000_000
    } else {
        500_000_000
    };
    sample(
        out,
        "container_memory_working_set_bytes",
        &format!("{labels},id=\"/kubepods/x\""),
        used,
    );
    sample(
        out,
        "kube_pod_container_resource_limits",
        &format!("{labels},resource=\"memory\",unit=\"byte\""),
        1_000_000_000,
    );
});

fn of_istio(namespace: &str, pod: &str) -> String {
    format!(
        "reporter=\"destination\",destination_workload_namespace=\"{namespace}\",destination_workload=\"web\",pod=\"{pod}\",namespace=\"{namespace}\""
    )
}

/// Istio's sidecars.
pub(crate) const ISTIO: Play = Play::Pods(|out, namespace, pod, counted| {
    by_status(
        out,
        "istio_requests_total",
        &of_istio(namespace, pod),
        "response_code",
        counted,
    );
});

/// Istio's histogram, in milliseconds.
pub(crate) const ISTIO_LATENCY: Play = Play::Pods(|out, namespace, pod, counted| {
    histogram(
        out,
        "istio_request_duration_milliseconds",
        &of_istio(namespace, pod),
        1000.0,
        counted,
    );
});

/// Linkerd's proxies.
pub(crate) const LINKERD: Play = Play::Pods(|out, namespace, pod, counted| {
    let labels = format!("direction=\"inbound\",{}", of_pod(namespace, pod));
    sample(
        out,
        "response_total",
        &format!("{labels},classification=\"success\",status_code=\"200\""),
        counted.good,
    );
    sample(
        out,
        "response_total",
        &format!("{labels},classification=\"failure\",status_code=\"500\""),
        counted.failed,
    );
});

/// Linkerd's histogram, in milliseconds.
pub(crate) const LINKERD_LATENCY: Play = Play::Pods(|out, namespace, pod, counted| {
    let labels = format!("direction=\"inbound\",{}", of_pod(namespace, pod));
    histogram(out, "response_latency_ms", &labels, 1000.0, counted);
});

fn of_traefik(namespace: &str, is_canary: bool) -> String {
    let side = if is_canary { "canary" } else { "stable" };
    format!(
        "pod=\"traefik-0\",service=\"traefik\",exported_service=\"{namespace}-web-{side}-80@kubernetescrd\""
    )
}

/// Traefik.
pub(crate) const TRAEFIK: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    by_status(
        out,
        "traefik_service_requests_total",
        &of_traefik(namespace, is_canary),
        "code",
        counted,
    );
});

/// Traefik's histogram.
pub(crate) const TRAEFIK_LATENCY: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    histogram(
        out,
        "traefik_service_request_duration_seconds",
        &of_traefik(namespace, is_canary),
        1.0,
        counted,
    );
});

fn of_envoy_gateway(namespace: &str, is_canary: bool) -> String {
    let backend = u8::from(is_canary);
    format!(
        "pod=\"envoy-0\",envoy_cluster_name=\"httproute/{namespace}/web/rule/0/backend/{backend}\""
    )
}

/// Envoy Gateway.
pub(crate) const ENVOY_GATEWAY: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    by_status(
        out,
        "envoy_cluster_upstream_rq",
        &of_envoy_gateway(namespace, is_canary),
        "envoy_response_code",
        counted,
    );
});

/// Envoy Gateway's histogram, in milliseconds.
pub(crate) const ENVOY_GATEWAY_LATENCY: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    histogram(
        out,
        "envoy_cluster_upstream_rq_time",
        &of_envoy_gateway(namespace, is_canary),
        1000.0,
        counted,
    );
});

fn of_contour(namespace: &str, is_canary: bool) -> String {
    let side = if is_canary { "canary" } else { "stable" };
    format!("pod=\"envoy-0\",envoy_cluster_name=\"{namespace}_web-{side}_80\"")
}

/// Contour.
pub(crate) const CONTOUR: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    by_status(
        out,
        "envoy_cluster_upstream_rq",
        &of_contour(namespace, is_canary),
        "envoy_response_code",
        counted,
    );
});

/// Contour's histogram, in milliseconds.
pub(crate) const CONTOUR_LATENCY: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    histogram(
        out,
        "envoy_cluster_upstream_rq_time",
        &of_contour(namespace, is_canary),
        1000.0,
        counted,
    );
});

fn of_ingress_nginx(namespace: &str, is_canary: bool) -> String {
    let canary = if is_canary {
        format!("{namespace}-web-canary-80")
    } else {
        String::new()
    };
    format!(
        "pod=\"ingress-nginx-0\",namespace=\"ingress-nginx\",exported_namespace=\"{namespace}\",ingress=\"web\",canary=\"{canary}\""
    )
}

/// ingress-nginx.
pub(crate) const INGRESS_NGINX: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    by_status(
        out,
        "nginx_ingress_controller_requests",
        &of_ingress_nginx(namespace, is_canary),
        "status",
        counted,
    );
});

/// ingress-nginx's histogram.
pub(crate) const INGRESS_NGINX_LATENCY: Play = Play::Proxy(|out, namespace, is_canary, counted| {
    histogram(
        out,
        "nginx_ingress_controller_request_duration_seconds",
        &of_ingress_nginx(namespace, is_canary),
        1.0,
        counted,
    );
});
