//! Whoever else writes the objects, each in the way of its tool.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// Annotation of client-side apply.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A tool that brings objects from Git into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Flux: server-side apply with force.
    Flux,
    /// Argo CD with server-side apply.
    ArgoServerSide,
    /// Argo CD and `kubectl apply` as they are by default: a merge patch of what differs from the last applied state.
    ArgoClientSide,
    /// A person who created it once.
    Person,
}

pub(crate) const WRITERS: [Writer; 4] = [
    Writer::Flux,
    Writer::ArgoServerSide,
    Writer::ArgoClientSide,
    Writer::Person,
];

impl Writer {
    fn manager(self) -> &'static str {
        match self {
            Self::Flux => "kustomize-controller",
            Self::ArgoServerSide | Self::ArgoClientSide => "argocd-controller",
            Self::Person => "kubectl-create",
        }
    }

    /// Brings the object into the cluster for the first time.
    pub(crate) async fn create(self, api: &Api<DynamicObject>, source: &Value) {
        match self {
            Self::Flux | Self::ArgoServerSide => self.apply(api, source).await,
            Self::ArgoClientSide | Self::Person => {
                let mut source = source.clone();
                if self == Self::ArgoClientSide {
                    source["metadata"]["annotations"] = json!({LAST_APPLIED: source.to_string()});
                }
                let parameters = PostParams {
                    field_manager: Some(self.manager().to_owned()),
                    ..PostParams::default()
                };
                let object = serde_json::from_value(source).unwrap();
                api.create(&parameters, &object).await.unwrap();
            }
        }
    }

    /// Brings the same source again, as in the next of its intervals.
    pub(crate) async fn apply(self, api: &Api<DynamicObject>, source: &Value) {
        let name = source["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply(self.manager()).force();
        match self {
            Self::Flux | Self::ArgoServerSide => {
                api.patch(name, &parameters, &Patch::Apply(source))
                    .await
                    .unwrap();
            }
            Self::ArgoClientSide | Self::Person => {
                let parameters = PatchParams {
                    field_manager: parameters.field_manager,
                    ..PatchParams::default()
                };
                // The keys of a selector that the source never had are not in its last state either, so a merge leaves them.
                let patch = Patch::Merge(json!({"spec": source["spec"]}));
                api.patch(name, &parameters, &patch).await.unwrap();
            }
        }
    }

    /// Applies the source without force, for a conflict to show; nothing is stored.
    pub(crate) async fn rehearse(
        self,
        api: &Api<DynamicObject>,
        source: &Value,
    ) -> kube::Result<()> {
        let name = source["metadata"]["name"].as_str().unwrap();
        let mut parameters = PatchParams::apply(self.manager());
        parameters.dry_run = true;
        api.patch(name, &parameters, &Patch::Apply(source))
            .await
            .map(drop)
    }
}
