//! How each process of a lab is started.
//!
//! Everything listens on loopback. What makes a test wait (fsync, request limits of the built-in controllers, leader election) is
//! off; what a controller meets in a real cluster (RBAC, admission, priority and fairness, real service accounts) is on.

use std::net::Ipv4Addr;

use crate::backend::POD_PORT;
use crate::keeper::Launch;
use crate::layout::Layout;
use crate::pki::Pki;
use crate::ports::Ports;
use crate::programs::Program;
use crate::settings::Settings;
use crate::{LabError, Part, gateway, plane};

/// The user names of the parts that talk to the API server.
pub(crate) const CONTROLLER_MANAGER_USER: &str = "system:kube-controller-manager";
pub(crate) const SCHEDULER_USER: &str = "system:kube-scheduler";
pub(crate) const KWOK_USER: &str = "lab-kwok";
pub(crate) const PROMETHEUS_USER: &str = "lab-prometheus";
pub(crate) const GATEWAY_USER: &str = "lab-gateway";

/// The pods' addresses: the network and the length of its prefix. `stages/pod.yaml` gives them.
pub(crate) const POD_RANGE: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 128, 0, 0), 9);

/// One JSON line for each finished request, without bodies.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";

/// A configuration file takes the place of KWOK's own defaults, so each of them is said.
const KWOK_OPTIONS: &str = "\
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options: {podPlayStageParallelism: 16, nodePlayStageParallelism: 4, nodeLeaseParallelism: 4, podsOnNodeSyncParallelism: 4, enableDebuggingHandlers: true}
";

/// The file that every pod's log is read from.
pub(crate) const POD_LOG: &str = "pod.log";

/// The login that the registry asks for.
pub(crate) const REGISTRY_LOGIN: (&str, &str) = ("lab", "open sesame");

/// The program a part runs.
pub(crate) const fn program_of(part: Part) -> Option<Program> {
    match part {
        Part::Etcd => Some(Program::Etcd),
        Part::ApiServer => Some(Program::KubeApiServer),
        Part::ControllerManager => Some(Program::KubeControllerManager),
        Part::Scheduler => Some(Program::KubeScheduler),
        Part::Kwok => Some(Program::Kwok),
        Part::Prometheus => Some(Program::Prometheus),
        Part::Registry => Some(Program::Registry),
        Part::Gateway => Some(Program::Traefik),
        Part::Git | Part::Load | Part::Pods => None,
    }
}

/// What the arguments of a part are made from.
pub(crate) struct Parameters<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) layout: &'a Layout,
    pub(crate) ports: &'a Ports,
    pub(crate) pki: &'a Pki,
}

