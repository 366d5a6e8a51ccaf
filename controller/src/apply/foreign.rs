//! Marks that other tools put on what they apply: Flux, Argo CD and Helm.
//!
//! Two tools that apply one object undo each other's work, and the one that lets it go deletes it. So an object with such a mark is
//! refused, by the name of its owner, until somebody says that Belay is to have it.

use std::fmt;

use belay_api::names::RELEASE_LABEL;
use kube::core::ObjectMeta;

use super::owners;

/// Who applies an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignOwner {
    tool: &'static str,
    name: String,
}

impl fmt::Display for ForeignOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tool, self.name)
    }
}

/// The other tool that says it applies this object.
pub fn owner(metadata: &ObjectMeta) -> Option<ForeignOwner> {
    let label = |key: &str| metadata.labels.as_ref()?.get(key).cloned();
    let annotation = |key: &str| metadata.annotations.as_ref()?.get(key).cloned();
    let pair = |namespace: Option<String>, name: String| match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    };
    let flux = |tool, group: &str| {
        let name = label(&format!("{group}/name"))?;
        let namespace = label(&format!("{group}/namespace"));
        Some(ForeignOwner {
            tool,
            name: pair(namespace, name),
        })
    };
    flux("the Flux Kustomization", "kustomize.toolkit.fluxcd.io")
        .or_else(|| flux("the Flux HelmRelease", "helm.toolkit.fluxcd.io"))
        .or_else(|| {
            // `app:group/Kind:namespace/name`
            let tracked = annotation("argocd.argoproj.io/tracking-id")
                .and_then(|id| id.split(':').next().map(str::to_owned));
            let name = tracked.or_else(|| label("argocd.argoproj.io/instance"))?;
            Some(ForeignOwner {
                tool: "the Argo CD Application",
                name,
            })
        })
        .or_else(|| {
            // The label alone is in what `helm template` prints, too.
            let name = annotation("meta.helm.sh/release-name")?;
            let namespace = annotation("meta.helm.sh/release-namespace");
            Some(ForeignOwner {
                tool: "the Helm release",
                name: pair(namespace, name),
            })
        })
}

/// The Release that says it applies this object, wherever that is.
pub fn release(metadata: &ObjectMeta) -> Option<ForeignOwner> {
    owners::owner_of(metadata)?;
    let name = metadata
        .labels
        .as_ref()
        .and_then(|all| all.get(RELEASE_LABEL));
    Some(ForeignOwner {
        tool: "a Release that is not known in this cluster:",
        name: name.cloned().unwrap_or_else(|| "without a name".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn named(labels: &Value, annotations: &Value) -> Option<String> {
        let metadata =
            serde_json::from_value(json!({"labels": labels, "annotations": annotations})).unwrap();
        owner(&metadata).map(|owner| owner.to_string())
    }

    #[test]
    fn the_marks_of_flux_argo_cd_and_helm_are_known() {
        let none = json!({});
        for (labels, annotations, name) in [
            (
                json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}),
                none.clone(),
                "the Flux Kustomization flux-system/apps",
            ),
            (
                json!({"helm.toolkit.fluxcd.io/name": "web"}),
                none.clone(),
                "the Flux HelmRelease web",
            ),
            (
                none.clone(),
                json!({"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}),
                "the Argo CD Application shop",
            ),
            (
                json!({"argocd.argoproj.io/instance": "shop"}),
                none.clone(),
                "the Argo CD Application shop",
            ),
            (
                json!({"app.kubernetes.io/managed-by": "Helm"}),
                json!({"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}),
                "the Helm release shop/web",
            ),
        ] {
            assert_eq!(named(&labels, &annotations).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_a_rendered_chart_says_is_no_owner() {
        let labels =
            json!({"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "web"});
        assert_eq!(named(&labels, &json!({})), None);
    }
}
