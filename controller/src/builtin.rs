//! The templates that come with Belay: `ClusterAnalysisTemplate`s for the metrics that most clusters have.
//!
//! They are written by whoever holds the lease, and not by the chart, because Helm can't install a kind and objects of it at
//! once, and because they fit the controller that is to read them.
//!
//! Invariant: a template of the same name that somebody else made stays as it is. One of Belay's is written only when it differs
//! from the one that this version brings. None is ever deleted.

use std::collections::BTreeMap;

use belay_api::{ClusterAnalysisTemplate, names::FIELD_MANAGER};
use belay_engine::digest::Digest;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{Context, Error, Result, client::bounded, limits};

/// Label on Belay's own templates.
pub const LABEL: &str = "belay.dev/built-in";

/// Annotation with the digest of what was written.
const DIGEST: &str = "belay.dev/built-in-digest";

/// Files with templates, by name.
pub const FILES: [(&str, &str); 8] = [
    ("app.yaml", include_str!("builtin/app.yaml")),
    ("pods.yaml", include_str!("builtin/pods.yaml")),
    ("istio.yaml", include_str!("builtin/istio.yaml")),
    ("linkerd.yaml", include_str!("builtin/linkerd.yaml")),
    ("traefik.yaml", include_str!("builtin/traefik.yaml")),
    (
        "envoy-gateway.yaml",
        include_str!("builtin/envoy-gateway.yaml"),
    ),
    ("contour.yaml", include_str!("builtin/contour.yaml")),
    (
        "ingress-nginx.yaml",
        include_str!("builtin/ingress-nginx.yaml"),
    ),
];

/// The templates.
pub fn templates() -> Result<Vec<DynamicObject>> {
    let mut templates = Vec::new();
    for (file, text) in FILES {
        let broken = |error: String| Error::BuiltIn(format!("{file}: {error}"));
        let documents = serde_saphyr::from_multiple::<Value>(text)
            .map_err(|error| broken(error.to_string()))?;
        for document in documents {
            let template: DynamicObject =
                serde_json::from_value(document).map_err(|error| broken(error.to_string()))?;
            templates.push(template);
        }
    }
    Ok(templates)
}

/// Brings the templates in, and tries again until it is done or the term is over. A refusal by the API server is told and
/// accepted.
pub(crate) async fn bring(context: Context, stop: CancellationToken) {
    let mut pause = limits::RETRY_MIN;
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = write(&context) => done,
        };
        match done {
            Ok(0) => return tracing::debug!("the built-in templates are as they should be"),
            Ok(written) => return tracing::info!(written, "brought the built-in templates in"),
            Err(Error::NotLeading) => return,
            Err(Error::Kube(kube::Error::Api(status)))
                if status.code < 500 && status.code != 429 =>
            {
                return tracing::warn!(
                    message = status.message,
                    "the built-in templates can't be brought in; give the controller the right, or set templates.enabled to false"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "bringing the built-in templates in failed; trying again");
            }
        }
        if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(limits::RETRY_MAX);
    }
}

/// Writes what differs; says how many that were.
async fn write(context: &Context) -> Result<usize> {
    let resource = ApiResource::erase::<ClusterAnalysisTemplate>(&());
    let api = Api::<DynamicObject>::all_with(context.client.clone(), &resource);
    let present: BTreeMap<String, ObjectMeta> = bounded(
        "listing templates",
        api.list_metadata(&ListParams::default()),
    )
    .await?
    .into_iter()
    .map(|found| (found.name_any(), found.metadata))
    .collect();
    let mut written = 0;
    for mut template in templates()? {
        let name = template.name_any();
        let digest = Digest::of(&template.data).short();
        match present.get(&name).map(standing) {
            Some(Standing::SomebodyElses) => {
                tracing::warn!(
                    name,
                    "a ClusterAnalysisTemplate of this name is somebody else's and stays as it is; the built-in one is left out"
                );
                continue;
            }
            Some(Standing::Ours(known)) if known == digest => continue,
            _ => {}
        }
        template
            .labels_mut()
            .insert(LABEL.to_owned(), "true".to_owned());
        template.annotations_mut().insert(DIGEST.to_owned(), digest);
        template.types = Some(kube::api::TypeMeta {
            api_version: ClusterAnalysisTemplate::api_version(&()).into_owned(),
            kind: ClusterAnalysisTemplate::kind(&()).into_owned(),
        });
        context.term.check()?;
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&template);
        bounded("writing a template", api.patch(&name, &parameters, &patch)).await?;
        written += 1;
    }
    Ok(written)
}

/// Whose a template is.
enum Standing {
    SomebodyElses,
    Ours(String),
}

fn standing(metadata: &ObjectMeta) -> Standing {
    let is_ours = metadata
        .labels
        .as_ref()
        .is_some_and(|labels| labels.contains_key(LABEL));
    if !is_ours {
        return Standing::SomebodyElses;
    }
    let digest = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(DIGEST));
    Standing::Ours(digest.cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use belay_promql::{Settings, template::lint_template};

    use super::*;

    #[test]
    fn every_template_is_one_and_has_nothing_that_the_lint_would_say() {
        let templates = templates().unwrap();
        assert!(templates.len() > 20);
        for object in templates {
            let name = object.name_any();
            let value = serde_json::to_value(&object).unwrap();
            let template: ClusterAnalysisTemplate = serde_json::from_value(value).unwrap();
            let found = lint_template(&template.spec.template, &Settings::default());
            let said: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert!(said.is_empty(), "{name}: {said:#?}");
        }
    }

    #[test]
    fn no_name_is_used_twice() {
        let mut names: Vec<String> = templates()
            .unwrap()
            .iter()
            .map(kube::ResourceExt::name_any)
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
