//! A `ScaledObject` of KEDA's on a governed workload. Its definition is KEDA's own, and so is the autoscaler's controller Kubernetes' own;
//! what KEDA's operator does with the two is played here: it makes an autoscaler for the object, and writes the workload's size itself
//! while the object is paused or the workload sleeps.

use std::fs;

use belay_engine::rollout::status::Phase;
use belay_lab::{Manifests, wait_for};
use belay_tests::{
    autoscaled::Load,
    installed::workspace_root,
    routers,
    scene::{SOON, Scene},
    workload::Workload,
};
use k8s_openapi::api::{
    apps::v1::Deployment, autoscaling::v1::Scale, autoscaling::v2::HorizontalPodAutoscaler,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use super::{
    autoscaler::{never_wrote_replicas, runs},
    lab,
};

/// Fixes the workload's size for as long as it is there.
const PAUSED: &str = "autoscaling.keda.sh/paused-replicas";

/// KEDA's operator, as far as the workload sees it.
struct Operator {
    load: Load,
    objects: Api<DynamicObject>,
    autoscalers: Api<HorizontalPodAutoscaler>,
    deployments: Api<Deployment>,
}

impl Operator {
    async fn new(scene: &Scene) -> Self {
        let kind = GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject");
        let resource = ApiResource::from_gvk(&kind);
        Self {
            load: Load::new(&scene.client, &scene.namespace).await.unwrap(),
            objects: Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource),
            autoscalers: scene.api(),
            deployments: scene.api(),
        }
    }

    /// The object that the page about autoscalers shows, applied for Deployment `web`.
    async fn apply(&self) {
        let page = workspace_root().join("docs/concepts/autoscaling.md");
        let page = fs::read_to_string(page).unwrap();
        let (_, block) = page.split_once("\n```yaml\n").expect("it has an object");
        let (block, _) = block.split_once("\n```").expect("the block ends");
        let object: Value = serde_saphyr::from_str(&block.replace("checkout", "web")).unwrap();
        let apply = PatchParams::apply("kustomize-controller").force();
        let object = Patch::Apply(&object);
        wait_for("the kind to be served", SOON, || async {
            let applied = self.objects.patch("web", &apply, &object);
            applied.await.map(drop).map_err(|error| error.to_string())
        })
        .await
        .unwrap();
    }

    /// It makes the autoscaler of the object.
    async fn follows(&self) {
        let object = self.objects.get("web").await.unwrap();
        let target = object.data.pointer("/spec/scaleTargetRef/name");
        let target = target.and_then(Value::as_str).unwrap();
        let metadata = json!({
            "name": "keda-hpa-web",
            "labels": {"scaledobject.keda.sh/name": "web", "app.kubernetes.io/managed-by": "keda-operator"},
            "ownerReferences": [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web",
                "uid": object.uid(), "controller": true, "blockOwnerDeletion": true}],
        });
        self.load.autoscaler(metadata, target).await.unwrap();
    }

    /// Somebody fixes the size: it takes the autoscaler away and writes the size itself.
    async fn pause(&self, replicas: i32) {
        self.annotate(json!(replicas.to_string())).await;
        self.let_go().await;
        self.scale(replicas).await;
    }

    /// Nobody fixes it any more.
    async fn resume(&self) {
        self.annotate(Value::Null).await;
        self.follows().await;
    }

    async fn annotate(&self, value: Value) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {PAUSED: value}}}));
        let parameters = PatchParams::default();
        self.objects
            .patch("web", &parameters, &patch)
            .await
            .unwrap();
    }

    async fn let_go(&self) {
        let parameters = DeleteParams::default();
        let deleted = self.autoscalers.delete("keda-hpa-web", &parameters).await;
        deleted.unwrap();
    }

    /// By the subresource, as KEDA does: to nothing when the workload goes to sleep, and to one when it wakes.
    async fn scale(&self, replicas: i32) {
        let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let parameters = PatchParams {
            field_manager: Some("keda".to_owned()),
            ..PatchParams::default()
        };
        let scaled = self.deployments.patch_scale("web", &parameters, &scale);
        let _: Scale = scaled.await.unwrap();
    }

    /// Nobody but its author and KEDA wrote the object.
    async fn is_untouched(&self) {
        let object = self.objects.get("web").await.unwrap();
        let managers = object.managed_fields().iter();
        let managers: Vec<String> = managers.filter_map(|entry| entry.manager.clone()).collect();
        assert!(
            !managers.iter().any(|manager| manager.contains("belay")),
            "{managers:?}"
        );
    }
}

async fn trial(web: &Workload) -> String {
    let status = web.waits_for("Hold").await.unwrap();
    status.candidate.unwrap().started_at.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaled_object_works_throughout_also_paused_and_asleep() {
    // Given a workload of two pods with a canary of half as many, and a ScaledObject on it.
    let lab = lab().await;
    routers::define(lab, Manifests::Keda).await.unwrap();
    let scene = Scene::new(lab, "keda").await.unwrap();
    let keda = Operator::new(&scene).await;
    keda.load.takes_pods(2).await.unwrap();
    let steps = json!([{"replicas": "50%", "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    keda.apply().await;
    keda.follows().await;
    web.set_image("web:v2").await.unwrap();
    let begun = trial(&web).await;
    runs(&web, 2, &[("v1", 2), ("v2", 1)]).await;
    // When its load doubles in mid-canary, then both versions follow, in the same trial.
    keda.load.takes_pods(4).await.unwrap();
    runs(&web, 4, &[("v1", 4), ("v2", 2)]).await;
    // When somebody fixes its size by the annotation, then that size is followed, whatever the load, and the load again after it.
    keda.pause(6).await;
    keda.load.takes_pods(2).await.unwrap();
    runs(&web, 6, &[("v1", 6), ("v2", 3)]).await;
    assert_eq!(trial(&web).await, begun);
    keda.resume().await;
    runs(&web, 2, &[("v1", 2), ("v2", 1)]).await;
    assert_eq!(trial(&web).await, begun);
    // When it goes to sleep, then the canary ends, and nothing of it is rejected.
    keda.scale(0).await;
    runs(&web, 0, &[]).await;
    web.status_when(|status| match (&status.candidate, &status.quarantine[..]) {
        (None, []) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    // When it wakes, then the stable version is there first, and the canary begins anew.
    keda.scale(1).await;
    runs(&web, 2, &[("v1", 2), ("v2", 1)]).await;
    assert_ne!(trial(&web).await, begun);
    // When it is promoted while the load grows, then the new version has the pods for it.
    scene.act("web", "Promote").await.unwrap();
    keda.load.takes_pods(5).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    runs(&web, 5, &[("v2", 5)]).await;
    // Then Belay never wrote the workload's size, nor anything of the ScaledObject.
    never_wrote_replicas(&web).await;
    keda.is_untouched().await;
}
