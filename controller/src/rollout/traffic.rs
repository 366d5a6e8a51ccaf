//! Routes and Services of Rollouts, brought in by watches, and led as decided.
//!
//! Invariant: nothing is watched that no Rollout names, and what is named costs no request once it was seen.

mod kept;
mod led;
mod pair;
mod roads;
mod seen;

pub(super) use roads::Roads;

use belay_engine::traffic::RouterKind;
use kube::api::ApiResource;

use crate::{traffic, watch::Selection};
use belay_api::names::ROLLOUT_LABEL;

/// Kinds of objects that requests go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Way {
    /// Services.
    Services,
    /// Endpoints of Belay's own Services: their labels are copied from the Service, so those of others are never sent.
    Slices,
    /// Routes of one kind.
    Routes(RouterKind),
}

impl Way {
    fn resource(self) -> ApiResource {
        match self {
            Self::Services => ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&()),
            Self::Slices => {
                ApiResource::erase::<k8s_openapi::api::discovery::v1::EndpointSlice>(&())
            }
            Self::Routes(kind) => traffic::resource(kind),
        }
    }

    fn selection(self) -> Selection {
        match self {
            Self::Slices => Selection::labels(ROLLOUT_LABEL),
            Self::Services | Self::Routes(_) => Selection::default(),
        }
    }

    /// For metrics and people.
    const fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Slices => "endpointslices",
            Self::Routes(RouterKind::HttpRoute) => "httproutes",
            Self::Routes(RouterKind::GrpcRoute) => "grpcroutes",
            Self::Routes(RouterKind::VirtualService) => "virtualservices",
            Self::Routes(RouterKind::TraefikService) => "traefikservices",
        }
    }

    /// The value of Belay's chart that allows it.
    const fn permission(self) -> &'static str {
        match self {
            Self::Services | Self::Slices => "traffic.enabled",
            Self::Routes(RouterKind::HttpRoute | RouterKind::GrpcRoute) => "traffic.gatewayApi",
            Self::Routes(RouterKind::VirtualService) => "traffic.istio",
            Self::Routes(RouterKind::TraefikService) => "traffic.traefik",
        }
    }

    /// Where the definition of the kind comes from.
    const fn project(self) -> &'static str {
        match self {
            Self::Services | Self::Slices => "Kubernetes",
            Self::Routes(RouterKind::HttpRoute | RouterKind::GrpcRoute) => "Gateway API",
            Self::Routes(RouterKind::VirtualService) => "Istio",
            Self::Routes(RouterKind::TraefikService) => "Traefik",
        }
    }
}
