//! The parts a lab is made of.

use std::fmt;

/// One part of a lab: a process of its own, or a server inside the process that started the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The database of the API server. Always there.
    Etcd,
    /// The Kubernetes API server. Always there.
    ApiServer,
    /// The built-in controllers. There unless the lab is bare.
    ControllerManager,
    /// The scheduler. There unless the lab is bare.
    Scheduler,
    /// KWOK, which plays the nodes and their pods. There unless the lab is bare.
    Kwok,
    /// A real Prometheus that scrapes the load every second. On request.
    Prometheus,
    /// Git repositories over smart HTTP. On request.
    Git,
    /// An OCI registry that asks for a login. On request.
    Registry,
    /// The load generator, which plays the traffic of ready pods. On request.
    Load,
    /// Servers on every pod's address, in place of the load. On request; needs [`crate::enter_plane`].
    Pods,
    /// A real gateway, Traefik, in front of [`Part::Pods`], which it brings along. On request; needs [`crate::enter_plane`].
    Gateway,
}

impl Part {
    /// The parts every lab has unless it is bare, in the order of their start.
    pub const ALWAYS: [Self; 5] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kwok,
    ];
    /// The parts a lab has on request, in the order of their start.
    pub const ON_REQUEST: [Self; 6] = [
        Self::Load,
        Self::Pods,
        Self::Prometheus,
        Self::Git,
        Self::Registry,
        Self::Gateway,
    ];

    /// The name in commands, logs and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::Prometheus => "prometheus",
            Self::Git => "git",
            Self::Registry => "registry",
            Self::Load => "load",
            Self::Pods => "pods",
            Self::Gateway => "gateway",
        }
    }

    /// Whether the part is a process of its own.
    pub const fn is_process(self) -> bool {
        !matches!(self, Self::Git | Self::Load | Self::Pods)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