impl Parameters<'_> {
    /// The arguments of a part's process. Writes the configuration files they name.
    pub(crate) fn launch(&self, part: Part, program: String) -> Result<Launch, LabError> {
        let arguments = match part {
            Part::Etcd => self.etcd(),
            Part::ApiServer => self.api_server()?,
            Part::ControllerManager => self.controller_manager(),
            Part::Scheduler => self.scheduler(),
            Part::Kwok => self.kwok()?,
            Part::Prometheus => self.prometheus()?,
            Part::Registry => self.registry()?,
            Part::Gateway => return Ok(self.gateway(program)),
            Part::Git | Part::Load | Part::Pods => Vec::new(),
        };
        Ok(Launch { program, arguments })
    }

    fn etcd(&self) -> Vec<String> {
        let client = format!("http://{}", self.ports.address(Part::Etcd));
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer());
        vec![
            "--name=lab".into(),
            format!("--data-dir={}", self.layout.data(Part::Etcd).display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=lab={peer}"),
            // Data outlives a kill of the process, which is all a lab has to survive; a crash of the machine it does not.
            "--unsafe-no-fsync".into(),
            "--quota-backend-bytes=4294967296".into(),
            "--log-level=warn".into(),
        ]
    }

    fn api_server(&self) -> Result<Vec<String>, LabError> {
        let pki = self.pki;
        let mut arguments = vec![
            format!("--etcd-servers=http://{}", self.ports.address(Part::Etcd)),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", self.ports.of(Part::ApiServer)),
            // The `kubernetes` Service gets no endpoints: loopback addresses are not allowed there, and no pod runs anything.
            "--endpoint-reconciler-type=none".into(),
            "--service-cluster-ip-range=10.96.0.0/16".into(),
            "--authorization-mode=Node,RBAC".into(),
            format!("--client-ca-file={}", pki.ca_file.display()),
            format!("--tls-cert-file={}", pki.server_certificate_file.display()),
            format!("--tls-private-key-file={}", pki.server_key_file.display()),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!(
                "--service-account-key-file={}",
                pki.service_account_public_key_file.display()
            ),
            format!(
                "--service-account-signing-key-file={}",
                pki.service_account_key_file.display()
            ),
            "--allow-privileged=true".into(),
            // Nodes have names that nobody resolves.
            "--kubelet-preferred-address-types=InternalIP".into(),
        ];
        if plane::is_entered() {
            // In a namespace without a way out it can't find an address of its own. Nobody asks for this one.
            arguments.push("--advertise-address=192.0.2.1".into());
        }
        if !self.settings.mutating_admission_policy {
            arguments.push("--disable-admission-plugins=MutatingAdmissionPolicy".into());
            arguments.push("--runtime-config=admissionregistration.k8s.io/v1/mutatingadmissionpolicies=false,admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings=false".into());
        }
        if self.settings.audit {
            let policy = self.layout.write("audit-policy.yaml", AUDIT_POLICY)?;
            arguments.push(format!("--audit-policy-file={}", policy.display()));
            arguments.push(format!(
                "--audit-log-path={}",
                self.layout.file("audit.jsonl").display()
            ));
        }
        arguments.extend(self.settings.api_server_arguments.iter().cloned());
        Ok(arguments)
    }

    fn controller_manager(&self) -> Vec<String> {
        let mut arguments = vec![
            format!(
                "--service-account-private-key-file={}",
                self.pki.service_account_key_file.display()
            ),
            format!("--root-ca-file={}", self.pki.ca_file.display()),
            // Each controller under its own name, as in real clusters: the audit log and RBAC tell them apart.
            "--use-service-account-credentials=true".into(),
            // By default it looks each 15 seconds, which is what tests of autoscaling would mostly wait for.
            "--horizontal-pod-autoscaler-sync-period=3s".into(),
        ];
        arguments.extend(self.client_of(CONTROLLER_MANAGER_USER));
        arguments.extend(self.settings.controller_manager_arguments.iter().cloned());
        arguments
    }

    fn scheduler(&self) -> Vec<String> {
        self.client_of(SCHEDULER_USER).into()
    }

    /// The defaults of 20 and 30 requests a second would be what a benchmark measures.
    fn client_of(&self, user: &str) -> [String; 5] {
        [
            format!("--kubeconfig={}", self.layout.kubeconfig(user).display()),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=2000".into(),
        ]
    }

    fn kwok(&self) -> Result<Vec<String>, LabError> {
        let log = self.layout.write(POD_LOG, "")?;
        let logs = format!(
            "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: ClusterLogs\nmetadata: {{name: pods}}\nspec: {{logs: [{{logsFile: '{}'}}]}}\n",
            log.display()
        );
        let deletion = if self.settings.parts.contains(&Part::Pods) {
            include_str!("../stages/pod-drain.yaml")
        } else {
            include_str!("../stages/pod-delete.yaml")
        };
        let stages = [
            KWOK_OPTIONS,
            &logs,
            include_str!("../stages/node.yaml"),
            include_str!("../stages/pod.yaml"),
            deletion,
        ]
        .join("---\n");
        let config = self.layout.write("kwok.yaml", &stages)?;
        Ok(vec![
            format!(
                "--kubeconfig={}",
                self.layout.kubeconfig(KWOK_USER).display()
            ),
            format!("--config={}", config.display()),
            "--manage-all-nodes=true".into(),
            format!("--cidr={}/{}", POD_RANGE.0, POD_RANGE.1),
            "--node-ip=127.0.0.1".into(),
            // Where the API server asks for logs.
            format!("--node-port={}", self.ports.of(Part::Kwok)),
            format!("--server-address={}", self.ports.address(Part::Kwok)),
            format!(
                "--tls-cert-file={}",
                self.pki.server_certificate_file.display()
            ),
            format!(
                "--tls-private-key-file={}",
                self.pki.server_key_file.display()
            ),
            // Without leases the nodes, and with them the pods, turn not ready after 40 s.
            "--node-lease-duration-seconds=40".into(),
        ])
    }

    fn prometheus(&self) -> Result<Vec<String>, LabError> {
        let has = |part| self.settings.parts.contains(&part);
        let mut config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, scrape_native_histograms: true}}\n\
             rule_files: ['{rules}/*.json']\n\
             scrape_configs:\n\
             - job_name: more\n\
            \x20 file_sd_configs: [{{files: ['{more}/*.json'], refresh_interval: 1s}}]\n",
            more = self.layout.scrape_targets().display(),
            rules = self.layout.rules().display(),
        );
        if has(Part::Pods) {
            config += &self.pods_scraped();
        } else {
            config += &scraped("load", &self.ports.address(Part::Load).to_string());
        }
        if has(Part::Gateway) {
            let admin = format!("127.0.0.1:{}", self.ports.gateway_admin());
            config += &scraped("gateway", &admin);
        }
        let config = self.layout.write("prometheus.yaml", &config)?;
        Ok(vec![
            format!("--config.file={}", config.display()),
            format!(
                "--storage.tsdb.path={}",
                self.layout.data(Part::Prometheus).display()
            ),
            format!(
                "--web.listen-address={}",
                self.ports.address(Part::Prometheus)
            ),
            "--storage.tsdb.retention.time=1d".into(),
            "--log.level=warn".into(),
        ])
    }
    fn registry(&self) -> Result<Vec<String>, LabError> {
        let (user, password) = REGISTRY_LOGIN;
        let login = self
            .layout
            .write("registry-login", &format!("{user}:{password}\n"))?;
        Ok(vec![
            format!("--listen={}", self.ports.address(Part::Registry)),
            format!("--folder={}", self.layout.data(Part::Registry).display()),
            format!("--login={}", login.display()),
        ])
    }

    /// Pods show their metrics at their own addresses, and name themselves in them.
    fn pods_scraped(&self) -> String {
        let kubeconfig = self.layout.kubeconfig(PROMETHEUS_USER);
        format!(
            "- job_name: pods\n\
            \x20 honor_labels: true\n\
            \x20 kubernetes_sd_configs: [{{role: pod, kubeconfig_file: '{}'}}]\n\
            \x20 relabel_configs:\n\
            \x20 - {{source_labels: [__meta_kubernetes_pod_phase], regex: Running, action: keep}}\n\
            \x20 - {{source_labels: [__meta_kubernetes_pod_ip], regex: (.+), replacement: '$1:{POD_PORT}', target_label: __address__}}\n\
            \x20 - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}\n\
            \x20 - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}\n",
            kubeconfig.display()
        )
    }

    fn gateway(&self, program: String) -> Launch {
        let kubeconfig = self.layout.kubeconfig(GATEWAY_USER);
        // Traefik takes a kubeconfig file from its environment only, and only where it does not take itself for a pod. Requests to
        // pods would go to a proxy of this machine.
        let mut arguments = vec![
            "--unset=KUBERNETES_SERVICE_HOST".into(),
            "NO_PROXY=*".into(),
            format!("KUBECONFIG={}", kubeconfig.display()),
            program,
        ];
        arguments.extend(gateway::arguments(
            self.ports.address(Part::Gateway),
            self.ports.gateway_admin(),
        ));
        Launch {
            program: "env".into(),
            arguments,
        }
    }
}

/// A server that Prometheus scrapes.
fn scraped(job: &str, address: &str) -> String {
    format!(
        "- job_name: {job}\n\
        \x20 honor_labels: true\n\
        \x20 static_configs: [{{targets: ['{address}']}}]\n"
    )
}
