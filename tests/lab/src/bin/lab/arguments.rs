//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use belay_lab::{Lab, LabBuilder, LabError, Part, Traffic, default_dir};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A real Kubernetes control plane on this machine, without containers.
///
/// etcd, kube-apiserver, kube-controller-manager and kube-scheduler of Kubernetes 1.36; nodes and pods played by KWOK. Everything
/// listens on free loopback ports and lives in one folder, so several labs run side by side. The first use builds the programs with
/// Go, which takes some minutes; later starts take seconds.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a lab and hold it until ctrl-C, or in the background with --detach
    Up(Up),
    /// Start a lab for the time of one command; KUBECONFIG is set, the lab's programs are on PATH, the exit code is passed on
    #[command(
        after_help = "Also set: BELAY_LAB_DIR, and PROMETHEUS_URL, GIT_URL and GATEWAY_URL where the lab has these parts.\n\
        Example: cargo lab run --with prometheus,load -- kubectl get nodes"
    )]
    Run(Run),
    /// Tell where a running lab is: kubeconfig, addresses, programs, process ids
    Status {
        #[command(flatten)]
        place: Place,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End a running lab and wait until nothing of it is left
    Down(Place),
    /// Send requests at a steady rate, and print what became of them as JSON; fails when any got lost
    Traffic(Requests),
    /// Only build the programs, all of them
    Build,
}

impl Command {
    /// Whether this process is to be in a network namespace, for the pods to have addresses.
    pub(crate) fn needs_plane(&self) -> bool {
        match self {
            Self::Up(up) => !up.detach && up.shape.needs_plane(),
            Self::Run(run) => run.shape.needs_plane(),
            _ => false,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Requests {
    /// Where to, such as the gateway's address
    url: String,
    /// For which host
    #[arg(long)]
    host: Option<String>,
    /// Requests a second
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// For how many seconds
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Share (0 to 1) that opens a connection of its own
    #[arg(long, default_value_t = 0.1)]
    fresh: f64,
    /// A header, as NAME=VALUE; may be said more than once
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<String>,
}

impl Requests {
    pub(crate) fn traffic(&self) -> Result<Traffic, LabError> {
        let mut traffic = Traffic::to(&self.url)
            .per_second(self.rate)
            .fresh_share(self.fresh);
        if let Some(host) = &self.host {
            traffic = traffic.host(host)?;
        }
        for header in &self.header {
            let (name, value) = header.split_once('=').unwrap_or((header, ""));
            traffic = traffic.header(name, value)?;
        }
        Ok(traffic)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The lab's folder [default: lab/up in Cargo's target folder]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Place {
    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(default_dir)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Return once the lab is up; end it with `cargo lab down`
    #[arg(long)]
    pub(crate) detach: bool,
    /// Print the status as one line of JSON once the lab is up (how --detach learns of it)
    #[arg(long, hide = true)]
    pub(crate) announce: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// The lab's folder [default: a fresh one among the temporary files]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What the lab consists of.
#[derive(Debug, Args)]
pub(crate) struct Shape {
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) nodes: u16,
    /// Further parts, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    pub(crate) with: Vec<Extra>,
    /// Write an audit log of all requests to the API server (audit.jsonl in the folder)
    #[arg(long)]
    pub(crate) audit: bool,
    /// Leave the folder with its logs when the lab ends
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Extra {
    /// A real Prometheus that scrapes every second
    Prometheus,
    /// Git repositories over smart HTTP
    Git,
    /// A load generator that plays the traffic of ready pods
    Load,
    /// Servers on every pod's address, in place of the load; in a network namespace of its own
    Pods,
    /// An OCI registry that asks for the login lab, "open sesame"
    Registry,
    /// A real gateway, Traefik, in front of the pods' servers, which come along
    Gateway,
}

impl Shape {
    fn needs_plane(&self) -> bool {
        let needs = |extra: &Extra| matches!(extra, Extra::Pods | Extra::Gateway);
        self.with.iter().any(needs)
    }

    pub(crate) fn builder(&self) -> LabBuilder {
        let mut builder = Lab::builder().nodes(self.nodes);
        for extra in &self.with {
            builder = builder.with(match extra {
                Extra::Prometheus => Part::Prometheus,
                Extra::Git => Part::Git,
                Extra::Registry => Part::Registry,
                Extra::Load => Part::Load,
                Extra::Pods => Part::Pods,
                Extra::Gateway => Part::Gateway,
            });
        }
        if self.audit {
            builder = builder.audit();
        }
        if self.keep {
            builder = builder.keep_dir();
        }
        builder
    }

    /// The same shape as arguments, for the process that holds a detached lab.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--nodes={}", self.nodes)];
        let names = self
            .with
            .iter()
            .filter_map(|extra| Some(extra.to_possible_value()?.get_name().to_owned()));
        arguments.extend(names.map(|name| format!("--with={name}")));
        arguments.extend(self.audit.then(|| "--audit".to_owned()));
        arguments.extend(self.keep.then(|| "--keep".to_owned()));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_shape_survives_being_passed_on() {
        let words = [
            "lab",
            "up",
            "--nodes=7",
            "--with=prometheus,load",
            "--keep",
            "--audit",
        ];
        let Command::Up(up) = Arguments::parse_from(words).command else {
            panic!("not up")
        };
        let passed_on = ["lab".to_owned(), "up".to_owned()]
            .into_iter()
            .chain(up.shape.arguments());
        let Command::Up(again) = Arguments::parse_from(passed_on).command else {
            panic!("not up")
        };
        assert_eq!(format!("{:?}", again.shape), format!("{:?}", up.shape));
    }
}
